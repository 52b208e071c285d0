//! Connections to servers that say anything.

use proptest::prelude::*;

use super::*;

fn reply_to(reads: Vec<Vec<u8>>) -> Result<Reply> {
    Connection::scripted(reads, Timeouts::default()).reply()
}

fn read(bytes: &[u8]) -> Reply {
    reply_to(vec![bytes.to_vec()]).unwrap()
}

fn code(bytes: &[u8]) -> &'static str {
    reply_to(vec![bytes.to_vec()]).unwrap_err().code
}

#[test]
fn replies_of_every_kind_are_read() {
    let text = |bytes: &[u8]| format!("{:?}", reply_to(vec![bytes.to_vec()]).unwrap());
    assert_eq!(text(b"+PONG\r\n"), "Simple(\"PONG\")");
    assert_eq!(text(b":42\r\n"), "Integer(42)");
    assert_eq!(text(b"-ERR no\r\n"), "Error(\"ERR no\")");
    assert_eq!(text(b"\n\n\r\n+OK\r\n"), "Simple(\"OK\")", "keepalives are skipped");
    assert_eq!(read(b"$2\r\na\n\r\n"), Reply::Bulk(Some(b"a\n".to_vec())));
    assert_eq!((read(b"$-1\r\n"), read(b"*-1\r\n")), (Reply::Bulk(None), Reply::Array(None)));
    let nested = read(b"*3\r\n:1\r\n*1\r\n$1\r\na\r\n*0\r\n");
    let inner = Reply::Array(Some(vec![Reply::Bulk(Some(b"a".to_vec()))]));
    assert_eq!(nested, Reply::Array(Some(vec![Reply::Integer(1), inner, Reply::Array(Some(Vec::new()))])));
}

#[test]
fn fields_are_found_by_name() {
    let reply = read(b"*4\r\n$1\r\na\r\n:7\r\n$4\r\nport\r\n$4\r\n6379\r\n");
    assert_eq!(reply.field("a").and_then(Reply::number), Some(7));
    assert_eq!(reply.field("port").and_then(Reply::number), Some(6379));
    assert_eq!((reply.field("6379"), read(b"+OK\r\n").field("OK")), (None, None));
}

#[test]
fn a_long_string_arrives_whole_and_only_where_it_was_expected() {
    let body = vec![b'x'; 3_000_000];
    let sent = || {
        let mut sent = Vec::new();
        add_length(&mut sent, b'$', body.len());
        [sent, body.clone(), b"\r\n+OK\r\n".to_vec()]
            .concat()
            .chunks(9_999)
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    let mut connection = Connection::scripted(sent(), Timeouts::default());
    let limit = body.len() + 10;
    let read = connection.reply_within(limit, Duration::from_mins(1)).unwrap();
    assert_eq!(read, Reply::Bulk(Some(body.clone())));
    assert_eq!(connection.reply().unwrap(), Reply::Simple("OK".to_owned()));
    let mut connection = Connection::scripted(sent(), Timeouts::default());
    let refused = connection.reply_within(body.len() - 1, Duration::from_mins(1)).unwrap_err();
    assert_eq!(refused.code, "SOURCE_NOT_REDIS");
}

#[test]
fn commands_are_written_as_servers_read_them() {
    let mut out = Vec::new();
    encode(&mut out, &[b"SET", b"a\r\n", b""]);
    assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$3\r\na\r\n\r\n$0\r\n\r\n");
}

#[test]
fn what_is_no_reply_is_refused() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"*1048577\r\n+OK\r\n",
        &b"*1\r\n".repeat(9),
        b"*1\r\n*1048576\r\n",
        b":x\r\n",
        b"*x\r\n",
        b"\x15\x03\x03\0\x02\x02\x46\n",
        b"$x\r\n",
        b"$99999999999\r\n",
        b"$9223372036854775807\r\n",
        &vec![b'x'; 128 * 1024],
    ] {
        assert_eq!(code(bytes), "SOURCE_NOT_REDIS", "{}", bytes[..20.min(bytes.len())].escape_ascii());
    }
}

#[test]
fn a_server_that_closes_is_told_from_a_silent_one() {
    for bytes in [&b""[..], b"+PON", b"$5\r\nab", b"*2\r\n+OK\r\n", b"*1000000\r\n"] {
        assert_eq!(code(bytes), "SOURCE_CLOSED");
    }
    let none = Timeouts { reply: Duration::ZERO, silence: Duration::ZERO };
    // Bytes do come, but too late: a reply that drips in must not hold a worker for hours.
    let mut dripping = Connection::scripted((0..100).map(|_| b"+".to_vec()), none);
    assert_eq!(dripping.reply().unwrap_err().code, "SOURCE_SILENT");
}

#[test]
fn the_reasons_of_servers_get_stable_codes() {
    let connection = Connection::scripted([], Timeouts::default());
    for (text, expected) in [
        ("NOAUTH Authentication required.", "SOURCE_AUTH"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "SOURCE_AUTH"),
        ("ERR invalid password", "SOURCE_AUTH"),
        ("NOPERM this user has no permissions to run the 'psync' command", "SOURCE_DENIED"),
        ("LOADING Redis is loading the dataset in memory", "SOURCE_LOADING"),
        ("NOMASTERLINK Can't SYNC while not connected with my master", "SOURCE_BUSY"),
        ("ERR unknown command 'PSYNC', with args beginning with: '?' '-1' ", "SOURCE_NO_PSYNC"),
        ("ERR something else", "SOURCE_REFUSED"),
        ("", "SOURCE_REFUSED"),
    ] {
        assert_eq!(connection.refusal("act", text).code, expected, "{text}");
    }
    assert!(connection.refusal("act", "LOADING x").worth_retrying());
    assert!(!connection.refusal("act", "WRONGPASS x").worth_retrying());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let _ = reply_to(reads);
    }

    #[test]
    fn a_reply_reads_the_same_however_it_is_cut(body in prop::collection::vec(any::<u8>(), 0..60), cut in 0usize..80) {
        let mut whole = format!("\n${}\r\n", body.len()).into_bytes();
        whole.extend_from_slice(&body);
        whole.extend_from_slice(b"\r\n");
        let (head, tail) = whole.split_at(cut.min(whole.len()));
        let read = reply_to(vec![head.to_vec(), tail.to_vec()]).unwrap();
        prop_assert!(matches!(read, Reply::Bulk(Some(found)) if found == body));
    }
}
