//! Which addresses a message may go to: never one that belongs to the host itself or its provider, where a request that
//! looks like ours would mean something. Names are looked up once, and what was judged is what is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::error::{Error, Kind, Result};
use crate::model::AddressRange;

/// Nobody's receiver: this host as such, link-local addresses, where providers answer for a machine's credentials, such
/// services beyond them (Alibaba Cloud, Azure, Oracle Cloud, AWS, Google Cloud), multicast, reserved, and IPv6 addresses that
/// stand for IPv4 ones in a way of a network's own.
const NEVER: [&str; 15] = [
    "0.0.0.0/8",
    "169.254.0.0/16",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "fd00:ec2::254",
    "fd20:ce::254",
    "64:ff9b:1::/48",
    "2001::/32",
];

/// Judges addresses.
#[derive(Clone)]
pub(super) struct Guard(Arc<Vec<AddressRange>>);

impl Guard {
    /// Denies these as well.
    pub(super) fn new(denied: &[AddressRange]) -> Self {
        let never = NEVER.iter().filter_map(|range| range.parse().ok());
        Self(Arc::new(never.chain(denied.iter().copied()).collect()))
    }

    fn admits(&self, address: IpAddr) -> bool {
        let is_denied = |address: IpAddr| self.0.iter().any(|range| range.contains(address));
        !is_denied(address) && !inner(address).is_some_and(|inner| is_denied(inner.into()))
    }

    /// Refuses a URL with an address that is denied. A name is judged when it is looked up.
    pub(super) fn check(&self, url: &Url) -> Result<()> {
        let host = url.host_str().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match bare.parse::<IpAddr>() {
            Ok(address) if !self.admits(address) => Err(denied(host)),
            _ if bare.is_empty() => Err(Error::invalid("the receiver's URL has no host")),
            _ => Ok(()),
        }
    }
}

/// The IPv4 address that an IPv6 address stands for.
fn inner(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let of = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        // Mapped, compatible, NAT64.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
            if address != Ipv6Addr::LOCALHOST =>
        {
            Some(of(high, low))
        }
        // 6to4.
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

fn denied(host: &str) -> Error {
    Error::new(Kind::Invalid, "WEBHOOK_ADDRESS_DENIED", format!("{host} may not be reached by webhooks"))
        .hint("choose another receiver; see notify.deny and docs/operate/webhooks.md")
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted: Vec<SocketAddr> = found.filter(|found| guard.admits(found.ip())).collect();
            if admitted.is_empty() {
                return Err(denied(name.as_str()).into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(address: &str) -> bool {
        Guard::new(&["10.9.0.0/16".parse().unwrap()]).admits(address.parse().unwrap())
    }

    #[test]
    fn every_range_of_the_list_reads() {
        assert_eq!(Guard::new(&[]).0.len(), NEVER.len());
    }

    #[test]
    fn intranets_are_reached_and_machines_services_are_not() {
        for good in ["203.0.113.7", "10.0.0.1", "192.168.1.1", "127.0.0.1", "::1", "2001:db8::1", "fd12::1"] {
            assert!(admits(good), "{good}");
        }
        for bad in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "10.9.1.1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::ffff:10.9.1.1",
        ] {
            assert!(!admits(bad), "{bad}");
        }
    }

    #[test]
    fn an_address_in_any_spelling_is_judged() {
        let guard = Guard::new(&[]);
        for host in [
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.254.43518",
            "[::ffff:a9fe:a9fe]",
            "[0:0:0:0:0:ffff:169.254.169.254]",
            "[fe80::1]",
            "%31%36%39.254.169.254",
            "169.254.169.254.",
        ] {
            let url = Url::parse(&format!("http://{host}/latest/meta-data")).unwrap();
            let refused = guard.check(&url).err().map(|error| error.code);
            assert_eq!(refused, Some("WEBHOOK_ADDRESS_DENIED"), "{host}");
        }
    }
}
