//! What calls and replies look like on Huawei's wire.

mod backups;
mod dcs;
pub(super) mod iam;
mod instances;
mod jobs;
mod links;
pub(super) mod parameters;
mod policy;
pub(super) mod reply;
pub(super) mod request;
mod restore;
mod times;

use http::StatusCode;
pub(super) use policy::EVERY_DAY;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A response before it is one.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Option<Value>,
    /// The header X-Subject-Token.
    pub(super) token: Option<String>,
}

impl Answer {
    pub(super) fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body: Some(body), token: None }
    }

    fn ok(body: Value) -> Self {
        Self::new(StatusCode::OK, body)
    }

    fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None, token: None }
    }
}

const KILOBYTE: u64 = 1024;
const GIGABYTE: u64 = 1 << 30;

/// A size as DDS and `GeminiDB` write it: whole kilobytes, rounded up, at least one.
fn kilobytes(bytes: u64) -> u64 {
    bytes.div_ceil(KILOBYTE).max(1)
}

/// A size that some services write with a fraction, which is dropped.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    Ok(number.as_u64().unwrap_or_else(|| number.as_f64().unwrap_or_default() as u64))
}
