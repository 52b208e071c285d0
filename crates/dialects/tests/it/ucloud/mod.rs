//! `UCloud`.

mod decoding;
mod faults;
mod forms;
mod replies;
mod round_trip;
pub(crate) mod signatures;

use keystow_dialects::{Call, Dialect, Fault, ucloud::Ucloud};

use crate::shared::get;

/// What a signed query with these parameters asks for.
fn query(parameters: &str) -> Result<Call, Fault> {
    Ucloud.decode(&get(&format!("PublicKey=x&Signature=y&{parameters}")))
}
