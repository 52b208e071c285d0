//! A small S3 server on a folder, for tests: each folder in it is a bucket.
//!
//! `s3_server ADDR FOLDER ACCESS_KEY SECRET` prints `ready` when it listens, and runs until it is killed.

#[path = "s3_server/server.rs"]
mod server;

use std::io::Write;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, folder, key, secret] = words.as_slice() else {
        return Err("usage: s3_server ADDR FOLDER ACCESS_KEY SECRET".into());
    };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        writeln!(std::io::stdout(), "ready")?;
        server::serve(listener, &PathBuf::from(folder), key, secret).await
    })
}
