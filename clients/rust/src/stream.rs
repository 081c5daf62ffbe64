//! A generation as it goes on: server-sent events, the coarse shape long before the fine one.

use reqwest::Response;
use serde::de::DeserializeOwned;
use serde::Deserialize;

use crate::{Error, Point, Shape};

/// What the service tells meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The request waits; at position 0 it runs.
    Queued { position: u64 },
    /// A slice of steps is done.
    Progress(Progress),
    /// The coarse shape is done.
    Coarse(Coarse),
    /// Notes on the result.
    Warning(Vec<String>),
    /// The whole shape: the last event.
    Completed(Shape),
}

/// How far a stage is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Progress {
    /// `coarse` or `fine`.
    pub stage: String,
    pub step: u32,
    pub steps: u32,
    /// An estimate for all that is left; None as long as nothing is known.
    pub seconds_left: Option<f64>,
}

/// The coarse shape, positions and normals as in [`Shape`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Coarse {
    pub coarse_xyz: Vec<Point>,
    pub coarse_normal: Vec<Point>,
    /// The seed that was used, as text: it may have 64 bits, with or without a sign.
    pub seed_text: String,
}

#[derive(Deserialize)]
struct Queued {
    position: u64,
}

#[derive(Deserialize)]
struct Warnings {
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
    code: Option<String>,
}

/// The events of one generation. If it is dropped before the end, the connection closes and the service stops the work.
#[derive(Debug)]
pub struct Events {
    answer: Response,
    unread: Vec<u8>,
    ended: bool,
}

impl Events {
    pub(crate) fn new(answer: Response) -> Self {
        Self { answer, unread: Vec::new(), ended: false }
    }

    /// The next event; None after the last one, or after an error.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        while !self.ended {
            self.ended = true; // until it is known that more may follow
            let (name, data) = self.block().await?;
            let event = event_of(&name, &data)?;
            self.ended = matches!(event, Some(Event::Completed(_)));
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Name and data of the next event; lines of data are joined as HTML's standard says.
    async fn block(&mut self) -> Result<(String, String), Error> {
        let (mut name, mut data) = (String::new(), Vec::new());
        loop {
            let line = self.line().await?;
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => name = value.to_owned(),
                "data" => data.push(value.to_owned()),
                "" if line.is_empty() && !data.is_empty() => return Ok((name, data.join("\n"))),
                _ => {} // a comment, or the end of one
            }
        }
    }

    async fn line(&mut self) -> Result<String, Error> {
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            match self.answer.chunk().await? {
                Some(chunk) => self.unread.extend_from_slice(&chunk),
                None => return Err(Error::CutOff),
            }
        }
    }
}

/// An event by its name; None for one that this version does not know.
fn event_of(name: &str, data: &str) -> Result<Option<Event>, Error> {
    Ok(Some(match name {
        "queued" => Event::Queued { position: read::<Queued>(data)?.position },
        "progress" => Event::Progress(read(data)?),
        "coarse" => Event::Coarse(read(data)?),
        "warning" => Event::Warning(read::<Warnings>(data)?.warnings),
        "completed" => Event::Completed(read(data)?),
        "failed" => {
            let Failure { error, code } = read(data)?;
            return Err(Error::Stopped { code, text: error });
        }
        _ => return Ok(None),
    }))
}

fn read<T: DeserializeOwned>(data: &str) -> Result<T, Error> {
    serde_json::from_str(data).map_err(|error| Error::Unreadable(error.to_string()))
}
