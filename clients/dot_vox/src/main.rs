//! A prompt becomes a MagicaVoxel scene in memory, as dot_vox gives it to an engine: `cargo run -- "a round table" 7`
//!
//! XCUBE_URL is where the service is, XCUBE_API_KEY its key if it asks for one.

use std::env;
use std::error::Error;

use dot_vox::{Color, DotVoxData, Frame, SceneNode};
use xcube_client::{Client, GenerateRequest};

/// A block where the scene puts it, z being up, and its colour.
struct Block {
    at: [i32; 3],
    colour: Color,
}

/// All blocks of the models that hang on a node of the scene; shapes larger than 256 a side are made of several.
fn collect(data: &DotVoxData, node: u32, moved: [i32; 3], found: &mut Vec<Block>) {
    match &data.scenes[node as usize] {
        SceneNode::Transform { frames, child, .. } => {
            let step = frames.first().and_then(Frame::position);
            let step = step.map_or([0; 3], |position| [position.x, position.y, position.z]);
            collect(data, *child, [0, 1, 2].map(|axis| moved[axis] + step[axis]), found);
        }
        SceneNode::Group { children, .. } => children.iter().for_each(|child| collect(data, *child, moved, found)),
        SceneNode::Shape { models, .. } => {
            for shown in models {
                let model = &data.models[shown.model_id as usize];
                // A model is placed by its middle, rounded down.
                let middle = [model.size.x, model.size.y, model.size.z].map(|side| side as i32 / 2);
                found.extend(model.voxels.iter().map(|voxel| {
                    let inside = [voxel.x, voxel.y, voxel.z].map(i32::from);
                    Block {
                        at: [0, 1, 2].map(|axis| moved[axis] + inside[axis] - middle[axis]),
                        colour: data.palette[voxel.i as usize],
                    }
                }));
            }
        }
    }
}

async fn run(prompt: &str, seed: i64) -> Result<(), Box<dyn Error>> {
    let url = env::var("XCUBE_URL").unwrap_or_else(|_| "http://localhost:8000".to_owned());
    let mut client = Client::new(&url)?;
    if let Ok(key) = env::var("XCUBE_API_KEY") {
        client = client.with_key(key);
    }
    let file = client.file(&GenerateRequest::new(prompt).with_seed(seed), "vox").await?;
    let data = dot_vox::load_bytes(&file)?;
    let mut blocks = Vec::new();
    collect(&data, 0, [0; 3], &mut blocks);
    let mut colours: Vec<[u8; 3]> =
        blocks.iter().map(|block| [block.colour.r, block.colour.g, block.colour.b]).collect();
    colours.sort_unstable();
    colours.dedup();
    println!("{} blocks in {} models, of {} colours", blocks.len(), data.models.len(), colours.len());
    for (axis, name) in ["x", "y", "z"].into_iter().enumerate() {
        let values = || blocks.iter().map(|block| block.at[axis]);
        println!("{name}: {} to {}", values().min().unwrap_or(0), values().max().unwrap_or(0));
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (Some(prompt), Some(Ok(seed))) = (arguments.first(), arguments.get(1).map(|text| text.parse())) else {
        eprintln!("usage: xcube-dot-vox PROMPT SEED");
        std::process::exit(2);
    };
    if let Err(error) = run(prompt, seed).await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
