//! Who may use links unless whoever asks for them says otherwise.

use serde_json::json;

use super::Engine;
use super::audit::Deed;
use crate::access::Principal;
use crate::error::{Error, Kind, Result};
use crate::links::AddressRange;
use crate::model::{LinkRestriction, Right};

impl Engine {
    /// The account's restriction of a region; none unless it was set.
    pub async fn link_restriction(&self, who: &Principal, region: &str) -> Result<LinkRestriction> {
        let scope = who.with(Right::View)?;
        let (place, now) = ([scope.account.as_str(), "/", region].concat(), self.clock.now());
        if let Some(known) = self.restrictions.get(&place, now) {
            return Ok((*known).clone());
        }
        let kept = self.catalog.link_restriction(&scope.account, region).await?.unwrap_or_default();
        Ok((*self.restrictions.insert(place, kept, now)).clone())
    }

    /// Sets the account's restriction of a region. Links that exist keep what they were issued with.
    pub async fn set_link_restriction(
        &self,
        who: &Principal,
        region: &str,
        restriction: &LinkRestriction,
    ) -> Result<()> {
        let deed = Deed::new(Right::Operate, "link.restrict", "region", region).with(json!(restriction));
        self.audited(who, deed, async {
            let scope = who.with(Right::Operate)?;
            if scope.project.is_some() {
                let message = "the restriction is the whole account's, and this key is bound to a project";
                return Err(Error::new(Kind::Denied, "PROJECT_DENIED", message));
            }
            for address in restriction.limit.iter().flat_map(|limit| &limit.addresses) {
                address.parse::<AddressRange>()?;
            }
            self.catalog.set_link_restriction(&scope.account, region, restriction).await?;
            self.restrictions.clear();
            Ok(())
        })
        .await
    }
}
