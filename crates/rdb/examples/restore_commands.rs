//! Writes the commands that restore a file, for `redis-cli --pipe`:
//! `cargo run --example restore_commands -- dump.rdb redis-7.2 [replace] [max=BYTES] [ttl=strip|shift:MS|drop:MS]`.
//! The sums go to standard error.

use std::{
    env,
    error::Error,
    fs::File,
    io::{self, BufReader, BufWriter, Write, stderr, stdout},
};

use keystow_rdb::{RestoreEntry, RestoreOptions, RestoreSink, Ttl, restore};

/// Large enough for few system calls, small enough for the CPU's second-level cache.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes everything to one connection.
struct Pipe<W>(W);

impl<W: Write> Pipe<W> {
    fn command(&mut self, words: &[&[u8]]) -> io::Result<()> {
        write!(self.0, "*{}\r\n", words.len())?;
        for word in words {
            write!(self.0, "${}\r\n", word.len())?;
            self.0.write_all(word)?;
            self.0.write_all(b"\r\n")?;
        }
        Ok(())
    }
}

impl<W: Write> RestoreSink for Pipe<W> {
    fn database(&mut self, index: u64) -> io::Result<()> {
        self.command(&[b"SELECT", index.to_string().as_bytes()])
    }

    fn entry(&mut self, entry: RestoreEntry<'_>) -> io::Result<()> {
        self.0.write_all(entry.command)
    }

    fn function(&mut self, code: &[u8]) -> io::Result<()> {
        self.command(&[b"FUNCTION", b"LOAD", b"REPLACE", code])
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    const USAGE: &str =
        "usage: restore_commands FILE VERSION [replace] [max=BYTES] [ttl=strip|shift:MS|drop:MS]";
    let mut words = env::args().skip(1);
    let file = File::open(words.next().ok_or(USAGE)?)?;
    let mut options = RestoreOptions::new(words.next().ok_or(USAGE)?.parse()?);
    for word in words {
        match word.split_once('=').unwrap_or((&word, "")) {
            ("replace", "") => options.replace = true,
            ("max", bytes) => options.max_value_bytes = bytes.parse()?,
            ("ttl", ttl) => options.changes.ttl = parse(ttl).ok_or(USAGE)?,
            _ => return Err(USAGE.into()),
        }
    }
    let mut pipe = Pipe(BufWriter::with_capacity(BUFFER_BYTES, stdout().lock()));
    let restored = restore(BufReader::with_capacity(BUFFER_BYTES, file), &mut pipe, &options)?;
    pipe.0.flush()?;
    writeln!(stderr(), "{restored:#?}")?;
    Ok(())
}

fn parse(ttl: &str) -> Option<Ttl> {
    Some(match ttl.split_once(':') {
        None if ttl == "strip" => Ttl::Strip,
        Some(("shift", ms)) => Ttl::Shift { by_ms: ms.parse().ok()? },
        Some(("drop", ms)) => Ttl::DropExpired { now_ms: ms.parse().ok()? },
        _ => return None,
    })
}
