//! A prompt becomes a shape: `cargo run --example generate -- "a round table" 7 table.ply`
//!
//! The seed and the file may be left out. XCUBE_URL is where the service is, XCUBE_API_KEY its key if it asks for one,
//! and XCUBE_CACHE a folder for answers, if there is to be one.

use std::env;
use std::error::Error;
use std::path::Path;

use xcube_client::{Client, GenerateRequest};

async fn run(prompt: &str, seed: Option<i64>, file: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let url = env::var("XCUBE_URL").unwrap_or_else(|_| "http://localhost:8000".to_owned());
    let mut client = Client::new(&url)?;
    if let Ok(key) = env::var("XCUBE_API_KEY") {
        client = client.with_key(key);
    }
    if let Ok(folder) = env::var("XCUBE_CACHE") {
        client = client.with_cache(folder, 256 << 20)?;
    }
    let health = client.health().await?;
    println!("the service is {}, on a GPU: {}", health.status, health.gpu_available);

    let request = GenerateRequest { seed, ..GenerateRequest::new(prompt).with_seed(0) };
    let made = client.generate(&request).await?;
    println!("{} coarse points", made.shape.coarse_xyz.len());
    if let Some(fine) = &made.shape.fine_xyz {
        println!("{} fine points", fine.len());
    }
    if let Some(seed) = made.seed {
        println!("seed {seed}");
    }
    if let Some(warning) = &made.warning {
        eprintln!("note: {warning}");
    }
    if let (Some(file), Some(seed)) = (file, made.seed) {
        let format = file.extension().and_then(|ending| ending.to_str()).unwrap_or("json");
        // The service still has the shape that it made a moment ago.
        std::fs::write(file, client.file(&request.with_seed(seed), format).await?)?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let seed = arguments.get(1).map(|text| text.parse());
    let (Some(prompt), Ok(seed)) = (arguments.first(), seed.transpose()) else {
        eprintln!("usage: generate PROMPT [SEED [FILE]]");
        std::process::exit(2);
    };
    if let Err(error) = run(prompt, seed, arguments.get(2).map(Path::new)).await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
