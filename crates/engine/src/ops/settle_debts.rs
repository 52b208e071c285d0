//! Puts back settings of sources that a crash of ours left changed.

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::capture::{Source, setting_of};
use crate::error::{Error, Result};
use crate::model::Debt;
use crate::redis::{Connection, discover, write_setting};

impl Engine {
    /// Puts back what is owed. One that cannot be put back now stays owed. Returns how many are still owed.
    pub async fn settle_debts(&self) -> Result<usize> {
        let mut left = 0;
        for debt in self.catalog.debts().await? {
            // A capture under way has borrowed it, and puts it back itself.
            let Some(_turn) = self.turns.take(setting_of(&debt.node)).await? else {
                left += 1;
                continue;
            };
            match self.settle(&debt).await {
                Ok(()) => {}
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
        let owed = debt.clone();
        let is_back = tokio::task::spawn_blocking(move || put_back(&source, &owed))
            .await
            .unwrap_or_else(|error| Err(Error::internal("the connection stopped", error)))?;
        if is_back {
            tracing::info!(node = %debt.node, setting = %debt.setting, "put back");
        } else {
            tracing::error!(
                node = %debt.node, setting = %debt.setting, value = %debt.value,
                "the instance has no such server any more, so its setting is not put back; set it by hand"
            );
        }
        self.catalog.settle_debt(debt).await
    }
}

/// Puts a setting back. `false` if the node is none of the instance's any more: then its password, which may be new, is
/// none of the node's.
fn put_back(source: &Source, debt: &Debt) -> Result<bool> {
    let never = CancellationToken::new();
    let layout = discover(&source.address, &source.login, source.timeouts, &never)?;
    let mut members = layout.shards.iter().flat_map(|shard| &shard.nodes);
    let Some(member) = members.find(|member| member.node.to_string() == debt.node) else {
        return Ok(false);
    };
    let mut connection = Connection::open(&member.node, &source.login, source.timeouts, never)?;
    write_setting(&mut connection, &debt.setting, debt.value.as_bytes())?;
    Ok(true)
}
