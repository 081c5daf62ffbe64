//! A prompt becomes a part of a voxel world, coarse first: `cargo run --example world -- "a round table" 7`
//!
//! XCUBE_URL is where the service is, XCUBE_API_KEY its key if it asks for one.

use std::collections::HashMap;
use std::env;
use std::error::Error;

use xcube_client::{Client, Event, GenerateRequest, Octree};

const CHUNK: u32 = 16;
/// The world's blocks are 1/128 of a shape's cube.
const DEPTH: u32 = 7;
const STONE: u8 = 20;

/// Materials in chunks of 16³ blocks, as games keep them; a chunk without blocks is not there.
#[derive(Default)]
struct World {
    chunks: HashMap<[u32; 3], Vec<u8>>,
}

impl World {
    /// Puts a shape in place of what is there. Parts of it that are finer than the world's blocks become whole blocks.
    fn show(&mut self, shape: &Octree) {
        self.chunks.clear();
        for cube in shape.cubes() {
            let (side, finer) = (1 << DEPTH.saturating_sub(cube.level), cube.level.saturating_sub(DEPTH));
            let low = cube.at.map(|value| (value >> finer) * side);
            for step in 0..side * side * side {
                let offset = [step / (side * side), step / side % side, step % side];
                self.set([0, 1, 2].map(|axis| low[axis] + offset[axis]), cube.material);
            }
        }
    }

    fn set(&mut self, [x, y, z]: [u32; 3], material: u8) {
        let chunk = self.chunks.entry([x / CHUNK, y / CHUNK, z / CHUNK]);
        let blocks = chunk.or_insert_with(|| vec![0; (CHUNK * CHUNK * CHUNK) as usize]);
        blocks[(((x % CHUNK) * CHUNK + y % CHUNK) * CHUNK + z % CHUNK) as usize] = material;
    }

    fn describe(&self, what: &str) {
        let blocks = self.chunks.values().flatten().filter(|&&material| material != 0).count();
        println!("{what}: {blocks} blocks in {} chunks", self.chunks.len());
    }
}

async fn run(prompt: &str, seed: i64) -> Result<(), Box<dyn Error>> {
    let url = env::var("XCUBE_URL").unwrap_or_else(|_| "http://localhost:8000".to_owned());
    let mut client = Client::new(&url)?;
    if let Ok(key) = env::var("XCUBE_API_KEY") {
        client = client.with_key(key);
    }
    let request = GenerateRequest::new(prompt).with_seed(seed);
    let mut world = World::default();
    let mut events = client.stream(&request).await?;
    while let Some(event) = events.next().await? {
        match event {
            Event::Coarse(coarse) => {
                let shape = Octree::from_points(&coarse.coarse_xyz, STONE).ok_or("these points are of no grid")?;
                world.show(&shape);
                world.describe("coarse");
            }
            Event::Warning(notes) => notes.iter().for_each(|note| eprintln!("note: {note}")),
            _ => {}
        }
    }
    // The service still has the shape that it made a moment ago, and gives it materials.
    world.show(&client.octree(&request).await?);
    world.describe("fine");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (Some(prompt), Some(Ok(seed))) = (arguments.first(), arguments.get(1).map(|text| text.parse())) else {
        eprintln!("usage: world PROMPT SEED");
        std::process::exit(2);
    };
    if let Err(error) = run(prompt, seed).await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
