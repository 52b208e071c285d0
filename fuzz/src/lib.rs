//! What must hold for any bytes whatever: the fuzz targets ask it of bytes that a fuzzer makes up, and the tests
//! of `keystow-rdb` of those that were kept.

pub mod packed;
pub mod whole;
