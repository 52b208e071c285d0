//! Puts back settings of sources that a crash of ours left changed.

use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::error::{Error, Result};
use crate::model::Debt;
use crate::redis::{Address, Connection, write_setting};

impl Engine {
    /// Puts back what is owed. One that cannot be put back now stays owed. Returns how many are still owed.
    pub async fn settle_debts(&self) -> Result<usize> {
        let mut left = 0;
        for debt in self.catalog.debts().await? {
            match self.settle(&debt).await {
                Ok(()) => tracing::info!(node = %debt.node, setting = %debt.setting, "put back"),
                Err(error) => {
                    tracing::warn!(node = %debt.node, setting = %debt.setting, %error, "cannot be put back yet");
                    left += 1;
                }
            }
        }
        Ok(left)
    }

    async fn settle(&self, debt: &Debt) -> Result<()> {
        let Some(instance) = self.catalog.instance(&debt.account, &debt.instance).await? else {
            // Nobody knows any more how to sign in there.
            tracing::error!(
                node = %debt.node, setting = %debt.setting, value = %debt.value,
                "the instance was deleted before its setting was put back; set it by hand"
            );
            return self.catalog.settle_debt(debt).await;
        };
        let source = self.source(&instance)?;
        let Address::Server(node) = debt.node.parse()? else {
            return Err(Error::internal("a debt names no server", &debt.node));
        };
        let (setting, value) = (debt.setting.clone(), debt.value.clone());
        tokio::task::spawn_blocking(move || {
            let mut connection =
                Connection::open(&node, &source.login, source.timeouts, CancellationToken::new())?;
            write_setting(&mut connection, &setting, &value)
        })
        .await
        .unwrap_or_else(|error| Err(Error::internal("the connection stopped", error)))?;
        self.catalog.settle_debt(debt).await
    }
}
