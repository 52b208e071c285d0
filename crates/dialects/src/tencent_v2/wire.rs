//! What calls and replies look like on the wire of Tencent's older API.

use jiff::tz::Offset;

mod parameters;
mod regions;
pub(super) mod reply;
pub(super) mod request;

/// The vendor writes times without a zone; it shows them in Beijing's.
const BEIJING: Offset = Offset::constant(8);
const TIME_TEMPLATE: &str = "0000-00-00 00:00:00";
const TIME_FORMAT: &str = "%Y-%m-%d %H:%M:%S";
