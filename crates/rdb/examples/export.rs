//! Writes a file's keys as JSON lines, commands or CSV: for measuring `export` by itself.

use std::{
    env,
    fs::File,
    io::{BufReader, stdout},
    process::ExitCode,
};

use keystow_rdb::{ExportOptions, Form, Limits, export};

/// Large enough for few system calls, small enough for the CPU's second-level cache.
const BUFFER_BYTES: usize = 256 << 10;

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let Some(path) = words.next() else {
        println!("usage: export FILE [resp|csv]");
        return ExitCode::from(2);
    };
    let form = match words.next() {
        Some(word) if word == "resp" => Form::Commands,
        Some(word) if word == "csv" => Form::Csv,
        _ => Form::JsonLines,
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) => {
            println!("cannot open {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let source = BufReader::with_capacity(BUFFER_BYTES, file);
    let options = ExportOptions { form, ..ExportOptions::default() };
    match export(source, Limits::default(), &options, stdout().lock()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(fault) => {
            println!("{}: {fault}", fault.reason.code());
            ExitCode::from(7)
        }
    }
}
