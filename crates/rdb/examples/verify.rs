//! Verifies one file and prints what it holds: for measuring the reader by itself.

use std::{env, fs::File, io::BufReader, process::ExitCode};

use keystow_rdb::{Limits, verify};

/// Large enough for few system calls, small enough for the CPU's second-level cache.
const BUFFER_BYTES: usize = 256 << 10;

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn main() -> ExitCode {
    let Some(path) = env::args_os().nth(1) else {
        println!("usage: verify FILE");
        return ExitCode::from(2);
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) => {
            println!("cannot open {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    match verify(BufReader::with_capacity(BUFFER_BYTES, file), Limits::default()) {
        Ok(report) => {
            println!("{report:#?}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{}: {failure}", failure.fault.reason.code());
            ExitCode::from(7)
        }
    }
}
