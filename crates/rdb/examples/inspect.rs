//! Prints the prefixes of a file's keys that take the most memory: `cargo run --example inspect -- dump.rdb`.

use std::{env, error::Error, fs::File, io::BufReader};

use keystow_rdb::{InspectOptions, Limits, inspect};

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os().nth(1).ok_or("usage: inspect FILE")?;
    let found = inspect(BufReader::new(File::open(path)?), Limits::default(), &InspectOptions::default())?;
    for (prefix, sums) in found.prefixes.rows {
        println!("{:>12} {:>9} {}*", sums.memory_bytes, sums.keys, prefix.escape_ascii());
    }
    Ok(())
}
