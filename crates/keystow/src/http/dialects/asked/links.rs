//! Download links, and who may use them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use keystow_dialects::{AddressLimit, Fault, LinkBackup, Networks, Reply, Restriction, SetRestriction};
use keystow_engine::links::AddressRange;
use keystow_engine::model::{
    Backup, Instance, LinkLimit, LinkRestriction, Network, Right, Throughput, Topology,
};
use keystow_engine::ops::{LinkOrder, MOST_RANGES};

use super::{Asking, short};
use crate::http::dialects::{Refused, told};

/// The addresses that may use a link, none = all, and those that may not.
type Ranges = (Vec<AddressRange>, Vec<AddressRange>);

impl Asking<'_> {
    /// Whether the caller may is asked before whether the thing exists.
    pub(super) async fn link(&self, call: LinkBackup) -> Result<Reply, Refused> {
        self.who.with(Right::Link)?;
        let rules = self.rules().of(self.dialect);
        if rules.is_some_and(|rules| {
            !rules.allow_list.is_empty() && !rules.allow_list.contains(self.who.account())
        }) {
            return Err(Fault::NotAllowListed.into());
        }
        let instance = self.named_instance(call.instance.as_ref()).await?;
        let backup = self.backup(instance.as_deref(), &call.backup).await?;
        if rules.is_some_and(|rules| rules.cluster_only) && !is_cluster(instance.as_deref(), &backup) {
            return Err(Fault::ClusterOnly.into());
        }
        let repository = if call.other_region { Some(self.copy_elsewhere(&backup).await?) } else { None };
        let shard = call.shard.as_deref().map(|node| shard(&backup, node)).transpose()?;
        let order = self.order(&backup, call.networks, call.limit, call.ttl).await?;
        let order = LinkOrder { shard, repository, ..order };
        let links =
            self.engine().issue_links(self.who, &backup, &order).await.map_err(|error| match error.code {
                "BACKUP_NOT_AVAILABLE" => Refused::Fault(Fault::BackupNotReady(short(&call.backup))),
                _ => Refused::Error(error),
            })?;
        Ok(Reply::Links(told::links(&backup, links)))
    }

    /// Links as this vendor's look, with the limits asked for or, without any, those that the account has set.
    pub(super) async fn order(
        &self,
        backup: &Backup,
        networks: Networks,
        limit: AddressLimit,
        ttl: Option<Duration>,
    ) -> Result<LinkOrder, Refused> {
        let (networks, (addresses, denied)) = match limit {
            AddressLimit::Default => self.kept(backup, networks).await?,
            limit => (networks, self.ranges(&limit)?),
        };
        let (spelling, usual) = self.dialects.style(self.dialect);
        Ok(LinkOrder {
            networks: match networks {
                Networks::Both => vec![Network::Public, Network::Intranet],
                Networks::Intranet => vec![Network::Intranet],
            },
            ttl: ttl.unwrap_or(usual),
            spelling,
            addresses,
            denied,
            shard: None,
            deliveries: None,
            throughput: Throughput::default(),
            remember: false,
            unverified: false,
            repository: None,
        })
    }

    /// What the account has set for the region that the backup is in, whatever region the caller names, narrowed by
    /// what it has set without a region, which holds everywhere.
    async fn kept(&self, backup: &Backup, asked: Networks) -> Result<(Networks, Ranges), Refused> {
        let region = self.rules().canonical(backup.region.as_deref().or(self.region.as_deref()));
        let everywhere = told::restriction(&self.engine().link_restriction(self.who, "").await?);
        let there = told::restriction(&self.engine().link_restriction(self.who, &region).await?);
        let intranet = [asked, there.networks, everywhere.networks].contains(&Networks::Intranet);
        let networks = if intranet { Networks::Intranet } else { Networks::Both };
        Ok((networks, both(self.ranges(&there.limit)?, self.ranges(&everywhere.limit)?)))
    }

    /// The addresses that may, and those that may not.
    fn ranges(&self, limit: &AddressLimit) -> Result<Ranges, Fault> {
        let AddressLimit::Custom { except, addresses, vpcs } = limit else {
            return Ok((Vec::new(), Vec::new()));
        };
        let bad = |name: &str, why: String| Fault::BadParameter { name: name.to_owned(), why };
        let listed: Vec<AddressRange> = addresses
            .iter()
            .map(|text| {
                text.parse().map_err(|error: keystow_engine::Error| bad("LimitIp", error.to_string()))
            })
            .collect::<Result<_, _>>()?;
        let mut allowed = Vec::new();
        for (id, region) in vpcs {
            let network = self.rules().vpc(id, region).ok_or_else(|| {
                bad("LimitVpc", format!("no network is configured for {} in {}", short(id), short(region)))
            })?;
            allowed.extend_from_slice(network);
        }
        let denied = if *except {
            listed
        } else {
            allowed.extend(listed);
            Vec::new()
        };
        if allowed.len() + denied.len() > MOST_RANGES {
            return Err(bad("LimitIp", format!("at most {MOST_RANGES} address ranges")));
        }
        Ok((allowed, denied))
    }

    pub(super) async fn restriction(&self) -> Result<Reply, Refused> {
        let region = self.rules().canonical(self.region.as_deref());
        Ok(Reply::Restriction(told::restriction(&self.engine().link_restriction(self.who, &region).await?)))
    }

    pub(super) async fn set_restriction(&self, call: SetRestriction) -> Result<Reply, Refused> {
        self.who.with(Right::Operate)?;
        let Restriction { networks, limit } = call.restriction;
        // What could not be enforced is not kept.
        self.ranges(&limit)?;
        let kept = LinkRestriction {
            intranet_only: networks == Networks::Intranet,
            limit: match limit {
                AddressLimit::Custom { except, addresses, vpcs } => {
                    Some(LinkLimit { except, addresses, vpcs })
                }
                AddressLimit::Default | AddressLimit::None => None,
            },
        };
        let region = self.rules().canonical(self.region.as_deref());
        self.engine().set_link_restriction(self.who, &region, &kept).await?;
        Ok(Reply::Done { job: None })
    }
}

