//! Requests, and which of them are worth repeating.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::cache::{key_of, Cache, Head, Kept};
use crate::starting::{Given, Origin, Refine, Vary};
use crate::variants::{Results, Variants};
use crate::{npz, Error, Events, GenerateRequest, Generated, Health, Octree, Point, Recognition};

const STILL_LOADING: &str = "still loading";
/// Paths whose answer is one shape.
const SHAPES: [&str; 3] = ["/generate", "/refine", "/variations"];

/// Timeouts and retry delays.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub health_timeout: Duration,
    pub generate_timeout: Duration,
    /// Pauses before the first, second and third retry.
    pub back_off: [Duration; 3],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            health_timeout: Duration::from_secs(5),
            generate_timeout: Duration::from_secs(300),
            back_off: [1, 2, 4].map(Duration::from_secs),
        }
    }
}

/// A service at an address. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: Option<String>,
    settings: Settings,
    cache: Option<Cache>,
}

#[derive(Deserialize)]
struct Problem {
    error: String,
    #[serde(default)]
    code: Option<String>,
}

impl Client {
    /// A client of the service at `url`, such as `http://localhost:8000`.
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::with_settings(url, Settings::default())
    }

    /// A client that keeps other times.
    pub fn with_settings(url: &str, settings: Settings) -> Result<Self, Error> {
        let address = match reqwest::Url::parse(url) {
            Ok(address) if matches!(address.scheme(), "http" | "https") => address,
            _ => return Err(Error::Address(url.to_owned())),
        };
        let builder = reqwest::Client::builder();
        // Proxies that the environment names are for other machines than this one.
        let http = if is_here(&address) { builder.no_proxy() } else { builder }.build()?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), key: None, settings, cache: None })
    }

    /// The same client with the key that the service asks for; blanks around it, as a file leaves them, do not count.
    pub fn with_key(self, key: impl Into<String>) -> Self {
        let key: String = key.into();
        Self { key: Some(key.trim().to_owned()), ..self }
    }

    /// The same client with a folder in which it keeps shapes and files that have a seed, at most so many bytes of them.
    ///
    /// The service is asked each time, but sends nothing that it would make again as it is kept. The oldest files make
    /// room; several clients may share a folder. With one that fails later, the client works as without.
    pub fn with_cache(self, folder: impl Into<PathBuf>, max_bytes: u64) -> Result<Self, Error> {
        let cache = Cache::new(folder.into(), max_bytes).map_err(Error::Folder)?;
        Ok(Self { cache: Some(cache), ..self })
    }

    /// What the service is doing. It answers while its models load, so nothing is repeated.
    pub async fn health(&self) -> Result<Health, Error> {
        let request = self.http.get(format!("{}/health", self.url)).timeout(self.settings.health_timeout);
        let answer = self.authorized(request).send().await?;
        if !answer.status().is_success() {
            return Err(error_of(answer).await);
        }
        read(&answer.bytes().await?)
    }

    /// What the models know of a prompt, before anything is made of it.
    pub async fn recognise(&self, prompt: &str) -> Result<Recognition, Error> {
        let body = serde_json::json!({ "prompt": prompt }).to_string();
        read(&self.post("/kinds", &[], &body, None).await?.bytes().await?)
    }

    /// One shape, whose normals have three digits: it comes as npz, or as JSON from a service that is older.
    ///
    /// "Still loading" and failures of the service other than 503 are tried three times more.
    pub async fn generate<S: Serialize>(&self, request: &GenerateRequest<S>) -> Result<Generated, Error> {
        generated(self.made(&[], request).await?)
    }

    /// The fine shape of a coarse one.
    pub async fn refine<S: Serialize>(
        &self,
        request: &GenerateRequest<S>,
        shape: &Given<'_>,
    ) -> Result<Generated, Error> {
        self.started("/refine", &text_of(&Refine { request, shape })?).await
    }

    /// A shape that resembles an earlier or a given one: `strength`, above 0 to 1, says how little.
    ///
    /// `corners` are the low and the high one of a box. With it, voxels outside of the box stay as they are.
    pub async fn vary<S: Serialize>(
        &self,
        request: &GenerateRequest<S>,
        of: &Origin<'_, S>,
        strength: f32,
        corners: Option<[Point; 2]>,
    ) -> Result<Generated, Error> {
        self.started("/variations", &text_of(&Vary::new(request, of, strength, corners))?).await
    }

    /// Several shapes of a prompt in one call, in order: the first with the seed of the request, the others with those
    /// that follow it. One that could not be made is an error of its own.
    pub async fn variants<S: Serialize>(
        &self,
        request: &GenerateRequest<S>,
        n: u32,
    ) -> Result<Vec<Result<Generated, Error>>, Error> {
        let answer = self.post("/batch_generate", &[], &text_of(&Variants::new(request, n))?, None).await?;
        Ok(read::<Results>(&answer.bytes().await?)?.into_variants())
    }

    /// The shape of a request as a file: `format` is one of those in the service's documentation, such as ply or bcf.
    pub async fn file<S: Serialize>(&self, request: &GenerateRequest<S>, format: &str) -> Result<Vec<u8>, Error> {
        Ok(self.made(&[("format", format)], request).await?.body)
    }

    /// The finest shape of a request as an octree of materials.
    pub async fn octree<S: Serialize>(&self, request: &GenerateRequest<S>) -> Result<Octree, Error> {
        Octree::from_bcf(&self.file(request, "bcf").await?).map_err(|error| Error::Unreadable(error.to_string()))
    }

    /// A shape as it is made: progress, the coarse shape as soon as there is one, and the whole one.
    pub async fn stream<S: Serialize>(&self, request: &GenerateRequest<S>) -> Result<Events, Error> {
        Ok(Events::new(self.post("/generate_stream", &[], &text_of(request)?, None).await?))
    }

    /// The answer of `POST /generate`: the service's, or the one in the folder if the service says that it is the same.
    async fn made<S: Serialize>(&self, query: &[(&str, &str)], request: &GenerateRequest<S>) -> Result<Kept, Error> {
        let text = text_of(request)?;
        let key = |seed| key_of(&self.url, query, &text, seed);
        let kept = match (self.cache.clone(), key(None)) {
            (Some(cache), Some(key)) => beside(move || cache.get(&key)).await.flatten(),
            _ => None,
        };
        let answer = self.post("/generate", query, &text, kept.as_ref().map(|kept| kept.head.etag.as_str())).await?;
        if let (StatusCode::NOT_MODIFIED, Some(kept)) = (answer.status(), kept) {
            return Ok(kept);
        }
        let mut head = head_of(&answer);
        head.key = key(head.seed.as_deref()).unwrap_or_default();
        let made = Kept { head, body: answer.bytes().await?.to_vec() };
        if let (Some(cache), false, false) = (self.cache.clone(), made.head.etag.is_empty(), made.head.key.is_empty()) {
            let copy = made.clone();
            // A folder that takes no more leaves the shape as good as it is.
            let _ = beside(move || cache.put(&copy)).await;
        }
        Ok(made)
    }

    async fn started(&self, path: &str, text: &str) -> Result<Generated, Error> {
        let answer = self.post(path, &[], text, None).await?;
        generated(Kept { head: head_of(&answer), body: answer.bytes().await?.to_vec() })
    }

    async fn post(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: &str,
        known: Option<&str>,
    ) -> Result<Response, Error> {
        let mut pauses = self.settings.back_off.iter();
        loop {
            let post = self
                .http
                .post(format!("{}{path}", self.url))
                .query(query)
                .header("Content-Type", "application/json")
                .body(body.to_owned())
                .timeout(self.settings.generate_timeout);
            // A file that the URL names, events and batches are what they are.
            let post =
                if query.is_empty() && SHAPES.contains(&path) { post.header("Accept", npz::ACCEPT) } else { post };
            let post = match known {
                Some(tag) => post.header("If-None-Match", tag),
                None => post,
            };
            let answer = self.authorized(post).send().await?;
            if answer.status().is_success() || (known.is_some() && answer.status() == StatusCode::NOT_MODIFIED) {
                return Ok(answer);
            }
            let error = error_of(answer).await;
            match (&error, pauses.next()) {
                (Error::StillLoading(_) | Error::Failed { .. }, Some(pause)) => tokio::time::sleep(*pause).await,
                _ => return Err(error),
            }
        }
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }
}

