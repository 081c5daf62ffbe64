//! The folder of a client, with answers that were recorded from the service.

mod replay;

use std::fs;
use std::path::{Path, PathBuf};

use replay::{Replay, Step};
use xcube_client::{Client, Error, GenerateRequest};

const ROOM: u64 = 1 << 20;

/// An empty folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xcube-cache-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn client(server: &Replay, folder: &Folder, max_bytes: u64) -> Client {
    Client::new(&server.url).unwrap().with_cache(&folder.0, max_bytes).unwrap()
}

fn chair() -> GenerateRequest {
    GenerateRequest::new("a chair").with_seed(1)
}

/// What each request said that the client has.
fn known(server: &Replay) -> Vec<Option<String>> {
    let tag =
        |request: &String| request.lines().find_map(|line| line.strip_prefix("if-none-match: ").map(str::to_owned));
    server.requests().iter().map(tag).collect()
}

/// The tag of a recorded answer.
fn tag(name: &str) -> Option<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers").join(format!("{name}.http"));
    let content = fs::read(file).unwrap();
    String::from_utf8_lossy(&content).lines().find_map(|line| line.strip_prefix("etag: ").map(str::to_owned))
}

#[tokio::test]
async fn what_the_service_would_send_again_comes_from_the_folder_also_after_a_restart() {
    let folder = Folder::new("restart");
    let server = Replay::of(&[Step::Answer("shape"), Step::Answer("not_modified")]);
    let first = client(&server, &folder, ROOM).generate(&chair()).await.unwrap();
    let again = client(&server, &folder, ROOM).generate(&chair()).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(again.seed, Some(1));
    assert!(tag("shape").is_some());
    assert_eq!(known(&server), [None, tag("shape")]);
}

#[tokio::test]
async fn a_drawn_seed_is_kept_under_the_seed_that_was_drawn() {
    let folder = Folder::new("drawn");
    let server = Replay::of(&[Step::Answer("shape"), Step::Answer("not_modified"), Step::Answer("shape")]);
    let client = client(&server, &folder, ROOM);
    let first = client.generate(&GenerateRequest::new("a chair")).await.unwrap();
    assert_eq!(client.generate(&chair()).await.unwrap(), first);
    client.generate(&GenerateRequest::new("a chair")).await.unwrap();
    assert_eq!(known(&server), [None, tag("shape"), None]);
}

#[tokio::test]
async fn every_other_request_is_kept_for_itself() {
    let folder = Folder::new("others");
    let server = Replay::of(&[Step::Answer("shape"); 5]);
    let client = client(&server, &folder, ROOM);
    client.generate(&chair()).await.unwrap();
    client.file(&chair(), "ply").await.unwrap();
    client.file(&chair(), "stl").await.unwrap();
    client.generate(&GenerateRequest { ddim_steps: Some(7), ..chair() }).await.unwrap();
    client.generate(&GenerateRequest { prompt: "a mug".to_owned(), ..chair() }).await.unwrap();
    assert_eq!(known(&server), [None, None, None, None, None]);
    assert_eq!(folder.files().len(), 5);
}

#[tokio::test]
async fn an_answer_that_has_changed_takes_the_place_of_the_one_that_was_kept() {
    let folder = Folder::new("changed");
    let server = Replay::of(&[Step::Answer("shape"), Step::Answer("coarse"), Step::Answer("not_modified")]);
    let client = client(&server, &folder, ROOM);
    client.generate(&chair()).await.unwrap();
    let changed = client.generate(&chair()).await.unwrap();
    assert_eq!(changed.shape.fine_xyz, None);
    assert_eq!(client.generate(&chair()).await.unwrap(), changed);
    assert_eq!(known(&server), [None, tag("shape"), tag("coarse")]);
}

#[tokio::test]
async fn a_damaged_or_a_missing_file_is_asked_for_again() {
    let folder = Folder::new("damaged");
    let damage: [fn(&Path); 5] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, b"").unwrap(),
        |path| fs::write(path, &fs::read(path).unwrap()[..900]).unwrap(),
        |path| {
            let mut content = fs::read(path).unwrap();
            let last = content.len() - 2;
            content[last] ^= 1;
            fs::write(path, content).unwrap();
        },
        |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
    ];
    let server = Replay::of(&[Step::Answer("shape"); 7]);
    let client = client(&server, &folder, ROOM);
    let whole = client.generate(&chair()).await.unwrap();
    for each in damage {
        let files = folder.files();
        assert_eq!(files.len(), 1);
        each(&files[0]);
        assert_eq!(client.generate(&chair()).await.unwrap(), whole);
    }
    assert_eq!(known(&server), [None, None, None, None, None, None]);
}

#[tokio::test]
async fn a_folder_that_is_gone_leaves_the_client_as_it_is_without() {
    let folder = Folder::new("gone");
    let server = Replay::of(&[Step::Answer("shape"); 2]);
    let client = client(&server, &folder, ROOM);
    fs::remove_dir_all(&folder.0).unwrap();
    client.generate(&chair()).await.unwrap();
    client.generate(&chair()).await.unwrap();
    assert_eq!(known(&server), [None, None]);
}

#[tokio::test]
async fn the_oldest_make_room_and_what_never_fits_is_not_kept() {
    let folder = Folder::new("room");
    let server = Replay::of(&[Step::Answer("shape"); 6]);
    let client = client(&server, &folder, ROOM);
    client.file(&chair(), "ply").await.unwrap();
    let length = fs::metadata(&folder.files()[0]).unwrap().len();
    fs::write(folder.0.join("somebody-else-s.txt"), vec![0; 9000]).unwrap();
    let two = Client::new(&server.url).unwrap().with_cache(&folder.0, 2 * length + 20).unwrap();
    for format in ["stl", "glb", "vox"] {
        std::thread::sleep(std::time::Duration::from_millis(20)); // times of files are that coarse
        two.file(&chair(), format).await.unwrap();
    }
    assert_eq!(folder.files().len(), 3, "two, and the file of somebody else");
    let small = Client::new(&server.url).unwrap().with_cache(&folder.0, length - 1).unwrap();
    small.file(&chair(), "obj").await.unwrap();
    assert_eq!(folder.files().len(), 3);
    two.file(&chair(), "vox").await.unwrap();
    assert_eq!(known(&server), [None, None, None, None, None, tag("shape")]);
}

#[test]
fn a_folder_that_cannot_be_made_is_told_at_once() {
    let folder = Folder::new("file");
    fs::write(&folder.0, b"").unwrap();
    let client = Client::new("http://localhost:8000").unwrap();
    assert!(matches!(client.with_cache(folder.0.join("below"), ROOM), Err(Error::Folder(_))));
    fs::remove_file(&folder.0).unwrap();
}
