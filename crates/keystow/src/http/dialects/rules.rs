//! What an operator says that vendors' names mean here: regions, networks, host names, limits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::header::HOST;
use keystow_dialects::{Dialect, Fault, Place, RegionRow, Request};
use keystow_engine::links::AddressRange;
use keystow_engine::model;

/// What an operator may set about the vendors' APIs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) lives: LinkLives,
    pub(crate) regions: Vec<Region>,
    pub(crate) networks: Vec<VpcNetwork>,
    /// By the dialect's name.
    pub(crate) dialects: BTreeMap<String, DialectRules>,
}

/// How long links live, by the API that they are asked through.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LinkLives {
    pub(crate) native: Duration,
    pub(crate) alibaba: Duration,
    pub(crate) tencent_v3: Duration,
    pub(crate) tencent_v2: Duration,
    pub(crate) ucloud: Duration,
    pub(crate) huawei: Duration,
}

/// One place, however vendors spell it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Region {
    /// Its name, then its other spellings.
    pub(crate) spellings: Vec<String>,
    pub(crate) zones: Vec<String>,
    /// Host names under which it answers if it is isolated, beside those that have its name as a label.
    pub(crate) hosts: Vec<String>,
    pub(crate) isolated: bool,
}

/// The addresses behind a VPC id.
#[derive(Debug, Clone)]
pub(crate) struct VpcNetwork {
    pub(crate) vpc_id: String,
    /// `None` = the id means the same in every region.
    pub(crate) region: Option<String>,
    pub(crate) addresses: Vec<AddressRange>,
}

/// How one vendor's API behaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct DialectRules {
    /// Requests per second of one action and account; 0 = no limit.
    pub(crate) rate: u32,
    /// The same for single actions.
    pub(crate) rates: BTreeMap<String, u32>,
    /// Host names that speak this dialect only, and under which clients may have signed.
    pub(crate) hosts: Vec<String>,
    /// Accounts that may get links; empty = all.
    pub(crate) allow_list: Vec<model::AccountId>,
    /// Links for backups of clusters only.
    pub(crate) cluster_only: bool,
}

impl Region {
    fn is(&self, name: &str) -> bool {
        self.spellings.iter().any(|spelling| spelling == name)
    }

    /// Whether a host name is one of this region's own, such as `redis.ap-shanghai-fsi.example.com`.
    fn owns(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
            || host.split('.').any(|label| self.spellings.iter().any(|name| name.eq_ignore_ascii_case(label)))
    }
}

impl Rules {
    /// The rules of a dialect.
    pub(super) fn of(&self, dialect: &dyn Dialect) -> Option<&DialectRules> {
        self.dialects.get(dialect.name())
    }

    /// The dialect that a host name is pinned to.
    pub(super) fn pinned(&self, request: &Request) -> Option<&'static dyn Dialect> {
        let host = host(request);
        let owner = |rules: &DialectRules| rules.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
        let (name, _) = self.dialects.iter().find(|(_, rules)| owner(rules))?;
        keystow_dialects::ALL.iter().copied().find(|dialect| dialect.name() == name)
    }

    /// Every spelling of a region; its own only if it is not configured.
    fn spellings(&self, region: &str) -> Vec<String> {
        let known = self.regions.iter().find(|known| known.is(region));
        known.map_or_else(|| vec![region.to_owned()], |known| known.spellings.clone())
    }

    /// The one name under which things are kept for a region; empty for no region.
    pub(super) fn canonical(&self, region: Option<&str>) -> String {
        region.map(|region| self.spellings(region).swap_remove(0)).unwrap_or_default()
    }

    /// The part of the map that a call looks at. An isolated region is there under its own host names only.
    pub(super) fn place(&self, request: &Request, asked: &Place) -> Result<model::Place, Fault> {
        let host = host(request);
        let closed = |region: &&Region| region.isolated && !region.owns(host);
        if let Some(region) = &asked.region
            && self.regions.iter().filter(closed).any(|closed| closed.is(region))
        {
            return Err(Fault::UnsupportedRegion(region.clone()));
        }
        Ok(model::Place {
            regions: asked.region.as_deref().map(|region| self.spellings(region)).unwrap_or_default(),
            beyond: self.regions.iter().filter(closed).flat_map(|region| region.spellings.clone()).collect(),
            zone: asked.zone.clone(),
            replica_zone: asked.replica_zone.clone(),
            spans_zones: asked.spans_zones,
        })
    }

    /// The regions that a caller may name: those configured, and those that instances are in, in every spelling.
    pub(super) fn listed<'a>(
        &'a self,
        request: &Request,
        instances: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Vec<RegionRow> {
        let host = host(request);
        let mut zones: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for region in &self.regions {
            for name in &region.spellings {
                zones.entry(name).or_default().extend(region.zones.iter().map(String::as_str));
            }
        }
        for (region, zone) in instances {
            zones.entry(region).or_default().extend(zone);
        }
        for closed in self.regions.iter().filter(|region| region.isolated && !region.owns(host)) {
            zones.retain(|name, _| !closed.is(name));
        }
        let own = |zones: BTreeSet<&str>| zones.into_iter().map(str::to_owned).collect();
        zones.into_iter().map(|(id, zones)| RegionRow { id: id.to_owned(), zones: own(zones) }).collect()
    }

    /// The addresses of a VPC; `None` if nobody said what it is.
    pub(super) fn vpc(&self, id: &str, region: &str) -> Option<&[AddressRange]> {
        let spellings = self.spellings(region);
        let fits = |network: &&VpcNetwork| {
            network.vpc_id == id && network.region.as_ref().is_none_or(|own| spellings.contains(own))
        };
        self.networks.iter().find(fits).map(|network| network.addresses.as_slice())
    }
}

