//! Kinds of values: lengths of time, sizes, and ranges of addresses.

use std::time::Duration;

use keystow_engine::links::AddressRange;
use serde::Deserialize;

/// A length of time, written as `90s`, `15m`, `6h` or `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Period(pub(crate) Duration);

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let bad = || format!("'{text}' is not a length of time; write it as 90s, 15m, 6h or 7d");
        let (digits, unit) = text.split_at(text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return Err(bad()),
        };
        let count: u64 = digits.parse().map_err(|_| bad())?;
        let total = count.checked_mul(seconds).filter(|total| (1..=10 * 366 * 86_400).contains(total));
        total.map(|total| Self(Duration::from_secs(total))).ok_or_else(bad)
    }
}

/// An address or a range of them, written as `10.1.2.3` or `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Cidr(pub(crate) AddressRange);

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse().map(Self).map_err(|error: keystow_engine::Error| error.message.into_owned())
    }
}

/// A number of bytes, written as `0`, `512MiB`, `1GiB` or `2TiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Size(pub(crate) u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let bad = || format!("'{text}' is not a size; write it as 512MiB or 1GiB");
        let (digits, unit) = text.split_at(text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
        let shift = match unit {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err(bad()),
        };
        let count: u64 = digits.parse().map_err(|_| bad())?;
        count.checked_mul(1 << shift).map(Self).ok_or_else(bad)
    }
}
