//! What calls and replies look like on Alibaba's wire.

pub(super) mod reply;
pub(super) mod request;
pub(super) mod xml;
