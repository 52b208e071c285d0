//! The parameters of an action: all are texts, and a list is `name.0`, `name.1` and so on.

use std::time::SystemTime;

use super::{BEIJING, TIME_TEMPLATE};
use crate::canonical::{Parameters as Pairs, moment, read_calendar};
use crate::vocabulary::{Fault, Page};

/// More than one record is shown by lists only, and no more than so many.
const MAX_LIMIT: u64 = 1000;
/// What every request has beside an action's own parameters.
const COMMON: [&str; 10] = [
    "Action",
    "Nonce",
    "Region",
    "RequestClient",
    "SecretId",
    "Signature",
    "SignatureMethod",
    "Timestamp",
    "Token",
    "Version",
];

/// The parameters of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters<'a>(pub(super) &'a Pairs);

impl<'a> Parameters<'a> {
    /// Refuses a parameter that the action does not have. A list's items have a number.
    pub(super) fn only(self, known: &[&str], lists: &[&str]) -> Result<Self, Fault> {
        let is_known = |name: &str| match name.split_once('.') {
            None => known.contains(&name) || COMMON.contains(&name),
            Some((list, index)) => lists.contains(&list) && index.parse::<u16>().is_ok(),
        };
        match self.0.keys().find(|name| !is_known(name)) {
            Some(name) => Err(Fault::UnknownParameter(name.clone())),
            None => Ok(self),
        }
    }

    /// A text; an empty one counts as absent.
    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A text that must be there.
    pub(super) fn required(self, name: &str) -> Result<String, Fault> {
        self.text(name).map(str::to_owned).ok_or_else(|| Fault::MissingParameter(name.to_owned()))
    }

    /// A whole number that must be there and is not negative.
    pub(super) fn number(self, name: &str) -> Result<u64, Fault> {
        let text = self.required(name)?;
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or_else(|| bad(name, "must be a whole number"))
    }

    /// `limit` and `offset`, which count records; lists must have both.
    pub(super) fn page(self) -> Result<Page, Fault> {
        let (limit, offset) = (self.number("limit")?, self.number("offset")?);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(bad("limit", &format!("must be 1 to {MAX_LIMIT}")));
        }
        Ok(Page { offset, limit })
    }

    /// `beginTime` and `endTime`, both included.
    pub(super) fn range(self) -> Result<(Option<SystemTime>, Option<SystemTime>), Fault> {
        let (since, until) = (self.time("beginTime")?, self.time("endTime")?);
        match (since, until) {
            (Some(since), Some(until)) if until < since => Err(bad("endTime", "is before beginTime")),
            range => Ok(range),
        }
    }

    fn time(self, name: &str) -> Result<Option<SystemTime>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let time = read_calendar(text, TIME_TEMPLATE).and_then(|calendar| moment(calendar, BEIJING));
        time.map(Some).ok_or_else(|| bad(name, "must be like 2026-01-31 23:59:59"))
    }

    /// The items of a list in order of their numbers, which must run from 0 without a gap.
    pub(super) fn list(self, name: &str) -> Result<Vec<&'a str>, Fault> {
        let item = |index: usize| self.0.get(&format!("{name}.{index}")).map(String::as_str);
        let items: Vec<&str> = (0..self.0.len()).map_while(item).collect();
        let count =
            self.0.keys().filter(|key| key.split_once('.').is_some_and(|(list, _)| list == name)).count();
        if items.len() == count { Ok(items) } else { Err(bad(name, "must be numbered from 0 on")) }
    }
}

/// A value that does not fit.
pub(super) fn bad(name: &str, why: &str) -> Fault {
    Fault::BadParameter { name: name.to_owned(), why: why.to_owned() }
}
