//! Turns a `DUMP` payload into one for servers of another version: payload in, payload out.

use std::{
    env,
    error::Error,
    io::{Read, Write, stdin, stdout},
};

use keystow_rdb::{Format, Limits, dump::Payload};

fn main() -> Result<(), Box<dyn Error>> {
    let to: Format =
        env::args().nth(1).ok_or("usage: relabel_payload VERSION < PAYLOAD > PAYLOAD")?.parse()?;
    let mut payload = Vec::new();
    stdin().read_to_end(&mut payload)?;
    let relabelled = Payload::open(&payload)?.relabel(to, Limits::default())?;
    Ok(stdout().write_all(&relabelled)?)
}