/// The host name that a client asked, without scheme and port.
fn host(request: &Request) -> &str {
    let sent = request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bare = sent.split_once("://").map_or(sent, |(_, authority)| authority);
    match bare.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => bare,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let south = Region {
            spellings: list(&["ap-guangzhou", "cn-gd"]),
            zones: list(&["cn-gd-02"]),
            ..Region::default()
        };
        let bank = Region {
            spellings: list(&["ap-shanghai-fsi"]),
            hosts: list(&["bank.internal"]),
            isolated: true,
            ..Region::default()
        };
        let network = VpcNetwork {
            vpc_id: "vpc-1".to_owned(),
            region: Some("cn-gd".to_owned()),
            addresses: vec!["10.0.0.0/8".parse().unwrap()],
        };
        Rules { regions: vec![south, bank], networks: vec![network], ..Rules::default() }
    }

    fn request(host: &str) -> Request {
        http::Request::builder().uri("/").header(HOST, host).body(bytes::Bytes::new()).unwrap()
    }

    fn asked(region: Option<&str>) -> Place {
        Place::in_region(region.map(str::to_owned))
    }

    #[test]
    fn a_region_is_one_place_in_every_spelling() {
        let place = rules().place(&request("h"), &asked(Some("cn-gd"))).unwrap();
        assert_eq!(place.regions, ["ap-guangzhou", "cn-gd"]);
        let unknown = rules().place(&request("h"), &asked(Some("mars"))).unwrap();
        assert_eq!(unknown.regions, ["mars"]);
        assert_eq!(rules().canonical(Some("cn-gd")), "ap-guangzhou");
        assert_eq!(rules().canonical(None), "");
    }

    #[test]
    fn an_isolated_region_answers_under_its_own_names_only() {
        let fsi = asked(Some("ap-shanghai-fsi"));
        for own in ["redis.ap-shanghai-fsi.example.com:443", "BANK.internal", "http://bank.internal:80"] {
            assert!(rules().place(&request(own), &fsi).is_ok(), "{own}");
            assert!(rules().place(&request(own), &asked(None)).unwrap().beyond.is_empty());
        }
        for other in ["redis.example.com", "127.0.0.1:7360", "xap-shanghai-fsi.example.com"] {
            let refused = rules().place(&request(other), &fsi);
            assert_eq!(refused, Err(Fault::UnsupportedRegion("ap-shanghai-fsi".to_owned())), "{other}");
            assert_eq!(rules().place(&request(other), &asked(None)).unwrap().beyond, ["ap-shanghai-fsi"]);
        }
    }

    #[test]
    fn regions_are_listed_with_their_zones() {
        let rules = rules();
        let rows = rules.listed(&request("h"), [("cn-bj2", Some("cn-bj2-04")), ("cn-gd", None)].into_iter());
        let ids: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.zones.join(","))).collect();
        let expected = [("ap-guangzhou", "cn-gd-02"), ("cn-bj2", "cn-bj2-04"), ("cn-gd", "cn-gd-02")];
        assert_eq!(ids, expected.map(|(id, zones)| (id, zones.to_owned())));
    }

    #[test]
    fn a_vpc_means_addresses_in_its_region() {
        assert!(rules().vpc("vpc-1", "ap-guangzhou").is_some());
        assert!(rules().vpc("vpc-1", "cn-bj2").is_none() && rules().vpc("vpc-2", "cn-gd").is_none());
    }
}
