//! Client of xcube-serve: a prompt becomes a shape of voxels with normals.
//!
//! ```no_run
//! # async fn example() -> Result<(), xcube_client::Error> {
//! use xcube_client::{Client, GenerateRequest};
//!
//! let client = Client::new("http://localhost:8000")?;
//! let made = client.generate(&GenerateRequest::new("a round table").with_seed(7)).await?;
//! println!("{} coarse points", made.shape.coarse_xyz.len());
//! # Ok(())
//! # }
//! ```
//!
//! Positions are the centres of voxels in a right-handed frame with y up; they lie within ±0.5 along each axis. An
//! [`Octree`] is the same cube.

mod cache;
mod client;
mod error;
mod npz;
mod octree;
mod starting;
mod stream;
mod types;
mod variants;

pub use client::{Client, Settings};
pub use error::Error;
pub use octree::{Cube, Malformed, Octree};
pub use starting::{Given, Origin};
pub use stream::{Coarse, Event, Events, Progress};
pub use types::{GenerateRequest, Generated, Health, Point, Preset, Recognition, Scheduler, Shape};
