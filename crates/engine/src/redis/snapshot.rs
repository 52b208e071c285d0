//! The handshake of a replica, and the snapshot that follows it (Redis `src/replication.c`).

use std::thread;
use std::time::{Duration, Instant};

use super::pace::Pace;
use super::{Connection, Reply};
use crate::error::{Error, Kind, Result};

/// A snapshot that the server has begun: its moment is settled, its bytes are not on their way yet.
pub struct Started {
    connection: Connection,
    /// Replication id of the snapshot's moment.
    pub replication_id: String,
    /// Replication offset of the snapshot's moment.
    pub replication_offset: i64,
    /// Whether the server sends the snapshot alone (`rdb-only`). If not (Redis before 6.2), it takes us for a replica
    /// and queues the stream of changes for us meanwhile.
    pub rdb_only: bool,
}

/// A snapshot on its way: the payload frame was read, its bytes come next.
pub struct Snapshot {
    connection: Option<Connection>,
    frame: Frame,
    pace: Option<Pace>,
    /// Replication id of the snapshot's moment.
    pub replication_id: String,
    /// Replication offset of the snapshot's moment.
    pub replication_offset: i64,
    /// Whether the server sends the snapshot alone; see [`Started::rdb_only`].
    pub rdb_only: bool,
}

/// How the payload ends.
enum Frame {
    /// `$<length>`: after so many bytes.
    Length { left: u64, total: u64 },
    /// `$EOF:<mark>`: before these 40 bytes. `tail` is what was read last and may be the mark.
    Mark { mark: Vec<u8>, tail: Vec<u8>, ended: bool },
}

const MARK_BYTES: usize = 40;

/// How long the server may take in all before it answers PSYNC, and again before the first bytes, whatever keepalives it
/// sends meanwhile: its host has one place, and others wait for it.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// How long the server may take to close after it has sent everything.
const GOODBYE: Duration = Duration::from_millis(500);

