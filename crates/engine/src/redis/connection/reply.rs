//! Replies of the Redis protocol (RESP 2), read within bounds.

use std::time::{Duration, Instant};

use super::Connection;
use crate::error::Result;

/// Longest line of a reply.
const LONGEST_LINE: usize = 64 * 1024;
/// Longest ordinary reply, all of its strings together. INFO is the longest that a server has much to say in.
const LONGEST_REPLY: usize = 16 * 1024 * 1024;
/// Arrays within arrays; CLUSTER SLOTS has four.
const DEEPEST: usize = 8;
/// Elements of a reply's arrays, all together; CLUSTER SLOTS has some twenty for each range of slots.
const MOST_ELEMENTS: usize = 1 << 20;
/// How much room is made for a string before its bytes come.
const STEP: usize = 256 * 1024;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A status such as `OK`.
    Simple(String),
    /// An error: a code in capitals, and a text.
    Error(String),
    /// A number.
    Integer(i64),
    /// A string; `None` is null.
    Bulk(Option<Vec<u8>>),
    /// Replies in a row; `None` is null.
    Array(Option<Vec<Reply>>),
}

impl Reply {
    /// The text of a status or a string.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Simple(text) => Some(text.clone()),
            Self::Bulk(Some(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }

    /// The number, also where it comes as text.
    pub(in crate::redis) fn number(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            other => other.text()?.parse().ok(),
        }
    }

    /// The elements of an array; none of anything else.
    pub(crate) fn elements(&self) -> &[Self] {
        match self {
            Self::Array(Some(elements)) => elements,
            _ => &[],
        }
    }

    /// What stands behind `name` in an array of names and values in turn.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        let (pairs, _) = self.elements().as_chunks::<2>();
        pairs.iter().find(|[key, _]| key.text().is_some_and(|key| key == name)).map(|[_, value]| value)
    }
}

/// What a reply may still take up.
struct Bounds {
    bytes: usize,
    elements: usize,
    deadline: Instant,
}

impl Connection {
    /// Sends one command and reads its reply.
    pub fn call(&mut self, command: &[&[u8]]) -> Result<Reply> {
        self.send(command)?;
        self.reply()
    }

    /// The reply to one command, within the limits of ordinary ones: 16 MiB and `Timeouts::reply`.
    pub(crate) fn reply(&mut self) -> Result<Reply> {
        self.reply_within(LONGEST_REPLY, self.timeouts.reply)
    }

    /// The reply to one command: at most `limit_bytes` of strings, all of it within `time`.
    pub(crate) fn reply_within(&mut self, limit_bytes: usize, time: Duration) -> Result<Reply> {
        let deadline = Instant::now() + time;
        self.element(&mut Bounds { bytes: limit_bytes, elements: MOST_ELEMENTS, deadline }, 0)
    }

    /// Takes as many `+OK` as have come already, at most `most`, without making a reply of each.
    pub(in crate::redis) fn take_ok(&mut self, most: usize) -> usize {
        const OK: &[u8; 5] = b"+OK\r\n";
        let replies = self.pending[self.used..].as_chunks().0;
        let found = replies.iter().take(most).take_while(|reply| *reply == OK).count();
        self.used += found * OK.len();
        found
    }

    fn element(&mut self, bounds: &mut Bounds, depth: usize) -> Result<Reply> {
        let line = loop {
            let line = self.line(bounds.deadline)?;
            if !line.is_empty() {
                break line;
            }
        };
        bounds.bytes =
            bounds.bytes.checked_sub(line.len()).ok_or_else(|| self.no_redis("an absurdly long reply"))?;
        let rest = String::from_utf8_lossy(&line[1..]).into_owned();
        match line[0] {
            b'+' => Ok(Reply::Simple(rest)),
            b'-' => Ok(Reply::Error(rest)),
            b':' => {
                let number = rest.parse().map_err(|_| self.no_redis("a number that is none"))?;
                Ok(Reply::Integer(number))
            }
            b'$' => {
                let Some(length) = self.length(&rest)? else { return Ok(Reply::Bulk(None)) };
                bounds.bytes = bounds
                    .bytes
                    .checked_sub(length)
                    .ok_or_else(|| self.no_redis("an absurdly long reply"))?;
                let mut body = self.exactly(length + 2, bounds.deadline)?;
                body.truncate(length);
                Ok(Reply::Bulk(Some(body)))
            }
            b'*' => self.array(&rest, bounds, depth),
            0x15 => Err(self.no_redis("an alert of TLS")),
            _ => Err(self.no_redis("bytes that are no reply of the Redis protocol")),
        }
    }

    fn array(&mut self, count: &str, bounds: &mut Bounds, depth: usize) -> Result<Reply> {
        let Some(count) = self.length(count)? else { return Ok(Reply::Array(None)) };
        let left = bounds.elements.checked_sub(count).filter(|_| depth < DEEPEST);
        bounds.elements = left.ok_or_else(|| self.no_redis("an absurdly large reply"))?;
        // Grows as elements come, not as they are announced.
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.element(bounds, depth + 1)?);
        }
        Ok(Reply::Array(Some(elements)))
    }

    /// A length; `None` for the -1 of a null.
    fn length(&self, text: &str) -> Result<Option<usize>> {
        let length: i64 = text.parse().map_err(|_| self.no_redis("a length that is no number"))?;
        Ok(usize::try_from(length).ok())
    }

    /// One line without its end; may be empty (a keepalive).
    pub(in crate::redis) fn line(&mut self, deadline: Instant) -> Result<Vec<u8>> {
        loop {
            if let Some(end) = self.pending[self.used..].iter().position(|b| *b == b'\n') {
                let line = &self.pending[self.used..self.used + end];
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.used += end + 1;
                return Ok(line);
            }
            if self.pending.len() - self.used > LONGEST_LINE {
                return Err(self.no_redis("a line without an end"));
            }
            self.fill(deadline)?;
        }
    }

    /// So many bytes. Room for them is made as they come, not as they are announced.
    fn exactly(&mut self, length: usize, deadline: Instant) -> Result<Vec<u8>> {
        let there = (self.pending.len() - self.used).min(length);
        let mut bytes = self.pending[self.used..self.used + there].to_vec();
        self.used += there;
        while bytes.len() < length {
            let (start, missing) = (bytes.len(), length - bytes.len());
            if missing <= start {
                bytes.reserve_exact(missing);
            }
            bytes.resize(start + missing.min(STEP), 0);
            let read = self.take(&mut bytes[start..], deadline)?;
            bytes.truncate(start + read);
        }
        Ok(bytes)
    }

    fn fill(&mut self, deadline: Instant) -> Result<()> {
        self.pending.drain(..self.used);
        self.used = 0;
        let start = self.pending.len();
        let mut pending = std::mem::take(&mut self.pending);
        pending.resize(start + 16 * 1024, 0);
        let result = self.take(&mut pending[start..], deadline);
        pending.truncate(start + *result.as_ref().unwrap_or(&0));
        self.pending = pending;
        result.map(|_| ())
    }

    /// Reads at least one byte from the socket.
    fn take(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize> {
        match self.socket.wait(buffer, deadline, &self.cancel) {
            Ok(0) => Err(self.closed()),
            Ok(read) => {
                self.heard = true;
                Ok(read)
            }
            Err(error) => Err(self.lost(&error)),
        }
    }
}
