//! Verifies one file and prints what it holds: for measuring the reader by itself.

use std::{env, error::Error, fs::File, io::BufReader};

use keystow_rdb::{Limits, verify};

/// Large enough for few system calls, small enough for the CPU's second-level cache.
const BUFFER_BYTES: usize = 256 << 10;

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os().nth(1).ok_or("usage: verify FILE")?;
    let source = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
    println!("{:#?}", verify(source, Limits::default())?);
    Ok(())
}
