//! What vendors' names mean here: networks, regions and dialects.

use std::collections::{BTreeMap, BTreeSet};

use keystow_engine::Result;
use keystow_engine::model::AccountId;
use serde::Deserialize;

use super::{Cidr, Config, invalid};

/// `[networks.<name>]`: a VPC id's addresses.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkConfig {
    pub(crate) cidrs: Vec<Cidr>,
    /// Empty if no vendor's API names the network.
    pub(crate) vpc_id: String,
    /// Empty if it is everywhere.
    pub(crate) region: String,
}

/// `[regions.<name>]`: one place, however vendors spell it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegionConfig {
    pub(crate) aliases: Vec<String>,
    pub(crate) zones: Vec<String>,
    pub(crate) hosts: Vec<String>,
    /// Whether it answers under its own host names only, as vendors' finance regions do.
    pub(crate) isolated: bool,
}

/// `[dialects.<name>]`: how one vendor's API behaves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DialectConfig {
    /// Requests per second of one action and account; 0 means no limit.
    pub(crate) rate: u32,
    /// The same for single actions.
    #[serde(default)]
    pub(crate) rates: BTreeMap<String, u32>,
    /// Host names that speak this dialect only.
    pub(crate) hosts: Vec<String>,
    /// Accounts that may get links; empty means all of them. Tencent's dialects only.
    #[serde(default)]
    pub(crate) allow_list: Vec<AccountId>,
    /// Whether links are for backups of clusters only. Tencent's dialects only.
    #[serde(default)]
    pub(crate) cluster_only: bool,
}

/// Whether each name means one thing.
pub(super) fn check(config: &Config) -> Result<()> {
    check_networks(&config.networks)?;
    check_regions(&config.regions)?;
    let mut hosts = Once::new("a host name stands in two dialects");
    for dialect in config.dialects.values() {
        check_hosts(&dialect.hosts)?;
        hosts.add(&dialect.hosts)?;
    }
    Ok(())
}

fn check_networks(networks: &BTreeMap<String, NetworkConfig>) -> Result<()> {
    for (name, network) in networks {
        if network.cidrs.is_empty() {
            return Err(invalid(format!("networks.{name}.cidrs is empty"))
                .hint("name the network's addresses, such as [\"10.0.0.0/8\"]"));
        }
        let names = [("vpc_id", &network.vpc_id), ("region", &network.region)];
        if let Some((setting, _)) = names.into_iter().find(|(_, name)| name.contains(char::is_whitespace)) {
            return Err(invalid(format!("networks.{name}.{setting} has a space in it")));
        }
    }
    Ok(())
}

fn check_regions(regions: &BTreeMap<String, RegionConfig>) -> Result<()> {
    let mut spellings = Once::new("a region's name or alias stands for two regions");
    let mut zones = Once::new("a zone stands in two regions");
    let mut hosts = Once::new("a host name stands in two regions");
    for (name, region) in regions {
        spellings.add(std::iter::once(name))?;
        spellings.add(&region.aliases)?;
        zones.add(&region.zones)?;
        check_hosts(&region.hosts)?;
        hosts.add(&region.hosts)?;
        if region.isolated && region.hosts.is_empty() {
            return Err(invalid(format!("regions.{name} is isolated, but regions.{name}.hosts is empty"))
                .hint("name the host names under which it answers"));
        }
    }
    Ok(())
}

/// Host names are compared with what clients send, so they stand alone: no scheme, port or path.
fn check_hosts(hosts: &[String]) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match hosts.iter().find(|host| host.is_empty() || !host.chars().all(good)) {
        Some(host) => {
            Err(invalid(format!("'{host}' is not a host name")).hint("write it without scheme and port"))
        }
        None => Ok(()),
    }
}

/// Names of which each may come once, whatever its case.
struct Once {
    seen: BTreeSet<String>,
    twice: &'static str,
}

impl Once {
    fn new(twice: &'static str) -> Self {
        Self { seen: BTreeSet::new(), twice }
    }

    fn add<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) -> Result<()> {
        for name in names {
            if !self.seen.insert(name.to_ascii_lowercase()) {
                return Err(invalid(self.twice).because(format!("it is '{name}'")));
            }
        }
        Ok(())
    }
}
