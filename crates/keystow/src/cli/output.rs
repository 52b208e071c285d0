//! What commands print: data to stdout, as tables for people or as JSON for programs; everything else to stderr.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use comfy_table::{Table, TableStyle};
use serde::{Serialize, Serializer};

use crate::failure::{Exit, Failure};

/// How a command speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// JSON in place of text.
    pub(crate) json: bool,
    /// Neither progress nor notes.
    pub(crate) quiet: bool,
}

impl Output {
    /// Prints a value: the wire type itself for programs, `text` for people.
    pub(crate) fn value<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.json { json(value) } else { emit(text(value).as_bytes()) }
    }

    /// Says something beside the data to a person; programs read the exit code.
    pub(crate) fn note(self, message: &str) {
        if !self.quiet && !self.json {
            say(message);
        }
    }

    /// Says something that matters, whatever the form of the output.
    pub(crate) fn warn(self, message: &str) {
        if !self.quiet {
            say(&format!("warning: {message}"));
        }
    }
}

/// Asks before something is lost, but only where a person can answer; `yes` answers beforehand.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(());
    }
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{} [y/N] ", plain(question));
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::file("cannot read the answer", &error))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Interrupted, "CANCELLED", "nothing was changed"))
}

/// Writes data to stdout. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn emit(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::file("cannot write to standard output", &error))
        }
        _ => Ok(()),
    }
}

/// The code of a failure that is none: whoever read our output has seen enough (`| head`).
const CLOSED: &str = "OUTPUT_CLOSED";

/// Whether a file to write is named as standard output is.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Standard output without the standard library's buffer, for what is written in large pieces.
pub(crate) fn stdout() -> Result<File, Failure> {
    let stdout = std::io::stdout().as_fd().try_clone_to_owned();
    stdout.map(File::from).map_err(|error| Failure::file("cannot open the output", &error))
}

/// What a command that writes by itself fails with when nobody reads its output any more.
pub(crate) fn closed() -> Failure {
    Failure::new(Exit::Failure, CLOSED, "nobody reads the output any more")
}

/// Nothing where nobody reads the output any more, which is no failure.
pub(crate) fn unless_closed<T>(outcome: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match outcome {
        Err(failure) if failure.code == CLOSED => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// Writes a line to stderr.
fn say(message: &str) {
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr().lock(), "{message}");
}

/// Prints a value as JSON.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), Failure> {
    let mut json = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(Exit::Failure, "INTERNAL", "cannot write JSON").because(error))?;
    json.push('\n');
    emit(json.as_bytes())
}

/// Prints a line of data.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    emit(format!("{text}\n").as_bytes())
}

/// Prints a table.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    emit(grid(header, rows).as_bytes())
}

/// A table without borders, its header in capitals.
pub(crate) fn grid(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(header.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { plain(cell) }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", line.trim_end());
        text
    })
}

/// Names and values below each other; values that are not there are left out.
pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let pairs: Vec<_> =
        pairs.into_iter().filter_map(|(name, value)| value.map(|value| (name, plain(&value)))).collect();
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    pairs.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:width$}  {value}");
        text
    })
}

/// A key or prefix in JSON: text, or `{"base64":"…"}` for bytes that are none, as in an export.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) Vec<u8>);

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Coded {
            base64: String,
        }
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Coded { base64: STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

/// Text of others without line feeds and terminal control sequences.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Bytes as a person reads them, such as `2.84 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// A count with its thousands apart, such as `18,400,000`.
pub(crate) fn count(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// An RFC 3339 moment as a person reads it, in UTC and whole seconds.
pub(crate) fn moment(text: &str) -> String {
    text.parse::<jiff::Timestamp>()
        .map_or_else(|_| text.to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// `yes` or `no`.
pub(crate) fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_no_borders_and_no_trailing_blanks() {
        let text = grid(
            &["ID", "STATE"],
            vec![vec!["a".into(), "available".into()], vec!["longer".into(), String::new()]],
        );
        assert_eq!(text, "ID      STATE\na       available\nlonger  -\n");
    }

    #[test]
    fn values_that_are_absent_are_left_out() {
        let text = pairs([("id", Some("x".into())), ("region", None), ("server", Some("redis\n7".into()))]);
        assert_eq!(text, "id      x\nserver  redis 7\n");
    }

    #[test]
    fn sizes_and_moments_are_for_people() {
        assert_eq!(size(1536), "1.50 KiB");
        assert_eq!(count(18_400_000), "18,400,000");
        assert_eq!(moment("2026-11-21T19:02:03.123456Z"), "2026-11-21 19:02:03Z");
        assert_eq!(moment("soon"), "soon");
    }

    #[test]
    fn control_sequences_never_reach_the_terminal() {
        assert_eq!(plain("a\x1b[31mb\r\n"), "a [31mb  ");
    }
}