/// What the headers of an answer say of a shape; its key is still empty.
fn head_of(answer: &Response) -> Head {
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let told = |name: &str| header(name).map(|text| decoded(&text));
    let (warning, nearest) = (told("X-XCube-Warning"), told("X-XCube-Nearest-Kinds"));
    Head { key: String::new(), etag: header("ETag").unwrap_or_default(), seed: header("X-Seed"), warning, nearest }
}

/// What a header says whose letters beyond ASCII are percent-encoded.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()).filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A shape as it is in an answer, npz or JSON.
fn generated(Kept { head, body }: Kept) -> Result<Generated, Error> {
    let seed = head.seed.and_then(|text| text.parse().ok());
    let nearest_kinds = head.nearest.iter().flat_map(|names| names.split(", ")).map(str::to_owned).collect();
    let shape = if npz::is_npz(&body) {
        npz::shape_of(&body).ok_or_else(|| Error::Unreadable("the npz file is not one of the service's".to_owned()))?
    } else {
        read(&body)?
    };
    Ok(Generated { shape, seed, warning: head.warning, nearest_kinds })
}

/// Whether an address is one of this machine's own.
fn is_here(address: &reqwest::Url) -> bool {
    let host = address.host_str().unwrap_or_default();
    let ip = host.trim_matches(|bracket| bracket == '[' || bracket == ']').parse::<std::net::IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

/// The error that an answer other than a success stands for; its text is the service's sentence, or else that it is not the service's.
async fn error_of(answer: Response) -> Error {
    let status = answer.status();
    let body = match answer.text().await {
        Ok(body) => body,
        Err(error) => return error.into(),
    };
    let (text, code) = match serde_json::from_str::<Problem>(&body) {
        Ok(problem) => (problem.error, problem.code),
        Err(_) => ("the answer does not come from the service: check the address".to_owned(), None),
    };
    match status {
        StatusCode::SERVICE_UNAVAILABLE if text.contains(STILL_LOADING) => Error::StillLoading(text),
        StatusCode::SERVICE_UNAVAILABLE => Error::Unavailable(text),
        _ if status.is_server_error() => Error::Failed { status: status.as_u16(), text },
        _ => Error::Refused { status: status.as_u16(), code, text },
    }
}

/// A request as JSON.
fn text_of<T: Serialize>(request: &T) -> Result<String, Error> {
    serde_json::to_string(request).map_err(|error| Error::Unsendable(error.to_string()))
}

/// Work with files, beside what else the program does; None if it panicked.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn letters_of_any_script_come_out_of_a_header() {
        assert_eq!(decoded("nearest are %E6%A4%85%E5%AD%90, chair"), "nearest are 椅子, chair");
        assert_eq!(decoded("100%25 of 7%"), "100% of 7%");
    }
}
