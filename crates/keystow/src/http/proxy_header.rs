//! The PROXY protocol: what a proxy says of the client before anything else, in version 1 (text) and 2 (binary).
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Both versions are longer than this.
const SHORTEST: usize = 12;
/// The longest line of version 1, its end included.
const LONGEST_V1: usize = 107;
/// The fixed part of version 2. Its last two bytes are the length of the rest.
const FIXED_V2: usize = 16;
/// The longest rest of version 2 that is taken: addresses, and what some proxies add.
const LONGEST_V2: usize = 2048;

/// Reads the header and not a byte more. `None` means that the connection is the proxy's own.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut bytes = vec![0; SHORTEST];
    from.read_exact(&mut bytes).await?;
    if bytes == v2::PROTOCOL_PREFIX {
        bytes.resize(FIXED_V2, 0);
        from.read_exact(&mut bytes[SHORTEST..]).await?;
        let rest = usize::from(u16::from_be_bytes([bytes[FIXED_V2 - 2], bytes[FIXED_V2 - 1]]));
        if rest > LONGEST_V2 {
            return Err(malformed("the header is too long"));
        }
        bytes.resize(FIXED_V2 + rest, 0);
        from.read_exact(&mut bytes[FIXED_V2..]).await?;
    } else if bytes.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        // One by one: what follows the line belongs to TLS or HTTP.
        while !bytes.ends_with(b"\r\n") {
            if bytes.len() == LONGEST_V1 {
                return Err(malformed("the header is too long"));
            }
            bytes.push(from.read_u8().await?);
        }
    }
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> io::Result<Option<SocketAddr>> {
    match HeaderResult::parse(bytes) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Unknown => None,
            v1::Addresses::Tcp4(pair) => Some(socket(pair.source_address, pair.source_port)),
            v1::Addresses::Tcp6(pair) => Some(socket(pair.source_address, pair.source_port)),
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(pair)) => {
                Some(socket(pair.source_address, pair.source_port))
            }
            (v2::Command::Proxy, v2::Addresses::IPv6(pair)) => {
                Some(socket(pair.source_address, pair.source_port))
            }
            // A health check of the proxy, or a client that came over no network.
            _ => None,
        }),
        HeaderResult::V1(Err(error)) => Err(malformed(error)),
        HeaderResult::V2(Err(error)) => Err(malformed(error)),
    }
}

fn socket(address: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into().to_canonical(), port)
}

fn malformed(cause: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no PROXY protocol header: {cause}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read, and what is left for the next reader.
    fn read_from(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, usize) {
        let mut from = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(read(&mut from));
        (found, from.len())
    }

    fn binary(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut bytes = v2::PROTOCOL_PREFIX.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
        bytes.extend(addresses);
        bytes
    }

    #[test]
    fn both_versions_name_the_client_and_leave_what_follows() {
        let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb];
        let with_more = [&v4[..], &[0x04, 0, 1, 0]].concat();
        let mut v6 = [0; 36];
        v6[15] = 1;
        for (header, expected) in [
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 4660 443\r\n".to_vec(), Some("203.0.113.7:4660")),
            (b"PROXY TCP6 2001:db8::1 ::1 4660 443\r\n".to_vec(), Some("[2001:db8::1]:4660")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (binary(1, 0x11, &v4), Some("203.0.113.7:4660")),
            (binary(1, 0x11, &with_more), Some("203.0.113.7:4660")),
            (binary(1, 0x21, &v6), Some("[::1]:0")),
            (binary(0, 0x11, &v4), None),
            (binary(0, 0, &[]), None),
            (binary(1, 0, &[]), None),
            (binary(1, 0x31, &[0; 216]), None),
        ] {
            let (found, left) = read_from(&[&header[..], b"GET /"].concat());
            assert_eq!(found.unwrap(), expected.map(|address| address.parse().unwrap()), "{header:?}");
            assert_eq!(left, 5, "{header:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 203.0.113.7\r\n",
            b"PROXY TCP4 a b c d\r\n ",
            b"PROXY",
            &long,
            &binary(7, 0x11, &[0; 12]),
            &binary(1, 0x11, &[0; 4]),
            &binary(1, 0x11, &[0; 3000]),
        ] {
            assert!(read_from(bytes).0.is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_from(&bytes);
            let _ = read_from(&[v2::PROTOCOL_PREFIX, &bytes].concat());
            let _ = read_from(&[b"PROXY ", &bytes[..]].concat());
            let _ = parse(&bytes);
        }
    }
}
