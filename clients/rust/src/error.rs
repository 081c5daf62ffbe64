//! What may go wrong, by what a caller can do about it.

use std::fmt;

/// Why a call failed. The texts of the service say what is wrong and what to do.
#[derive(Debug)]
pub enum Error {
    /// What was given is no address such as `http://localhost:8000`.
    Address(String),
    /// The folder of the cache cannot be made.
    Folder(std::io::Error),
    /// The request is no JSON, for example because its seed is none.
    Unsendable(String),
    /// Nothing answers at the address, or the connection broke.
    Unreachable(reqwest::Error),
    /// The answer took too long. The service stops the work when the connection is closed.
    TimedOut(reqwest::Error),
    /// 503: the models are still loading, after every retry.
    StillLoading(String),
    /// Another 503: for example, a model failed to load, the GPU is out of memory, or the service is stopping.
    Unavailable(String),
    /// A status of 400 to 499: the request has to change. `code` is for programs.
    Refused { status: u16, code: Option<String>, text: String },
    /// Another status of 500 or more, after every retry.
    Failed { status: u16, text: String },
    /// The service stopped a generation whose events are being read; `code` is for programs.
    Stopped { code: Option<String>, text: String },
    /// The events of a generation ended before the shape came.
    CutOff,
    /// A success that is not what the service promises.
    Unreadable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Address(url) => write!(out, "{url} is no address: write it like http://localhost:8000"),
            Error::Folder(error) => write!(out, "the folder of the cache cannot be made: {error}"),
            Error::Unsendable(why) => write!(out, "the request cannot be written as JSON: {why}"),
            Error::Unreachable(error) => write!(out, "the service does not answer: {error}"),
            Error::TimedOut(_) => write!(out, "the service took too long"),
            Error::StillLoading(text) | Error::Unavailable(text) => write!(out, "{text}"),
            Error::Stopped { text, .. } => write!(out, "{text}"),
            Error::CutOff => write!(out, "the connection was cut before the shape came: try again"),
            Error::Refused { status, text, .. } | Error::Failed { status, text } => write!(out, "{text} ({status})"),
            Error::Unreadable(why) => write!(out, "the answer is not the service's, or is of another version ({why})"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Folder(error) => Some(error),
            Error::Unreachable(error) | Error::TimedOut(error) => Some(error),
            _ => None,
        }
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Error::TimedOut(error)
        } else {
            Error::Unreachable(error)
        }
    }
}
