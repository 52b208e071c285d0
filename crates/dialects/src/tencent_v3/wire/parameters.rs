//! The three forms that a parameter can take: a JSON value, a flattened name (`LimitVpc.0.Region`)
//! in a query or form, and a part of a multipart body.

use http::Method;
use serde_json::{Map, Value};

use crate::canonical::{Parameters as Pairs, is_form, media_type, merge, peek_header, query};
use crate::tencent_v3::fault::{EMPTY, WRONG_TYPE};
use crate::tencent_v3::sign::{self, Scheme};
use crate::vocabulary::{Fault, Request};

/// Deeper than any action of the vendor nests.
const MAX_DEPTH: usize = 8;
/// What signature v1 adds to an action's own parameters.
const COMMON: [&str; 11] = [
    "Action",
    "Language",
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

/// An action's own parameters.
#[derive(Debug)]
pub(super) struct Parameters {
    members: Map<String, Value>,
    /// In queries, forms and multipart bodies numbers are texts.
    typed: bool,
}

impl Parameters {
    /// Reads the parameters of a request, wherever its scheme has them.
    pub(super) fn read(request: &Request) -> Result<Self, Fault> {
        if Scheme::of(request) == Scheme::V1 {
            let mut pairs = sign::parameters(request)?;
            pairs.retain(|name, _| !COMMON.contains(&name.as_str()));
            return Ok(Self { members: unflatten(pairs)?, typed: false });
        }
        if request.method() == Method::GET {
            return Ok(Self { members: unflatten(merge([query(request)])?)?, typed: false });
        }
        if is_form(request) {
            return Ok(Self { members: unflatten(merge([&request.body()[..]])?)?, typed: false });
        }
        match media_type(request).to_ascii_lowercase().as_str() {
            "application/json" => {
                let members = serde_json::from_slice(request.body())
                    .map_err(|_| Fault::MalformedRequest("the body is not a JSON object".to_owned()))?;
                Ok(Self { members, typed: true })
            }
            "multipart/form-data" => Ok(Self { members: multipart(request)?, typed: false }),
            _ => Err(Fault::MalformedRequest("the Content-Type is not supported".to_owned())),
        }
    }

    /// Refuses a parameter that the action does not have, as the vendor does.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Fault> {
        match self.members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Fault::UnknownParameter(name.clone())),
            None => Ok(()),
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// A text; an empty one counts as absent.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(bad(name, WRONG_TYPE)),
        }
    }

    /// A text that must be there.
    pub(super) fn required(&self, name: &str) -> Result<String, Fault> {
        let absent = || match self.value(name) {
            None => Fault::MissingParameter(name.to_owned()),
            Some(_) => bad(name, EMPTY),
        };
        self.text(name)?.map(str::to_owned).ok_or_else(absent)
    }

    /// A whole number.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Fault> {
        self.value(name).map(|value| self.to_integer(name, value)).transpose()
    }

    fn to_integer(&self, name: &str, value: &Value) -> Result<i64, Fault> {
        let number = match value {
            Value::String(text) if !self.typed => text.parse().ok(),
            other => other.as_i64(),
        };
        number.ok_or_else(|| bad(name, WRONG_TYPE))
    }

    /// Yes or no; as a text Python writes `True`, Node `true`.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Fault> {
        let read = |value: &Value| match value {
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) if !self.typed => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(bad(name, WRONG_TYPE)),
            },
            _ => Err(bad(name, WRONG_TYPE)),
        };
        self.value(name).map(read).transpose()
    }

    /// The items of a list; an absent one is empty.
    pub(super) fn list(&self, name: &str) -> Result<&[Value], Fault> {
        match self.value(name) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(bad(name, WRONG_TYPE)),
        }
    }

    /// A list of whole numbers.
    pub(super) fn integers(&self, name: &str) -> Result<Vec<i64>, Fault> {
        self.list(name)?.iter().map(|item| self.to_integer(name, item)).collect()
    }

    /// A list of texts, none of them empty.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        texts(name, self.list(name)?)
    }

    /// Whether a filter is set: there, and neither null, empty text nor empty list.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| match value {
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => true,
        })
    }
}

/// A value that does not fit.
pub(super) fn bad(name: &str, why: &str) -> Fault {
    Fault::BadParameter { name: name.to_owned(), why: why.to_owned() }
}

