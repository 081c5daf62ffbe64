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

mod client;
mod error;
mod types;

pub use client::{Client, Settings};
pub use error::Error;
pub use types::{GenerateRequest, Generated, Health, Point, Shape};
