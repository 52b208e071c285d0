//! The bytes that begin a record that is no entry (`RDB_OPCODE_*` of `src/rdb.h` in Redis and Valkey).

/// Two of Redis Enterprise, each with one number that means nothing elsewhere (librdb `src/lib/defines.h`).
pub(crate) const ENTERPRISE: [u8; 2] = [107, 121];
pub(crate) const HASH_TEMPLATE: u8 = 242;
/// `KEY_META` in Redis from RDB 13 on, `SLOT_IMPORT` in Valkey 9.
pub(crate) const KEY_META_OR_SLOT_IMPORT: u8 = 243;
pub(crate) const SLOT_INFO: u8 = 244;
pub(crate) const FUNCTION: u8 = 245;
pub(crate) const FUNCTION_PRE_GA: u8 = 246;
pub(crate) const MODULE_AUX: u8 = 247;
pub(crate) const IDLE: u8 = 248;
pub(crate) const FREQUENCY: u8 = 249;
pub(crate) const AUX: u8 = 250;
pub(crate) const SIZE_HINT: u8 = 251;
pub(crate) const EXPIRY_MS: u8 = 252;
pub(crate) const EXPIRY_SECONDS: u8 = 253;
pub(crate) const DATABASE: u8 = 254;
pub(crate) const END: u8 = 255;
