//! Who a client is: the other end of the socket, or whom a trusted proxy names.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use keystow_engine::links::AddressRange;

/// The addresses on the way, each proxy adding the one that it was reached from.
pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// How the client reached the first proxy: `http` or `https`.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A client, as far as its connection and the proxies that are trusted tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address. The port is 0 if a proxy named the address.
    pub(crate) address: SocketAddr,
    /// Whether it speaks TLS, to us or to the proxy.
    pub(crate) tls: bool,
}

/// Proxies that are believed.
#[derive(Debug, Default)]
pub(crate) struct TrustedProxies(pub(crate) Vec<AddressRange>);

impl TrustedProxies {
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }

    /// The client of a request that came over a connection from `peer`.
    pub(super) fn client(&self, peer: SocketAddr, tls: bool, headers: &HeaderMap) -> Client {
        if !self.trusts(peer.ip()) {
            return Client { address: peer, tls };
        }
        let tls = match headers.get_all(FORWARDED_PROTO).iter().next_back() {
            // As with the addresses, what the nearest proxy says stands last.
            Some(value) => value
                .as_bytes()
                .rsplit(|b| *b == b',')
                .next()
                .is_some_and(|last| last.trim_ascii() == b"https"),
            None => tls,
        };
        Client { address: self.first_untrusted(peer, headers), tls }
    }

    /// Walks back from the nearest proxy to the first address that none of ours vouches for. What stands before
    /// that is the client's own word. A walk that meets something else than an address ends where it began.
    fn first_untrusted(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let mut found = peer;
        for value in headers.get_all(FORWARDED_FOR).iter().rev() {
            for entry in value.as_bytes().rsplit(|b| *b == b',') {
                let Some(address) = address(entry.trim_ascii()) else { return peer };
                found = SocketAddr::new(address, 0);
                if !self.trusts(address) {
                    return found;
                }
            }
        }
        found
    }
}

/// An address with or without a port and brackets, as proxies write them.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parsed: Option<IpAddr> = bare.parse().ok();
    parsed.or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip())).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PROXY: &str = "10.0.0.1:4000";

    fn client(trusted: &[&str], peer: &str, values: &[&str]) -> String {
        let proxies = TrustedProxies(trusted.iter().map(|range| range.parse().unwrap()).collect());
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        proxies.client(peer.parse().unwrap(), false, &headers).address.ip().to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_who_the_client_is() {
        let named = |trusted: &[&str]| client(trusted, PROXY, &["203.0.113.7"]);
        assert_eq!(named(&[]), "10.0.0.1");
        assert_eq!(named(&["10.0.0.2"]), "10.0.0.1");
        assert_eq!(named(&["10.0.0.0/8"]), "203.0.113.7");
    }

    #[test]
    fn what_a_client_puts_in_front_does_not_count() {
        let trusted = ["10.0.0.0/8"];
        for (values, expected) in [
            (&["198.51.100.1, 203.0.113.7"][..], "203.0.113.7"),
            (&["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7, 10.0.0.9"], "203.0.113.7"),
            (&["nonsense, 203.0.113.7"], "203.0.113.7"),
            (&["10.1.1.1, 10.0.0.9"], "10.1.1.1"),
            (&["203.0.113.7:55"], "203.0.113.7"),
            (&["[2001:db8::1]:55"], "2001:db8::1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:203.0.113.7"], "203.0.113.7"),
        ] {
            assert_eq!(client(&trusted, PROXY, values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_leaves_the_proxys_own_address() {
        for values in [
            &["unknown"][..],
            &[""],
            &["203.0.113.7,"],
            &["203.0.113.7", "x"],
            &["203.0.113.7, bad, 10.0.0.9"],
        ] {
            assert_eq!(client(&["10.0.0.0/8"], PROXY, values), "10.0.0.1", "{values:?}");
        }
    }

    #[test]
    fn the_nearest_trusted_proxy_says_whether_the_client_speaks_tls() {
        let proxies = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap()]);
        let is_tls = |peer: &str, own: bool, value: &'static str| {
            let headers = HeaderMap::from_iter([(FORWARDED_PROTO, HeaderValue::from_static(value))]);
            proxies.client(peer.parse().unwrap(), own, &headers).tls
        };
        assert!(is_tls(PROXY, false, "https"));
        assert!(is_tls(PROXY, false, "http, https"));
        assert!(!is_tls(PROXY, true, "https, http"));
        assert!(!is_tls("203.0.113.7:1", false, "https"));
        assert!(is_tls("203.0.113.7:1", true, "http"));
    }

    proptest! {
        #[test]
        fn the_last_address_of_the_nearest_proxy_wins(front in "[ -~]{0,80}") {
            let value = format!("{front}, 203.0.113.7");
            prop_assert_eq!(client(&["10.0.0.0/8"], PROXY, &[&value]), "203.0.113.7");
        }

        #[test]
        fn reading_an_address_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = address(&bytes);
        }
    }
}
