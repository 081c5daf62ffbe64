//! Several shapes of one prompt in one call.

use serde::{Deserialize, Serialize};

use crate::{Error, GenerateRequest, Generated, Point, Shape};

/// The body of `POST /batch_generate` for one prompt.
#[derive(Serialize)]
pub(crate) struct Variants<'a, S> {
    prompts: [&'a GenerateRequest<S>; 1],
    n: u32,
}

impl<'a, S> Variants<'a, S> {
    pub(crate) fn new(request: &'a GenerateRequest<S>, n: u32) -> Self {
        Self { prompts: [request], n }
    }
}

/// What comes back.
#[derive(Deserialize)]
pub(crate) struct Results {
    results: Vec<Item>,
}

/// A shape or an error. No enum: to tell its kinds apart serde would keep all numbers twice.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Item {
    coarse_xyz: Vec<Point>,
    coarse_normal: Vec<Point>,
    fine_xyz: Option<Vec<Point>>,
    fine_normal: Option<Vec<Point>>,
    seed_text: String,
    warnings: Vec<String>,
    nearest_kinds: Vec<String>,
    error: Option<String>,
    code: Option<String>,
}

impl Results {
    pub(crate) fn into_variants(self) -> Vec<Result<Generated, Error>> {
        self.results.into_iter().map(Item::into_variant).collect()
    }
}

impl Item {
    fn into_variant(self) -> Result<Generated, Error> {
        if let Some(text) = self.error {
            return Err(Error::Stopped { code: self.code, text });
        }
        let (coarse_xyz, coarse_normal) = (self.coarse_xyz, self.coarse_normal);
        Ok(Generated {
            shape: Shape { coarse_xyz, coarse_normal, fine_xyz: self.fine_xyz, fine_normal: self.fine_normal },
            seed: self.seed_text.parse().ok(),
            warning: Some(self.warnings.join("; ")).filter(|text| !text.is_empty()),
            nearest_kinds: self.nearest_kinds,
        })
    }
}
