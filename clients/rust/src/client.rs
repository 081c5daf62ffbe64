//! Requests, and which of them are worth repeating.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::{Error, Events, GenerateRequest, Generated, Health, Octree, Shape};

const STILL_LOADING: &str = "still loading";

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
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), key: None, settings })
    }

    /// The same client with the key that the service asks for; blanks around it, as a file leaves them, do not count.
    pub fn with_key(self, key: impl Into<String>) -> Self {
        let key: String = key.into();
        Self { key: Some(key.trim().to_owned()), ..self }
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

    /// One shape. "Still loading" and failures of the service other than 503 are tried three times more.
    pub async fn generate<S: Serialize>(&self, request: &GenerateRequest<S>) -> Result<Generated, Error> {
        let answer = self.post("/generate", &[], request).await?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let seed = header("X-Seed").and_then(|text| text.parse().ok());
        let warning = header("X-XCube-Warning");
        let shape: Shape = read(&answer.bytes().await?)?;
        Ok(Generated { shape, seed, warning })
    }

    /// The shape of a request as a file: `format` is one of those in the service's documentation, such as ply or bcf.
    pub async fn file<S: Serialize>(&self, request: &GenerateRequest<S>, format: &str) -> Result<Vec<u8>, Error> {
        Ok(self.post("/generate", &[("format", format)], request).await?.bytes().await?.to_vec())
    }

    /// The finest shape of a request as an octree of materials.
    pub async fn octree<S: Serialize>(&self, request: &GenerateRequest<S>) -> Result<Octree, Error> {
        Octree::from_bcf(&self.file(request, "bcf").await?).map_err(|error| Error::Unreadable(error.to_string()))
    }

    /// A shape as it is made: progress, the coarse shape as soon as there is one, and the whole one.
    pub async fn stream<S: Serialize>(&self, request: &GenerateRequest<S>) -> Result<Events, Error> {
        Ok(Events::new(self.post("/generate_stream", &[], request).await?))
    }

    async fn post<S: Serialize>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        request: &GenerateRequest<S>,
    ) -> Result<Response, Error> {
        let mut pauses = self.settings.back_off.iter();
        loop {
            let post = self
                .http
                .post(format!("{}{path}", self.url))
                .query(query)
                .json(request)
                .timeout(self.settings.generate_timeout);
            let answer = self.authorized(post).send().await?;
            if answer.status().is_success() {
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

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Unreadable(error.to_string()))
}
