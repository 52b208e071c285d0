//! A primary that does what no real one can be made to do, and strangers that are no primary at all.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Serves each connection with `serve`; gives the URL.
pub(crate) fn listen(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(socket));
        }
    });
    format!("redis://127.0.0.1:{port}")
}

/// A primary that answers PSYNC with these bytes, in these pieces, and closes.
pub(crate) fn primary(pieces: Vec<Vec<u8>>) -> String {
    primary_that_says("redis_version:7.0.15\r\nrole:master\r\n", pieces)
}

/// The same, with that for its INFO.
pub(crate) fn primary_that_says(info: &'static str, pieces: Vec<Vec<u8>>) -> String {
    listen(move |socket| {
        let _ = serve(socket, info, &pieces);
    })
}

/// The payload in a frame of known length.
pub(crate) fn with_length(payload: &[u8]) -> Vec<Vec<u8>> {
    vec![full_resync(), format!("${}\r\n", payload.len()).into_bytes(), payload.to_vec()]
}

/// The line before every payload.
pub(crate) fn full_resync() -> Vec<u8> {
    format!("+FULLRESYNC {} 100\r\n", "f".repeat(40)).into_bytes()
}

fn serve(socket: TcpStream, info: &str, pieces: &[Vec<u8>]) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut out = socket.try_clone()?;
    for line in BufReader::new(socket).lines() {
        match line?.as_str() {
            "PING" => out.write_all(b"+PONG\r\n")?,
            "INFO" => write!(out, "${}\r\n{info}\r\n", info.len())?,
            "CONFIG" => out.write_all(b"*0\r\n")?,
            "REPLCONF" => out.write_all(b"+OK\r\n")?,
            "ACL" => out.write_all(b"-ERR unknown command 'ACL'\r\n")?,
            "PSYNC" => {
                for piece in pieces {
                    out.write_all(piece)?;
                }
                return Ok(());
            }
            _ => {}
        }
    }
    Ok(())
}

/// CRC-64 of Redis (`src/crc64.c`: Jones polynomial, reflected), bit by bit.
pub(crate) fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x95ac_9329_ac4b_c9b5 } else { crc >> 1 }
        })
    })
}

/// Adds the right checksum.
pub(crate) fn summed(mut body: Vec<u8>) -> Vec<u8> {
    let crc = crc64(&body);
    body.extend_from_slice(&crc.to_le_bytes());
    body
}

/// A sound snapshot of one key.
pub(crate) fn small_snapshot() -> Vec<u8> {
    summed(b"REDIS0010\xfe\x00\x00\x03key\x05value\xff".to_vec())
}
