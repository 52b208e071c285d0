//! What calls and replies look like on Tencent's wire.

use jiff::tz::Offset;

mod parameters;
pub(super) mod reply;
pub(super) mod request;

/// The vendor writes times without a zone; it shows them in Beijing's.
const BEIJING: Offset = Offset::constant(8);
/// The same, for hours of a week.
const BEIJING_HOURS: i32 = 8;
/// The days of a week as the vendor writes them.
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const TIME_TEMPLATE: &str = "0000-00-00 00:00:00";
const TIME_FORMAT: &str = "%Y-%m-%d %H:%M:%S";
