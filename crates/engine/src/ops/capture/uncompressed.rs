//! The source's `rdbcompression`, switched off around its fork: the snapshot comes faster, and the source's setting is
//! put back in every case, also after a crash of ours (the debt is written down first).

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::catalog::Catalog;
use crate::error::Result;
use crate::model::{Debt, Instance};
use crate::ops::turns::{Turn, Turns};
use crate::redis::{Connection, read_setting, write_setting};

const SETTING: &str = "rdbcompression";

/// The name of the turn to change a node's setting, or to put it back: whoever has it is alone with it.
pub(in crate::ops) fn setting_of(node: &str) -> String {
    format!("setting {node}")
}

/// The setting is switched off. Dropping puts it back as well as it can; what cannot be put back stays written down.
pub(super) struct Uncompressed<'a> {
    connection: Connection,
    catalog: &'a dyn Catalog,
    debt: Debt,
    is_back: bool,
    /// Given up last: nobody settles a debt that is still a loan.
    _turn: Turn,
}

impl<'a> Uncompressed<'a> {
    /// Switches the setting off over a connection of its own, which must outlive a request to stop; `None` if it is
    /// off already, or just being put back.
    pub(super) fn switch(
        mut connection: Connection,
        catalog: &'a dyn Catalog,
        turns: &Arc<Turns>,
        instance: &Instance,
    ) -> Result<Option<Self>> {
        let node = connection.node().to_string();
        let turn = Handle::current().block_on(turns.take(setting_of(&node)))?;
        let Some(turn) = turn else { return Ok(None) };
        let Some(value) = read_setting(&mut connection, SETTING)?.filter(|value| value == "yes") else {
            return Ok(None);
        };
        let debt = Debt {
            account: instance.account.clone(),
            instance: instance.id.clone(),
            node: connection.node().to_string(),
            setting: SETTING.to_owned(),
            value,
        };
        Handle::current().block_on(catalog.owe(&debt))?;
        let mut switched = Self { connection, catalog, debt, is_back: false, _turn: turn };
        write_setting(&mut switched.connection, SETTING, b"no")?;
        Ok(Some(switched))
    }

    /// Puts the setting back.
    pub(super) fn put_back(mut self) -> Result<()> {
        self.restore()
    }

    fn restore(&mut self) -> Result<()> {
        if !self.is_back {
            write_setting(&mut self.connection, &self.debt.setting, self.debt.value.as_bytes())?;
            self.is_back = true;
            Handle::current().block_on(self.catalog.settle_debt(&self.debt))?;
        }
        Ok(())
    }
}

impl Drop for Uncompressed<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            tracing::warn!(node = %self.debt.node, %error, "cannot put rdbcompression back yet; it is tried again");
        }
    }
}
