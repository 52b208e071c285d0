//! What webhooks are told.

use std::time::Duration;

use keystow_engine::Result;
use serde::Deserialize;

use super::{Cidr, Period, invalid};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notify {
    /// Empty = each instance's policy says.
    too_old: String,
    /// Percent; 0 = no backup is too small.
    pub(crate) too_small: u32,
    pub(crate) deny: Vec<Cidr>,
}

impl Notify {
    /// How old the last good backup of an instance may be; `None` = its policy says.
    pub(crate) fn too_old(&self) -> Result<Option<Duration>> {
        if self.too_old.is_empty() {
            return Ok(None);
        }
        let period = Period::try_from(self.too_old.clone());
        period.map(|period| Some(period.0)).map_err(|why| invalid("notify.too_old is not valid").because(why))
    }

    pub(super) fn check(&self) -> Result<()> {
        self.too_old()?;
        if self.too_small > 100 {
            return Err(invalid("notify.too_small is a percentage: 0 to 100"));
        }
        Ok(())
    }
}
