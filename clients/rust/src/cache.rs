//! A folder of answers, which the service need not send again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

const PREFIX: &str = "xcube-";
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// An answer with its tag, and what its headers said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    pub head: Head,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The request, whole: names of files are shorter, so that two requests may share one.
    pub key: String,
    pub etag: String,
    pub seed: Option<String>,
    pub warning: Option<String>,
    #[serde(default)]
    pub nearest: Option<String>,
}

/// Answers by their requests. A file that is missing, damaged or not this request's counts as none.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    max_bytes: u64,
}

impl Cache {
    pub fn new(folder: PathBuf, max_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, max_bytes })
    }

    pub fn get(&self, key: &str) -> Option<Kept> {
        let content = fs::read(self.path(key)).ok()?;
        let (sum, rest) = cut(&content)?;
        if sum != format!("{:016x}", hash(rest)).as_bytes() {
            return None;
        }
        let (head, body) = cut(rest)?;
        let head: Head = serde_json::from_slice(head).ok()?;
        (head.key == key).then(|| Kept { head, body: body.to_vec() })
    }

    /// Keeps an answer, and drops the oldest where there are more bytes than may be. What is larger by itself is not kept.
    pub fn put(&self, kept: &Kept) -> io::Result<()> {
        let mut rest = serde_json::to_vec(&kept.head)?;
        rest.push(b'\n');
        rest.extend_from_slice(&kept.body);
        let content = [format!("{:016x}\n", hash(&rest)).as_bytes(), &rest].concat();
        if content.len() as u64 > self.max_bytes {
            return Ok(());
        }
        let path = self.path(&kept.head.key);
        // Whoever reads meanwhile sees the file before or after, never a part of it.
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let part = path.with_extension(format!("{}-{number}.part", std::process::id()));
        if let Err(error) = fs::write(&part, content).and_then(|()| fs::rename(&part, &path)) {
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        self.shrink(&path)
    }

    fn shrink(&self, newest: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)?.flatten() {
            if let (true, Ok(facts)) = (entry.file_name().to_string_lossy().starts_with(PREFIX), entry.metadata()) {
                files.push((entry.path() == newest, facts.modified()?, entry.path(), facts.len()));
            }
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(.., length)| length).sum();
        for (.., path, length) in files {
            if bytes <= self.max_bytes {
                break;
            }
            fs::remove_file(path)?;
            bytes -= length;
        }
        Ok(())
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{PREFIX}{:016x}", hash(key.as_bytes())))
    }
}

/// What an answer is kept under; None without a seed, since each answer is another one then.
///
/// `seed` is the one that the service used, where it is known already.
pub(crate) fn key_of(target: &str, query: &[(&str, &str)], request: &str, seed: Option<&str>) -> Option<String> {
    let mut fields: Value = serde_json::from_str(request).ok()?;
    if let Some(seed) = seed {
        fields["seed"] = serde_json::from_str(seed).ok()?;
    }
    fields.get("seed").filter(|seed| seed.is_number())?;
    Some(format!("{target} {query:?} {fields}"))
}

/// What stands before the first line break, and what after it.
fn cut(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = content.iter().position(|byte| *byte == b'\n')?;
    Some((&content[..end], &content[end + 1..]))
}

/// FNV-1a, 64 bits: the same with every compiler, unlike the standard library's.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
