//! Addresses that may use a link.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::Error;

/// A range of addresses in CIDR form; a bare address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    network: IpAddr,
    prefix: u8,
}

impl AddressRange {
    /// Whether the range holds an address. An IPv4 address in IPv6 clothes counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl AddressRange {
    /// The addresses that both hold: the narrower of two ranges of which one holds the other.
    pub fn meet(self, other: Self) -> Option<Self> {
        let (wide, narrow) = if self.prefix <= other.prefix { (self, other) } else { (other, self) };
        wide.contains(narrow.network).then_some(narrow)
    }
}

impl From<IpAddr> for AddressRange {
    fn from(address: IpAddr) -> Self {
        let network = address.to_canonical();
        Self { network, prefix: if network.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for AddressRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::invalid(format!(
                "'{}' is not an address or CIDR",
                text.chars().take(60).collect::<String>()
            ))
            .hint("write it as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32")
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let alone = Self::from(address.parse::<IpAddr>().map_err(|_| bad())?);
        let prefix = match prefix {
            None => alone.prefix,
            Some(digits) => digits.parse().ok().filter(|prefix| *prefix <= alone.prefix).ok_or_else(bad)?,
        };
        Ok(Self { prefix, ..alone })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_should() {
        let cases = [
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "::ffff:203.0.113.7", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::9", true),
            ("::/0", "2001:db8::1", true),
        ];
        for (range, address, holds) in cases {
            let range: AddressRange = range.parse().unwrap();
            assert_eq!(range.contains(address.parse().unwrap()), holds, "{range} {address}");
        }
    }

    #[test]
    fn two_ranges_meet_in_the_narrower_one_or_nowhere() {
        let range = |text: &str| text.parse::<AddressRange>().unwrap();
        for (one, other, both) in [
            ("10.0.0.0/8", "10.1.0.0/16", Some("10.1.0.0/16")),
            ("10.1.2.3", "10.0.0.0/8", Some("10.1.2.3/32")),
            ("10.0.0.0/8", "10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.0.0.0/8", "11.0.0.0/8", None),
            ("0.0.0.0/0", "2001:db8::/32", None),
        ] {
            let met = range(one).meet(range(other));
            assert_eq!(met.map(|met| met.to_string()).as_deref(), both, "{one} {other}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/-1", "::/129", "1.2.3.4/", "example.com"] {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
    }
}
