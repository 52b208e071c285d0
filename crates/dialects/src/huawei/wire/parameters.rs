//! Parameters in a query and members of a JSON body.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::times;
use crate::canonical::{Parameters, pairs_by, query, unescape};
use crate::vocabulary::{Fault, Page, Request};

/// Why a body cannot be read: there is none, or it is no JSON object. DCS has a code for each.
pub(in crate::huawei) const NO_BODY: &str = "the body is empty";
/// See [`NO_BODY`].
pub(in crate::huawei) const NOT_JSON: &str = "the body is not a JSON object";

/// A parameter that does not fit.
pub(in crate::huawei) fn bad(name: &str, why: &str) -> Fault {
    Fault::BadParameter { name: name.to_owned(), why: why.to_owned() }
}

/// A parameter that is absent.
pub(in crate::huawei) fn missing(name: &str) -> Fault {
    Fault::MissingParameter(name.to_owned())
}

/// The parameters of a query. An empty one counts as absent: the Go SDK sends such.
pub(super) struct Query(Parameters);

impl Query {
    /// Reads the query; a parameter that the action does not have, or one given twice, is refused.
    pub(super) fn read(request: &Request, known: &[&str]) -> Result<Self, Fault> {
        let mut parameters = Parameters::new();
        for (name, value) in pairs_by(query(request), unescape)? {
            if !known.contains(&name.as_str()) {
                return Err(Fault::UnknownParameter(name));
            }
            if parameters.contains_key(&name) {
                return Err(bad(&name, "is given twice"));
            }
            parameters.insert(name, value);
        }
        parameters.retain(|_, value| !value.is_empty());
        Ok(Self(parameters))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    pub(super) fn required(&self, name: &str) -> Result<String, Fault> {
        self.owned(name).ok_or_else(|| missing(name))
    }

    /// Refuses filters that cannot be applied: to ignore one would show too much.
    pub(super) fn refuse(&self, names: &[&str]) -> Result<(), Fault> {
        match names.iter().find(|name| self.0.contains_key(**name)) {
            Some(name) => Err(bad(name, "is not supported as a filter")),
            None => Ok(()),
        }
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<SystemTime>, Fault> {
        let read = |text| times::read(text).ok_or_else(|| bad(name, "is not a time"));
        self.text(name).map(read).transpose()
    }

    /// `true` or `false`; absent is false.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Fault> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(bad(name, "must be true or false")),
        }
    }

    /// `offset` and `limit`.
    pub(super) fn page(&self, default: u64, limits: RangeInclusive<u64>) -> Result<Page, Fault> {
        let offset = self.number("offset")?.unwrap_or(0);
        let limit = self.number("limit")?.unwrap_or(default);
        if limits.contains(&limit) {
            Ok(Page { offset, limit })
        } else {
            Err(bad("limit", &format!("must be {} to {}", limits.start(), limits.end())))
        }
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Fault> {
        let read = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or_else(|| bad(name, "must be a number, not negative"))
        };
        self.text(name).map(read).transpose()
    }
}

/// The members of a JSON object. One that is null counts as absent.
pub(super) struct Body<'a>(&'a Map<String, Value>);

/// Reads the JSON object that a request has as its body.
pub(super) fn body(request: &Request) -> Result<Map<String, Value>, Fault> {
    let malformed = |why: &str| Fault::MalformedRequest(why.to_owned());
    if request.body().is_empty() {
        return Err(malformed(NO_BODY));
    }
    serde_json::from_slice(request.body()).map_err(|_| malformed(NOT_JSON))
}

impl<'a> Body<'a> {
    /// An object's members; one that the action does not have is refused.
    pub(super) fn new(members: &'a Map<String, Value>, known: &[&str]) -> Result<Self, Fault> {
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Fault::UnknownParameter(name.clone())),
            None => Ok(Self(members)),
        }
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text; an empty one counts as absent.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(bad(name, "must be a text")),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<&'a str, Fault> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// A whole number, or one as a text where the vendor's services do not agree.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Fault> {
        let read = |value: &Value| match value {
            Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            other => other.as_u64(),
        };
        self.value(name)
            .map(|value| read(value).ok_or_else(|| bad(name, "must be a whole number")))
            .transpose()
    }

    /// A member that is an object itself.
    pub(super) fn object(&self, name: &str, known: &[&str]) -> Result<Option<Body<'a>>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Body::new(members, known).map(Some),
            Some(_) => Err(bad(name, "must be an object")),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        let items = match self.value(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(bad(name, "must be a list")),
        };
        let read = |item: &Value| item.as_str().map(str::to_owned);
        items.iter().map(read).collect::<Option<_>>().ok_or_else(|| bad(name, "must hold texts"))
    }
}
