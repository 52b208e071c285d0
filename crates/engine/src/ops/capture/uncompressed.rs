//! The source's `rdbcompression`, switched off around its fork: the snapshot comes faster, and the source's setting is
//! put back in every case, also after a crash of ours (the debt is written down first).

use tokio::runtime::Handle;

use crate::catalog::Catalog;
use crate::error::Result;
use crate::model::{Debt, Instance};
use crate::redis::{Connection, read_setting, write_setting};

const SETTING: &str = "rdbcompression";

/// The setting is switched off. Dropping puts it back as well as it can; what cannot be put back stays written down.
pub(super) struct Uncompressed<'a> {
    connection: Connection,
    catalog: &'a dyn Catalog,
    debt: Debt,
    is_back: bool,
}

impl<'a> Uncompressed<'a> {
    /// Switches the setting off over a connection of its own; `None` if it is off already.
    pub(super) fn switch(
        mut connection: Connection,
        catalog: &'a dyn Catalog,
        instance: &Instance,
    ) -> Result<Option<Self>> {
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
        let mut switched = Self { connection, catalog, debt, is_back: false };
        write_setting(&mut switched.connection, SETTING, "no")?;
        Ok(Some(switched))
    }

    /// Puts the setting back.
    pub(super) fn put_back(mut self) -> Result<()> {
        self.restore()
    }

    fn restore(&mut self) -> Result<()> {
        if !self.is_back {
            write_setting(&mut self.connection, &self.debt.setting, &self.debt.value)?;
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
