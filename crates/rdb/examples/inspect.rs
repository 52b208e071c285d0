//! Prints the prefixes of a file's keys that take the most memory: for measuring `inspect` by itself.

use std::{env, fs::File, io::BufReader, process::ExitCode};

use keystow_rdb::{InspectOptions, Limits, inspect};

/// Large enough for few system calls, small enough for the CPU's second-level cache.
const BUFFER_BYTES: usize = 256 << 10;

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn main() -> ExitCode {
    let Some(path) = env::args_os().nth(1) else {
        println!("usage: inspect FILE");
        return ExitCode::from(2);
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) => {
            println!("cannot open {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let source = BufReader::with_capacity(BUFFER_BYTES, file);
    match inspect(source, Limits::default(), &InspectOptions::default()) {
        Ok(found) => {
            for (prefix, sums) in found.prefixes.rows {
                println!("{:>12} {:>9} {}*", sums.memory_bytes, sums.keys, prefix.escape_ascii());
            }
            ExitCode::SUCCESS
        }
        Err(fault) => {
            println!("{}: {fault}", fault.reason.code());
            ExitCode::from(7)
        }
    }
}
