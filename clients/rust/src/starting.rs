//! Where a shape starts, if not from noise: from a coarse shape, or from an earlier one.

use serde::Serialize;

use crate::{GenerateRequest, Point};

/// A coarse shape to refine or to vary.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Given<'a> {
    /// Points within ±0.5 and a normal for each.
    Points { xyz: &'a [Point], normal: &'a [Point] },
    /// The coarse shape of a finished job, to the last bit.
    Job { job: &'a str },
}

/// A shape to vary.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin<'a, S = i32> {
    /// The result of a finished job.
    Job(&'a str),
    /// What the service has made of a request a moment ago; the request has the seed.
    Request(&'a GenerateRequest<S>),
    /// A coarse shape, for which the service looks for a latent first.
    #[serde(skip)]
    Shape(&'a Given<'a>),
}

#[derive(Serialize)]
pub(crate) struct Refine<'a, S> {
    #[serde(flatten)]
    pub request: &'a GenerateRequest<S>,
    pub shape: &'a Given<'a>,
}

#[derive(Serialize)]
pub(crate) struct Vary<'a, S> {
    #[serde(flatten)]
    request: &'a GenerateRequest<S>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'a Origin<'a, S>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<&'a Given<'a>>,
    strength: f32,
    #[serde(rename = "box", skip_serializing_if = "Option::is_none")]
    corners: Option<[Point; 2]>,
}

impl<'a, S> Vary<'a, S> {
    pub(crate) fn new(
        request: &'a GenerateRequest<S>,
        origin: &'a Origin<'a, S>,
        strength: f32,
        corners: Option<[Point; 2]>,
    ) -> Self {
        let (of, shape) = match origin {
            Origin::Shape(shape) => (None, Some(*shape)),
            earlier => (Some(earlier), None),
        };
        Self { request, of, shape, strength, corners }
    }
}
