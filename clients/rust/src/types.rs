//! What goes to the service and what comes back, field by field.

use serde::{Deserialize, Serialize};

/// Three numbers: a position in world units, or a normal of unit length.
pub type Point = [f32; 3];

/// The answer of `GET /health`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Health {
    /// `ready`, `loading` or `error`.
    pub status: String,
    pub xcube_available: bool,
    pub gpu_available: bool,
    #[serde(default)]
    pub gpu_name: Option<String>,
    pub model_loaded: bool,
    /// Why loading failed, and what to do.
    #[serde(default)]
    pub error: Option<String>,
    /// The name of the set of models; older services do not tell.
    #[serde(default)]
    pub model_set: Option<String>,
    /// Kinds of shapes that the models know, at most 100 of them.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Presets that the models have; older services do not tell.
    #[serde(default)]
    pub presets: Vec<String>,
}

impl Health {
    /// Whether the models are loaded and the service takes requests.
    pub fn is_ready(&self) -> bool {
        self.status == "ready" && self.model_loaded
    }
}

/// How both stages denoise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Scheduler {
    #[serde(rename = "ddim")]
    Ddim,
    /// Needs fewer steps.
    #[serde(rename = "dpm++")]
    DpmPlusPlus,
}

/// A set of controls by name. What a request gives wins over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// To look at soon.
    Draft,
    /// What a request without any control gets.
    Standard,
    /// The most quality, whatever it takes.
    Best,
    /// The soonest, where the service's models have a turbo pair. Steps and scheduler have to be None.
    Turbo,
}

/// The body of `POST /generate`. What is None is left to the service.
/// Seeds are any integers of 64 bits, with or without a sign: `S` is `i32`, `u64` and so on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GenerateRequest<S = i32> {
    pub prompt: String,
    /// Denoising steps of each stage, 1 to 1000; 100, or those of the preset, if it is None.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ddim_steps: Option<u32>,
    /// 1.0 to 20.0; exactly 1.0 switches guidance off.
    pub guidance_scale: f32,
    /// The same seed gives the same shape; without one the service draws one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<S>,
    /// Whether the fine stage runs after the coarse one.
    pub use_fine: bool,
    /// DDIM if it is None.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// Denoising steps of the fine stage; as many as the coarse one has if it is None.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fine_steps: Option<u32>,
    /// The part of the coarse run in which guidance is applied, from 0 at pure noise to 1; all of it if it is None.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance_interval: Option<[f32; 2]>,
    /// Chooses steps, scheduler and interval where they are None.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
}

impl GenerateRequest {
    /// A request with the service's defaults and a random seed.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            ddim_steps: None,
            guidance_scale: 7.5,
            seed: None,
            use_fine: true,
            scheduler: None,
            fine_steps: None,
            guidance_interval: None,
            preset: None,
        }
    }
}

impl<S> GenerateRequest<S> {
    /// The same request with a seed.
    pub fn with_seed<T>(self, seed: T) -> GenerateRequest<T> {
        GenerateRequest {
            prompt: self.prompt,
            ddim_steps: self.ddim_steps,
            guidance_scale: self.guidance_scale,
            seed: Some(seed),
            use_fine: self.use_fine,
            scheduler: self.scheduler,
            fine_steps: self.fine_steps,
            guidance_interval: self.guidance_interval,
            preset: self.preset,
        }
    }
}

/// The answer of `POST /generate`. Positions and normals of a stage are equally many, sorted by voxel.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Shape {
    pub coarse_xyz: Vec<Point>,
    pub coarse_normal: Vec<Point>,
    /// None without a fine stage.
    #[serde(default)]
    pub fine_xyz: Option<Vec<Point>>,
    #[serde(default)]
    pub fine_normal: Option<Vec<Point>>,
}

/// A shape, and what the headers say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    pub shape: Shape,
    /// The seed that was used; None where the header is missing.
    pub seed: Option<i128>,
    /// What is worth knowing, such as a prompt that was cut.
    pub warning: Option<String>,
    /// Where the prompt names no kind of shape that the models know, the kinds nearest to it.
    pub nearest_kinds: Vec<String>,
}

/// What the models know of a prompt.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Recognition {
    /// None where nobody can tell.
    pub known: Option<bool>,
    /// The kinds of shapes that the prompt names.
    pub kinds: Vec<String>,
    /// Where it names none, those nearest to it.
    pub nearest_kinds: Vec<String>,
    /// What every result of this prompt would say of it.
    pub warnings: Vec<String>,
}
