//! Single parameters of Alibaba's requests, read and checked.

use std::time::SystemTime;

use jiff::tz::Offset;

use crate::canonical::{Parameters, moment, read_calendar};
use crate::vocabulary::{Fault, Page, Place};

/// Page sizes of the backup lists ("Request parameters" of `DescribeBackups`).
pub(super) const BACKUP_PAGES: [u64; 5] = [30, 50, 100, 200, 300];
pub(super) const DEFAULT_PAGE: u64 = 30;
pub(super) const MAX_INSTANCE_PAGE: u64 = 50;
pub(super) const MAX_INSTANCE_IDS: usize = 30;
/// How `-1`, "as long as the instance lives", is told in days: a hundred years.
pub(super) const FOREVER_DAYS: u32 = 36_500;
/// How the id of a cluster's backup begins; its number follows.
const CLUSTER_BACKUP: &str = "cb-";

pub(super) fn bad(name: &str, why: &str) -> Fault {
    Fault::BadParameter { name: name.to_owned(), why: why.to_owned() }
}

/// The value of a parameter; an empty one counts as absent.
pub(super) fn text<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

pub(super) fn owned(parameters: &Parameters, name: &str) -> Option<String> {
    text(parameters, name).map(str::to_owned)
}

pub(super) fn required<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, Fault> {
    text(parameters, name).ok_or_else(|| Fault::MissingParameter(name.to_owned()))
}

pub(super) fn integer(parameters: &Parameters, name: &str) -> Result<Option<i64>, Fault> {
    text(parameters, name).map(str::parse).transpose().map_err(|_| bad(name, "must be a whole number"))
}

/// Ids that the vendor counts from 1.
pub(super) fn number(parameters: &Parameters, name: &str) -> Result<Option<u64>, Fault> {
    let positive = |value| u64::try_from(value).ok().filter(|value| *value > 0);
    let value = integer(parameters, name)?;
    value.map(|value| positive(value).ok_or_else(|| bad(name, "must be a positive number"))).transpose()
}

/// A time with minutes, as the vendor documents it, or with seconds, as its answers show it.
pub(super) fn time(parameters: &Parameters, name: &str) -> Result<SystemTime, Fault> {
    let value = required(parameters, name)?;
    ["0000-00-00T00:00Z", "0000-00-00T00:00:00Z"]
        .into_iter()
        .find_map(|template| read_calendar(value, template))
        .and_then(|calendar| moment(calendar, Offset::UTC))
        .ok_or_else(|| bad(name, "must be like 2026-01-31T23:59Z"))
}

pub(super) fn page(parameters: &Parameters, fits: impl Fn(u64) -> bool, sizes: &str) -> Result<Page, Fault> {
    let limit = match integer(parameters, "PageSize")? {
        None => DEFAULT_PAGE,
        Some(size) => {
            u64::try_from(size).ok().filter(|size| fits(*size)).ok_or_else(|| bad("PageSize", sizes))?
        }
    };
    let number = integer(parameters, "PageNumber")?.unwrap_or(1);
    let number = u32::try_from(number).ok().filter(|number| *number > 0);
    let number = number.ok_or_else(|| bad("PageNumber", "must be a positive number"))?;
    Ok(Page { offset: (u64::from(number) - 1) * limit, limit })
}

pub(super) fn backup_page(parameters: &Parameters) -> Result<Page, Fault> {
    page(parameters, |size| BACKUP_PAGES.contains(&size), "must be 30, 50, 100, 200 or 300")
}

/// The region is all that a call says about where it looks.
pub(super) fn place(parameters: &Parameters) -> Place {
    Place::in_region(owned(parameters, "RegionId"))
}

/// The id of a backup in every form that an answer shows: a part's or a set's number, `cb-` and a set's
/// number, or the backup's own id.
pub(super) fn backup_id(text: &str) -> String {
    let number = text.strip_prefix(CLUSTER_BACKUP).filter(|rest| rest.parse::<u64>().is_ok());
    number.unwrap_or(text).to_owned()
}

/// How an answer names a cluster's backup.
pub(super) fn cluster_backup_id(number: u64) -> String {
    format!("{CLUSTER_BACKUP}{number}")
}
