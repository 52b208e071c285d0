//! The vendor's many spellings of a moment.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::tz::Offset;

use crate::canonical::{moment, read_calendar, write_calendar};

/// Of the backup list of v3: UTC, no zone.
pub(super) const BLANK: &str = "%Y-%m-%d %H:%M:%S";
/// Of v3.1, v4, jobs and links.
pub(super) const ZONED: &str = "%Y-%m-%dT%H:%M:%S+0000";
/// Of instances: UTC, no zone.
pub(super) const BARE: &str = "%Y-%m-%dT%H:%M:%S";
/// Of DCS.
pub(super) const MILLIS: &str = "%Y-%m-%dT%H:%M:%S.000Z";
/// Of IAM; its SDK insists on the fraction.
pub(super) const MICROS: &str = "%Y-%m-%dT%H:%M:%S.000000Z";

/// Writes a moment.
pub(super) fn write(at: SystemTime, format: &str) -> String {
    write_calendar(at, Offset::UTC, format)
}

/// A moment as UNIX milliseconds.
pub(super) fn unix_millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Reads a moment in any of the vendor's formats. A plus between date and time is an escaped blank, a
/// blank before the zone an unescaped plus.
pub(super) fn read(text: &str) -> Option<SystemTime> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return read_digits(text);
    }
    let (date_time, zone) = text.split_at_checked(19)?;
    let templates = ["0000-00-00T00:00:00", "0000-00-00 00:00:00", "0000-00-00+00:00:00"];
    let calendar = templates.iter().find_map(|template| read_calendar(date_time, template))?;
    let zone = match zone.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|letter: char| letter.is_ascii_digit()),
        None => zone,
    };
    moment(calendar, read_zone(zone)?)
}

/// `yyyyMMddHHmmss`, or UNIX milliseconds.
fn read_digits(text: &str) -> Option<SystemTime> {
    if text.len() != 14 {
        return UNIX_EPOCH.checked_add(Duration::from_millis(text.parse().ok()?));
    }
    let (date, time) = text.split_at(8);
    let spaced = format!(
        "{}-{}-{} {}:{}:{}",
        date.get(..4)?,
        date.get(4..6)?,
        date.get(6..)?,
        time.get(..2)?,
        time.get(2..4)?,
        time.get(4..)?
    );
    moment(read_calendar(&spaced, "0000-00-00 00:00:00")?, Offset::UTC)
}

fn read_zone(text: &str) -> Option<Offset> {
    if matches!(text, "" | "Z") {
        return Some(Offset::UTC);
    }
    let (sign, digits) = text.split_at_checked(1)?;
    let sign = match sign {
        "+" | " " => 1,
        "-" => -1,
        _ => return None,
    };
    let digits = digits.replacen(':', "", 1);
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    let (hours, minutes) = (number / 100, number % 100);
    if minutes > 59 { None } else { Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok() }
}

/// An offset of a zone such as `+0800`, in minutes east of UTC.
pub(super) fn zone_minutes(text: &str) -> Option<i32> {
    read_zone(text).map(|offset| offset.seconds() / 60)
}

/// The first moment of a day such as `2026-01-31`, UTC, and its last second.
pub(super) fn day(text: &str) -> Option<(SystemTime, SystemTime)> {
    let start = (text.len() == 10).then(|| read(&format!("{text}T00:00:00")))??;
    Some((start, start.checked_add(Duration::from_secs(86_399))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_moment_is_read() {
        let expected = Some(UNIX_EPOCH + Duration::from_hours(498_680));
        for text in [
            "2026-11-21 08:00:00",
            "2026-11-21+08:00:00",
            "2026-11-21T08:00:00",
            "2026-11-21T08:00:00Z",
            "2026-11-21T08:00:00.000Z",
            "2026-11-21T08:00:00.999999Z",
            "2026-11-21T08:00:00+0000",
            "2026-11-21T08:00:00 0000",
            "2026-11-21T16:00:00+08:00",
            "2026-11-21T03:30:00-0430",
            "20261121080000",
            "1795248000000",
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_moment() {
        for text in [
            "",
            "2026-11-21",
            "2026-02-30T00:00:00Z",
            "2026-11-21T08:00:00+08",
            "2026-11-21T08:00:00+0860",
            "2026-11-21T08:00:00+9900",
            "2026-11-21T08:00:00x",
            "2026-11-21T08:00:0é",
            "99999999999999",
            "99999999999999999999",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