/// Who may by two limits: whom both allow and neither denies. Never more ranges than the two have.
fn both(one: Ranges, other: Ranges) -> Ranges {
    let allowed = match (one.0.as_slice(), other.0.as_slice()) {
        ([], _) => other.0,
        (_, []) => one.0,
        (ones, others) => {
            let met = ones.iter().flat_map(|one| others.iter().filter_map(|other| one.meet(*other)));
            let met = widest(met);
            if met.is_empty() {
                return nobody();
            }
            met
        }
    };
    (widest(allowed), widest(one.1.into_iter().chain(other.1)))
}

/// An empty list means everybody, so that nobody is said by allowing and denying an address that no caller has.
fn nobody() -> Ranges {
    let none = vec![AddressRange::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED))];
    (none.clone(), none)
}

/// The same addresses without ranges that another one holds.
fn widest(ranges: impl IntoIterator<Item = AddressRange>) -> Vec<AddressRange> {
    let holds = |wide: &AddressRange, narrow: &AddressRange| wide.meet(*narrow) == Some(*narrow);
    let mut kept: Vec<AddressRange> = Vec::new();
    for range in ranges {
        if !kept.iter().any(|wide| holds(wide, &range)) {
            kept.retain(|narrow| !holds(&range, narrow));
            kept.push(range);
        }
    }
    kept
}

fn is_cluster(instance: Option<&Instance>, backup: &Backup) -> bool {
    let facts = backup.server.as_ref().or(instance.and_then(|instance| instance.facts.as_ref()));
    facts.is_some_and(|facts| facts.topology == Topology::Cluster)
}

/// The shard whose node id a caller names.
fn shard(backup: &Backup, node: &str) -> Result<u32, Fault> {
    let parts = backup.parts.iter().map(|part| part.sealed.shard);
    parts.clone().find(|&shard| told::node(backup, shard) == node).ok_or_else(|| Fault::BadParameter {
        name: "BlockId".to_owned(),
        why: format!("the backup has no file of {}", short(node)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `8.8.8.8`, `10.1.0.1` and `10.2.0.1` may.
    fn may((allowed, denied): &Ranges) -> [bool; 3] {
        ["8.8.8.8", "10.1.0.1", "10.2.0.1"].map(|address| {
            let address = address.parse().unwrap();
            let holds = |ranges: &[AddressRange]| ranges.iter().any(|range| range.contains(address));
            (allowed.is_empty() || holds(allowed)) && !holds(denied)
        })
    }

    #[test]
    fn two_lasting_limits_narrow_each_other() {
        let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let limits = [
            nobody(),
            (list(&[]), list(&[])),
            (list(&["10.0.0.0/8"]), list(&[])),
            (list(&["10.1.0.0/16", "8.8.8.8"]), list(&[])),
            (list(&["10.2.0.0/16"]), list(&[])),
            (list(&[]), list(&["10.1.0.0/16"])),
        ];
        for one in &limits {
            for other in &limits {
                let (first, second) = (may(one), may(other));
                let expected = [0, 1, 2].map(|at| first[at] && second[at]);
                assert_eq!(may(&both(one.clone(), other.clone())), expected, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn two_limits_never_have_more_ranges_together_than_alone() {
        let list =
            |text: &dyn Fn(usize) -> String| (0..MOST_RANGES).map(|n| text(n).parse().unwrap()).collect();
        let narrow: Vec<AddressRange> = list(&|n| format!("10.1.0.{n}"));
        let wide: Vec<AddressRange> = list(&|n| format!("10.{n}.0.0/16"));
        let nested: Vec<AddressRange> = list(&|n| format!("10.0.0.0/{n}"));
        let foreign: Vec<AddressRange> = list(&|n| format!("2001:db8:{n:x}::/48"));
        let lists = [Vec::new(), narrow, wide, nested, foreign];
        let limits = lists.iter().flat_map(|list| [(list.clone(), Vec::new()), (Vec::new(), list.clone())]);
        let limits: Vec<Ranges> = limits.collect();
        for one in &limits {
            for other in &limits {
                let (allowed, denied) = both(one.clone(), other.clone());
                let sizes = [one, other].map(|(allowed, denied)| allowed.len() + denied.len());
                let most = sizes[0] + sizes[1];
                assert!(allowed.len() + denied.len() <= most, "{one:?} {other:?}: {allowed:?} {denied:?}");
            }
        }
    }
}