/// Asks for a snapshot alone (`rdb-only`): the primary queues no stream for us and does not count us for WAIT. Waits
/// until the snapshot's moment is settled, which may take until others that are under way have ended.
pub fn begin_snapshot(mut connection: Connection) -> Result<Started> {
    // Port 0: we take no connections. Options that a server does not know are refused without harm.
    let options: [&[&[u8]]; 4] = [
        &[b"REPLCONF", b"listening-port", b"0"],
        &[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"],
        // Valkey 9 writes its newest format only for a replica that announces a new version.
        &[b"REPLCONF", b"version", b"255.255.255"],
        &[b"REPLCONF", b"rdb-only", b"1"],
    ];
    let mut rdb_only = false;
    for option in options {
        let reply = connection.call(option)?;
        if let Reply::Error(text) = &reply
            && ["NOAUTH", "NOPERM", "LOADING"].iter().any(|code| text.starts_with(code))
        {
            return Err(connection.refusal("take part in replication (REPLCONF)", text));
        }
        // The last one is what counts.
        rdb_only = matches!(reply, Reply::Simple(_));
    }
    connection.send(&[b"PSYNC", b"?", b"-1"])?;
    let (replication_id, replication_offset) = full_resync(&mut connection)?;
    Ok(Started { connection, replication_id, replication_offset, rdb_only })
}

impl Started {
    /// Waits for the first bytes. A server that saves to its disk first may take its time.
    pub fn payload(mut self) -> Result<Snapshot> {
        let frame = payload_frame(&mut self.connection)?;
        Ok(Snapshot {
            connection: Some(self.connection),
            frame,
            pace: None,
            replication_id: self.replication_id,
            replication_offset: self.replication_offset,
            rdb_only: self.rdb_only,
        })
    }
}

/// The reply to PSYNC.
fn full_resync(connection: &mut Connection) -> Result<(String, i64)> {
    let line = next_line(connection, Instant::now() + LONGEST_WAIT)?;
    let text = String::from_utf8_lossy(&line).into_owned();
    if let Some(error) = text.strip_prefix('-') {
        return Err(connection.refusal("take a snapshot (PSYNC)", error));
    }
    let mut words = text.strip_prefix('+').unwrap_or_default().split(' ');
    match (words.next(), words.next(), words.next().map(str::parse)) {
        (Some("FULLRESYNC"), Some(id), Some(Ok(offset))) => Ok((id.to_owned(), offset)),
        _ => Err(connection.no_redis("an odd reply to PSYNC")),
    }
}

fn payload_frame(connection: &mut Connection) -> Result<Frame> {
    let line = next_line(connection, Instant::now() + LONGEST_WAIT)?;
    let text = String::from_utf8_lossy(&line).into_owned();
    if let Some(error) = text.strip_prefix('-') {
        return Err(connection.refusal("send its snapshot", error));
    }
    if let Some(mark) = text.strip_prefix("$EOF:").filter(|mark| mark.len() == MARK_BYTES) {
        let mark = mark.as_bytes().to_vec();
        return Ok(Frame::Mark { mark, tail: Vec::with_capacity(MARK_BYTES), ended: false });
    }
    let length = text.strip_prefix('$').and_then(|digits| digits.parse().ok());
    length
        .map(|total| Frame::Length { left: total, total })
        .ok_or_else(|| connection.no_redis("an odd frame around its snapshot"))
}

/// The next line that says something. Empty ones before it are keepalives, and each is worth another full wait, up to
/// `end`.
fn next_line(connection: &mut Connection, end: Instant) -> Result<Vec<u8>> {
    loop {
        let line = connection.line(connection.silence_deadline().min(end))?;
        if !line.is_empty() {
            return Ok(line);
        }
        if Instant::now() >= end {
            return Err(Error::new(
                Kind::Unreachable,
                "SOURCE_SILENT",
                "the source sends keepalives, and no snapshot",
            )
            .because(format!("it had {} minutes", LONGEST_WAIT.as_secs() / 60))
            .hint("look at its own log: its snapshots may fail, or wait for others that do not end"));
        }
    }
}

impl Snapshot {
    /// Bytes of the snapshot, where the server said so beforehand.
    pub fn total_bytes(&self) -> Option<u64> {
        match self.frame {
            Frame::Length { total, .. } => Some(total),
            Frame::Mark { .. } => None,
        }
    }

    /// Reads no more than so many bytes a second from here on, in pieces of at most a quarter of that; `None` = as
    /// fast as they come. The server's forked child lives as long as the transfer takes.
    #[must_use]
    pub fn limit(mut self, bytes_per_second: Option<u64>) -> Self {
        self.pace = bytes_per_second.map(|limit| Pace::new(limit, Instant::now()));
        self
    }

    /// The next bytes of the snapshot into `buffer` (which must have room for the end mark and more); 0 at its
    /// proper end. A transfer that stops before is an error.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        // Without a connection it has ended.
        let Some(connection) = &mut self.connection else { return Ok(0) };
        let Some(pace) = &mut self.pace else { return self.read_at_once(buffer) };
        pace.wait(connection.cancel());
        let room = pace.burst().min(buffer.len());
        let read = self.read_at_once(&mut buffer[..room])?;
        if let Some(pace) = &mut self.pace {
            pace.add(read, Instant::now());
        }
        Ok(read)
    }

    fn read_at_once(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(connection) = &mut self.connection else { return Ok(0) };
        let read = self.frame.read(connection, buffer)?;
        if self.frame.has_ended()
            && let Some(connection) = self.connection.take()
        {
            self.part_from(connection);
        }
        Ok(read)
    }

    /// Leaves nothing connected. A server that takes us for a replica is left at once: it has a stream for us. One that
    /// sent the snapshot alone closes by itself, a moment after the end mark; to close before it looks to it like a
    /// failure, and Valkey then kills the child that has just finished and logs that. (Redis 6.2 never closes.)
    fn part_from(&self, connection: Connection) {
        if !self.rdb_only || matches!(self.frame, Frame::Length { .. }) {
            connection.shut_down();
            return;
        }
        // Nobody has to wait for it; if there is no thread for it, it is closed here.
        let goodbye = move || connection.await_close(GOODBYE);
        let _ = thread::Builder::new().name("redis-goodbye".to_owned()).spawn(goodbye);
    }
}

impl Frame {
    fn has_ended(&self) -> bool {
        matches!(self, Self::Length { left: 0, .. } | Self::Mark { ended: true, .. })
    }

    /// The next bytes; 0 only at the end.
    fn read(&mut self, connection: &mut Connection, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Length { left: 0, .. } | Self::Mark { ended: true, .. } => Ok(0),
            Self::Length { left, .. } => {
                let room = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                let read = connection.read_payload(&mut buffer[..room])?;
                *left -= read as u64;
                if read == 0 { Err(cut_short(connection)) } else { Ok(read) }
            }
            Self::Mark { mark, tail, ended } => loop {
                // The mark is the last thing sent, so only the last bytes can be it. They are held back until
                // more arrive.
                let kept = tail.len();
                buffer[..kept].copy_from_slice(tail);
                let read = connection.read_payload(&mut buffer[kept..])?;
                if read == 0 {
                    return Err(cut_short(connection));
                }
                let filled = kept + read;
                let keep = filled.min(MARK_BYTES);
                tail.clear();
                tail.extend_from_slice(&buffer[filled - keep..filled]);
                if tail == mark {
                    *ended = true;
                }
                if *ended || filled > keep {
                    return Ok(filled - keep);
                }
            },
        }
    }
}

