//! What is neither a key nor the frame: facts about the file, data of modules, slots that are being imported.

use std::io::BufRead;

use super::{Reader, Step, with_tap};
use crate::{
    event::{ModuleId, ModuleWhen},
    fault::Reason,
    length::Lengths,
    part::{Out, Visitor},
    text::Texts,
    value,
};

/// The highest cluster slot.
const LAST_SLOT: u64 = 16_383;

impl<R: BufRead> Reader<R> {
    /// Slots on their way to the server (Valkey `src/cluster_migrateslots.c`): the job's name and the ranges.
    pub(super) fn slot_import(&mut self) -> Result<Step, Box<Reason>> {
        const NAME_BYTES: usize = 40;
        self.aux_value.clear();
        self.aux_value.extend_from_slice(self.source.string()?);
        if self.aux_value.len() != NAME_BYTES {
            return Err(Reason::SlotImport.into());
        }
        for _ in 0..self.source.length()? {
            let (first, last) = (self.source.length()?, self.source.length()?);
            if first > last || last > LAST_SLOT {
                return Err(Reason::SlotImport.into());
            }
        }
        Ok(Step::SlotImport)
    }

    pub(super) fn aux(&mut self) -> Result<Step, Box<Reason>> {
        self.key.clear();
        self.key.extend_from_slice(self.source.string()?);
        self.aux_value.clear();
        self.aux_value.extend_from_slice(self.source.string()?);
        Ok(Step::Aux)
    }

    /// A module's data outside of keys. The number before `when` is written like a module's own
    /// (Redis `src/rdb.c`, `rdbSaveSingleModuleAux`).
    pub(super) fn module_aux<V: Visitor>(&mut self, visitor: &mut V) -> Result<Step, Box<Reason>> {
        const UNSIGNED: u64 = 2;
        let module = ModuleId(self.source.length()?);
        if self.source.length()? != UNSIGNED {
            return Err(Reason::Module("its place is not a number").into());
        }
        let when = match self.source.length()? {
            1 => ModuleWhen::BeforeKeys,
            2 => ModuleWhen::AfterKeys,
            _ => return Err(Reason::Module("its place is neither before nor after the keys").into()),
        };
        let want = visitor.begin_module_aux(module, when);
        with_tap(&mut self.source, Out { visitor, want }, |source, out| {
            value::walk_module_values(source, out)
        })?;
        Ok(Step::ModuleAux { module, when })
    }
}
