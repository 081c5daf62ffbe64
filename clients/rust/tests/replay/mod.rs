//! A server that gives recorded answers in order, one a connection, and keeps what it was asked.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Clone, Copy)]
#[allow(dead_code)] // no test uses all of them
pub enum Step {
    /// The answer in tests/answers/NAME.http.
    Answer(&'static str),
    /// The same, but for so many bytes at its end.
    Cut(&'static str, usize),
    /// A page, as something else than the service sends it.
    Page,
    /// No answer at all; the connection stays open.
    Silence,
}

const PAGE: &[u8] = b"HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n<html>\n<p>Not the service.</p>\n</html>";

pub struct Replay {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Replay {
    pub fn of(steps: &[Step]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (steps, asked) = (steps.to_vec(), Arc::clone(&requests));
        thread::spawn(move || {
            let mut open = Vec::new();
            for step in steps {
                let (mut stream, _) = listener.accept().unwrap();
                asked.lock().unwrap().push(read_request(&mut stream));
                match step {
                    Step::Answer(name) => stream.write_all(&recorded(name)).unwrap(),
                    Step::Cut(name, lacking) => {
                        let whole = recorded(name);
                        stream.write_all(&whole[..whole.len() - lacking]).unwrap();
                    }
                    Step::Page => stream.write_all(PAGE).unwrap(),
                    Step::Silence => open.push(stream),
                }
            }
            // Until the test is over, or else the silent connections would end.
            thread::park();
        });
        Self { url, requests }
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// The bytes of an answer; its connection is not used again.
fn recorded(name: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers").join(format!("{name}.http"));
    let content = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let first = content.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    [&content[..first], b"connection: close\r\n", &content[first..]].concat()
}

/// A request's head and body as text.
fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "the request broke off: {text}");
        request.extend_from_slice(&chunk[..read]);
    }
}