/// The texts of a list, none of them empty.
pub(super) fn texts(name: &str, items: &[Value]) -> Result<Vec<String>, Fault> {
    let text = |item: &Value| match item.as_str() {
        Some("") => Err(bad(name, EMPTY)),
        Some(text) => Ok(text.to_owned()),
        None => Err(bad(name, WRONG_TYPE)),
    };
    items.iter().map(text).collect()
}

/// Turns `A.0.B` into nested lists and objects. Work and memory depend on the number of pairs only,
/// never on an index.
fn unflatten(pairs: Pairs) -> Result<Map<String, Value>, Fault> {
    let mut root = Map::new();
    for (path, text) in pairs {
        let broken = || bad(&path, "does not fit the other parameters");
        let mut names: Vec<&str> = path.split('.').collect();
        let last = names.pop().unwrap_or_default();
        if names.len() >= MAX_DEPTH {
            return Err(bad(&path, "is nested too deeply"));
        }
        let mut at = &mut root;
        for name in names {
            let below = at.entry(name).or_insert_with(|| Value::Object(Map::new()));
            at = below.as_object_mut().ok_or_else(broken)?;
        }
        if at.insert(last.to_owned(), Value::String(text)).is_some() {
            return Err(broken());
        }
    }
    for value in root.values_mut() {
        lists(value);
    }
    Ok(root)
}

/// An object whose names are 0, 1, 2 and so on is a list; one with gaps stays an object, which then
/// has the wrong type.
fn lists(value: &mut Value) {
    let Value::Object(members) = value else { return };
    members.values_mut().for_each(lists);
    let indices: Vec<String> = (0..members.len()).map(|index| index.to_string()).collect();
    if indices.iter().all(|index| members.contains_key(index)) {
        *value = indices.iter().filter_map(|index| members.remove(index)).collect();
    }
}

/// The parts of a multipart body (RFC 7578); one of JSON is a value, any other a text.
fn multipart(request: &Request) -> Result<Map<String, Value>, Fault> {
    let broken = || Fault::MalformedRequest("the multipart body is malformed".to_owned());
    let content_type = peek_header(request, "content-type").unwrap_or_default();
    let boundary = content_type.split_once("boundary=").map(|(_, rest)| rest.trim().trim_matches('"'));
    let boundary = boundary.filter(|boundary| !boundary.is_empty()).ok_or_else(broken)?;
    let body = str::from_utf8(request.body()).map_err(|_| broken())?;
    let opening = format!("--{boundary}");
    let mut rest = body.strip_prefix(opening.as_str()).ok_or_else(broken)?;
    let separator = format!("\r\n{opening}");
    let mut members = Map::new();
    while !rest.starts_with("--") {
        let (part, after) = rest.split_once(separator.as_str()).ok_or_else(broken)?;
        rest = after;
        let (head, content) = part.split_once("\r\n\r\n").ok_or_else(broken)?;
        let name =
            head.split_once(" name=\"").and_then(|(_, rest)| rest.split_once('"')).ok_or_else(broken)?.0;
        let is_json = head.to_ascii_lowercase().contains("content-type: application/json");
        let value = if is_json {
            serde_json::from_str(content).map_err(|_| broken())?
        } else {
            Value::String(content.to_owned())
        };
        if members.insert(name.to_owned(), value).is_some() {
            return Err(broken());
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flat(pairs: &[(&str, &str)]) -> Result<Value, Fault> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        unflatten(pairs).map(Value::Object)
    }

    #[test]
    fn flattened_names_become_lists_and_objects() {
        let read = flat(&[("L.0.V.1", "b"), ("L.0.V.0", "a"), ("L.0.R", "r"), ("I", "x")]).unwrap();
        assert_eq!(read, json!({"L": [{"V": ["a", "b"], "R": "r"}], "I": "x"}));
    }

    #[test]
    fn ten_items_keep_their_order() {
        let names: Vec<String> = (0..12).map(|index| format!("S.{index}")).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
        assert_eq!(flat(&pairs).unwrap()["S"], json!(names));
    }

    #[test]
    fn hostile_indices_cost_nothing_and_make_no_list() {
        assert_eq!(flat(&[("A.999999999", "x")]).unwrap(), json!({"A": {"999999999": "x"}}));
        assert!(flat(&[("A", "x"), ("A.0", "y")]).is_err());
        assert!(flat(&[("A.B.C.D.E.F.G.H.I.J", "x")]).is_err());
    }
}
