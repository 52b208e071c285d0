//! Writes a file's keys as JSON lines, commands or CSV: `cargo run --example export -- dump.rdb resp`.

use std::{
    env,
    error::Error,
    fs::File,
    io::{BufReader, stdout},
};

use keystow_rdb::{ExportOptions, Form, Limits, export};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = env::args().skip(1);
    let path = words.next().ok_or("usage: export FILE [jsonl|resp|csv]")?;
    let form = match words.next().as_deref() {
        None | Some("jsonl") => Form::JsonLines,
        Some("resp") => Form::Commands,
        Some("csv") => Form::Csv,
        Some(other) => return Err(format!("{other} is none of jsonl, resp, csv").into()),
    };
    let options = ExportOptions { form, ..ExportOptions::default() };
    export(BufReader::new(File::open(path)?), Limits::default(), &options, stdout().lock())?;
    Ok(())
}