fn cut_short(connection: &Connection) -> Error {
    let closed = connection.closed();
    Error::new(Kind::Unreachable, "TRANSFER_TRUNCATED", "the source stopped in the middle of its snapshot")
        .because(closed.message)
        .hint("look at the server's own log: it may have died, run out of memory, or dropped a slow replica")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::Timeouts;

    const MARK: &[u8] = b"0123456789abcdef0123456789abcdef01234567";

    /// The start of what a server sends for a snapshot, with keepalives wherever they may stand.
    fn opening(frame: &str) -> Vec<u8> {
        let id = "a".repeat(40);
        let options = "+OK\r\n+OK\r\n-ERR Unrecognized REPLCONF option: version\r\n+OK\r\n";
        format!("{options}\n\n+FULLRESYNC {id} 777\r\n\n\n{frame}\r\n").into_bytes()
    }

    fn request(reads: impl IntoIterator<Item = Vec<u8>>) -> Result<Snapshot> {
        begin_snapshot(Connection::scripted(reads, Timeouts::default()))?.payload()
    }

    fn read_all(snapshot: &mut Snapshot, room: usize) -> Result<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; room]);
        loop {
            match snapshot.read(&mut buffer)? {
                0 => return Ok(all),
                read => all.extend_from_slice(&buffer[..read]),
            }
        }
    }

    fn marked() -> String {
        format!("$EOF:{}", std::str::from_utf8(MARK).unwrap())
    }

    /// Payloads that are hard to tell from the mark: empty, shorter than it, and full of its beginnings.
    fn payloads() -> [Vec<u8>; 4] {
        [
            Vec::new(),
            b"REDIS".to_vec(),
            MARK[..39].to_vec(),
            [MARK, &MARK[..20], b"x", MARK, b"REDIS0010"].concat(),
        ]
    }

    #[test]
    fn the_end_mark_is_found_wherever_the_reads_are_cut() {
        for payload in payloads() {
            let sent = [&payload[..], MARK].concat();
            for cut in 0..=sent.len() {
                // A read that ends in the whole mark by itself is where even servers take it for the end.
                if cut < sent.len() && sent[..cut].ends_with(MARK) {
                    continue;
                }
                for room in [MARK_BYTES + 1, 64, 4096] {
                    let reads = [opening(&marked()), sent[..cut].to_vec(), sent[cut..].to_vec()];
                    let mut snapshot = request(reads).unwrap();
                    assert_eq!((snapshot.total_bytes(), snapshot.replication_offset), (None, 777));
                    // A small buffer cuts the reads as well, and may cut behind a mark inside the payload.
                    if room == 4096 || !payload.windows(MARK.len()).any(|window| window == MARK) {
                        assert_eq!(read_all(&mut snapshot, room).unwrap(), payload, "cut {cut}, room {room}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_end_mark_is_found_byte_by_byte_and_behind_the_frame() {
        let payload = b"REDIS0010 and more than forty bytes of it, so that some are held back".to_vec();
        let sent = [opening(&marked()), payload.clone(), MARK.to_vec()].concat();
        let mut one_by_one = request(sent.iter().map(|byte| vec![*byte])).unwrap();
        assert_eq!(read_all(&mut one_by_one, 64).unwrap(), payload);
        let mut at_once = request([sent]).unwrap();
        assert_eq!(read_all(&mut at_once, 4096).unwrap(), payload);
        assert_eq!(at_once.read(&mut [0; 64]).unwrap(), 0, "the end stays the end");
    }

    #[test]
    fn a_snapshot_of_known_length_ends_there() {
        let sent = [opening("$5"), b"REDIS*1\r\n$4\r\nPING\r\n".to_vec()].concat();
        for cut in 0..sent.len() {
            let mut snapshot = request([sent[..cut].to_vec(), sent[cut..].to_vec()]).unwrap();
            assert_eq!(snapshot.total_bytes(), Some(5));
            assert_eq!(read_all(&mut snapshot, 64).unwrap(), b"REDIS");
        }
    }

    #[test]
    fn a_transfer_that_stops_before_its_end_is_an_error() {
        let payload = b"REDIS0010 and so on, more than a mark has bytes".to_vec();
        let marked = [&payload[..], MARK].concat();
        for end in 0..marked.len() {
            let mut snapshot = request([opening(&self::marked()), marked[..end].to_vec()]).unwrap();
            assert_eq!(read_all(&mut snapshot, 64).unwrap_err().code, "TRANSFER_TRUNCATED", "{end}");
        }
        for end in 0..payload.len() {
            let mut snapshot = request([opening("$47"), payload[..end].to_vec()]).unwrap();
            assert_eq!(read_all(&mut snapshot, 64).unwrap_err().code, "TRANSFER_TRUNCATED", "{end}");
        }
    }

    #[test]
    fn bytes_behind_the_end_mark_are_no_proper_end() {
        let sent = [b"REDIS0010", MARK, b"\r\n*1\r\n"].concat();
        let mut snapshot = request([opening(&marked()), sent]).unwrap();
        assert_eq!(read_all(&mut snapshot, 4096).unwrap_err().code, "TRANSFER_TRUNCATED");
    }

    #[test]
    fn keepalives_are_worth_a_wait_that_ends() {
        let connection = || {
            let reads = [b"\n".to_vec(), b"\n".to_vec(), b"+FULLRESYNC\r\n".to_vec()];
            Connection::scripted(reads, Timeouts::default())
        };
        let line = next_line(&mut connection(), Instant::now() + LONGEST_WAIT).unwrap();
        assert_eq!(line, b"+FULLRESYNC");
        let error = next_line(&mut connection(), Instant::now()).unwrap_err();
        assert_eq!((error.kind, error.code), (Kind::Unreachable, "SOURCE_SILENT"));
    }

    #[test]
    fn odd_answers_are_not_taken_for_a_snapshot() {
        let ok = "+OK\r\n+OK\r\n+OK\r\n+OK\r\n";
        let full = format!("{ok}+FULLRESYNC {} 1\r\n", "a".repeat(40));
        for (sent, code) in [
            (format!("{ok}+CONTINUE\r\n"), "SOURCE_NOT_REDIS"),
            (format!("{ok}+FULLRESYNC abc\r\n"), "SOURCE_NOT_REDIS"),
            (format!("{ok}-NOMASTERLINK no\r\n"), "SOURCE_BUSY"),
            (format!("{ok}-ERR unknown command 'PSYNC'\r\n"), "SOURCE_NO_PSYNC"),
            (format!("{full}$x\r\n"), "SOURCE_NOT_REDIS"),
            (format!("{full}$-1\r\n"), "SOURCE_NOT_REDIS"),
            (format!("{full}$EOF:short\r\n"), "SOURCE_NOT_REDIS"),
            (format!("{full}-ERR fork failed\r\n"), "SOURCE_REFUSED"),
            (full.clone(), "SOURCE_CLOSED"),
            ("-NOPERM no\r\n".to_owned(), "SOURCE_DENIED"),
        ] {
            assert_eq!(request([sent.clone().into_bytes()]).err().unwrap().code, code, "{sent}");
        }
    }

    #[test]
    fn it_is_known_whether_the_server_sends_the_snapshot_alone() {
        let full = format!("+FULLRESYNC {} 5\r\n$0\r\n", "a".repeat(40));
        for (reply, alone) in [("+OK", true), ("-ERR Unrecognized REPLCONF option: rdb-only", false)] {
            let sent = format!("+OK\r\n+OK\r\n+OK\r\n{reply}\r\n{full}").into_bytes();
            let started = begin_snapshot(Connection::scripted([sent], Timeouts::default())).unwrap();
            assert_eq!((started.rdb_only, started.replication_offset), (alone, 5));
            let mut snapshot = started.payload().unwrap();
            assert_eq!((snapshot.rdb_only, snapshot.read(&mut [0; 64]).unwrap()), (alone, 0));
        }
    }

    #[test]
    fn a_limited_snapshot_is_the_same_in_smaller_pieces() {
        let payload: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        let reads = [opening(&marked()), payload.clone(), MARK.to_vec()];
        let mut snapshot = request(reads).unwrap().limit(Some(4_000_000));
        let (mut all, mut buffer, start) = (Vec::new(), vec![0; payload.len() * 2], Instant::now());
        loop {
            match snapshot.read(&mut buffer).unwrap() {
                0 => break,
                read => {
                    assert!(read <= 1_000_000);
                    all.extend_from_slice(&buffer[..read]);
                }
            }
        }
        assert!(all == payload);
        assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
    }
}
