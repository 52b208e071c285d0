//! Values of modules: opaque, but in a frame that can be walked without the module
//! (Redis `src/rdb.c`, `rdbLoadCheckModuleValue`).

use super::{hand_on, raw_string};
use crate::{
    bytes::Bytes,
    event::ModuleId,
    fault::Reason,
    length::Lengths,
    part::{Out, Visitor},
    text::Texts,
};

/// Type 7: the module's identity and its values.
pub(super) fn check<B: Bytes, V: Visitor>(
    source: &mut B,
    out: &mut Out<'_, V>,
) -> Result<ModuleId, Box<Reason>> {
    let module = ModuleId(source.length()?);
    walk_module_values(source, out)?;
    Ok(module)
}

/// Walks a module's values up to their end mark (`RDB_MODULE_OPCODE_*` in Redis `src/rdb.h`).
pub(crate) fn walk_module_values<B: Bytes, V: Visitor>(
    source: &mut B,
    out: &mut Out<'_, V>,
) -> Result<(), Box<Reason>> {
    loop {
        match source.length()? {
            0 => return Ok(()),
            // Signed numbers are written as unsigned ones.
            1 | 2 => drop(source.length()?),
            3 => source.skip(4)?,
            4 => source.skip(8)?,
            5 if out.wants_raw() => {
                let text = source.text()?;
                raw_string(source, out, text)?;
            }
            5 => drop(source.skip_string()?),
            _ => return Err(Reason::Module("a kind of value that does not exist").into()),
        }
        hand_on(source, out)?;
    }
}
