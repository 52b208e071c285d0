use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};

use proptest::prelude::*;

use super::link::{Piece, parse};
use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn guest() -> Guest {
    Guest { ip: Some(HERE), ports: vec![7000], password: Some(Secret::new("one-time")) }
}

/// What a replica that says this hears, up to so many bytes.
fn hears(guest: Guest, says: &str, payload: Payload<'_>, bytes: usize) -> (String, Result<()>, Served) {
    let primary = Primary::listen(HERE, guest, Duration::from_secs(5)).unwrap();
    let (served, stop) = (Served::default(), CancellationToken::new());
    let (heard, result) = std::thread::scope(|scope| {
        let serving = scope.spawn(|| primary.serve(payload, &served, &stop));
        let mut socket = TcpStream::connect((HERE, primary.port())).unwrap();
        socket.write_all(says.as_bytes()).unwrap();
        let mut heard = Vec::new();
        let _ = (&mut socket).take(bytes as u64).read_to_end(&mut heard);
        stop.cancel();
        (heard, serving.join().unwrap())
    });
    (String::from_utf8(heard).unwrap(), result, served)
}

fn lines(commands: &[&str]) -> String {
    let mut out = Vec::new();
    for command in commands {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        crate::redis::encode(&mut out, &words);
    }
    String::from_utf8(out).unwrap()
}

const OPENING: [&str; 5] =
    ["PING", "AUTH one-time", "REPLCONF listening-port 7000", "REPLCONF capa eof capa psync2", "PSYNC ? -1"];
const ANSWERS: usize = "-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n+OK\r\n".len();
const FULL_RESYNC: usize = "+FULLRESYNC  1\r\n".len() + 40;

fn snapshot(bytes: &'static [u8]) -> impl FnMut(&mut [u8]) -> Result<usize> + Send {
    let mut rest = bytes;
    move |buffer| {
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        rest = &rest[length..];
        Ok(length)
    }
}

#[test]
fn the_target_gets_the_file_as_it_is() {
    let mut next = snapshot(b"REDIS0011 and so on");
    let payload = Payload::Whole { size_bytes: 19, next: &mut next };
    let bytes = ANSWERS + FULL_RESYNC + "$19\r\n".len() + 19;
    let (heard, result, served) = hears(guest(), &lines(&OPENING), payload, bytes);
    assert!(heard.ends_with("$19\r\nREDIS0011 and so on"), "{heard}");
    assert!(result.is_ok() && served.is_whole() && served.sent_bytes() == 19);
    assert!(!served.is_acknowledged());
}

#[test]
fn what_is_made_on_the_way_ends_with_its_mark() {
    let mut make = |out: &mut dyn Write| out.write_all(b"made").map_err(|error| Error::internal("", error));
    let bytes = ANSWERS + FULL_RESYNC + "$EOF:\r\n".len() + 40 + 4 + 40;
    let (heard, result, served) = hears(guest(), &lines(&OPENING), Payload::Made(&mut make), bytes);
    let (_, rest) = heard.split_once("$EOF:").unwrap();
    let (mark, rest) = rest.split_once("\r\n").unwrap();
    assert_eq!(rest, format!("made{mark}"));
    assert!(result.is_ok() && served.is_whole());
}

#[test]
fn what_fails_at_its_end_is_not_sent_whole() {
    let mut rest: &[u8] = b"REDIS0011 and so on";
    let mut next = |buffer: &mut [u8]| {
        if rest.is_empty() {
            return Err(Error::new(Kind::Corrupt, "OBJECT_DAMAGED", "not what it was"));
        }
        let length = rest.len();
        buffer[..length].copy_from_slice(rest);
        rest = b"";
        Ok(length)
    };
    let payload = Payload::Whole { size_bytes: 19, next: &mut next };
    let (heard, result, served) = hears(guest(), &lines(&OPENING), payload, 10_000);
    assert!(heard.ends_with("$19\r\n"), "{heard}");
    assert_eq!(result.unwrap_err().code, "OBJECT_DAMAGED");
    assert!(!served.is_whole());
}

#[test]
fn strangers_get_nothing() {
    let from_elsewhere = Guest { ip: Some("192.0.2.1".parse().unwrap()), ..guest() };
    let cases: [(Guest, &[&str]); 6] = [
        (from_elsewhere, &OPENING),
        (guest(), &["PSYNC ? -1"]),
        (guest(), &["AUTH wrong"]),
        (guest(), &["AUTH one-time", "PSYNC ? -1"]),
        (guest(), &["AUTH one-time", "REPLCONF listening-port 7001", "PSYNC ? -1"]),
        (guest(), &["AUTH one-time", "REPLCONF listening-port 7000", "GET secret"]),
    ];
    for (guest, says) in cases {
        let mut next = snapshot(b"secret");
        let payload = Payload::Whole { size_bytes: 6, next: &mut next };
        let (heard, result, _) = hears(guest, &lines(says), payload, 1000);
        assert!(heard.ends_with("-ERR this is not for you\r\n"), "{says:?}: {heard}");
        assert_eq!(result.unwrap_err().code, "CANCELLED");
    }
}

#[test]
fn commands_are_taken_apart_however_they_come() {
    let whole = b"\n\r\n*2\r\n$4\r\nPING\r\n$0\r\n\r\n*1";
    let Piece::Whole((command, used)) = parse(whole) else { panic!("no command") };
    assert_eq!((command, used), (vec![b"PING".to_vec(), Vec::new()], whole.len() - 2));
    for end in 0..whole.len() - 2 {
        assert!(matches!(parse(&whole[..end]), Piece::Cut), "{end}");
    }
    for bytes in
        [&b"GET / HTTP/1.1\r\n"[..], b"*0\r\n", b"*-1\r\n", b"*99\r\n", b"*1\r\n$99999\r\n", b"*1\r\n+OK\r\n"]
    {
        assert!(matches!(parse(bytes), Piece::Junk), "{}", bytes.escape_ascii());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = parse(&bytes);
        let _ = parse(&[b"*2\r\n$3\r\n".as_slice(), &bytes].concat());
    }
}
