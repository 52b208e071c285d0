//! What the configuration means to the engine and to the listeners.

use std::path::PathBuf;

use keystow_engine::model::Throughput;
use keystow_engine::ops::{DrillSettings, NotifySettings, RepositorySettings, Settings, Verify};
use keystow_engine::redis::Timeouts;

use crate::config::{self, Config, DialectConfig, NetworkConfig, RegionConfig};
use crate::http::{DialectRules, Limits, LinkLives, Region, Rules, VpcNetwork};

/// What the configuration says about the verbs.
pub(in crate::cli) fn settings(config: &Config, work_dir: PathBuf) -> Settings {
    Settings {
        public_url: config.links.public_url.clone(),
        intranet_url: config.links.intranet_url.clone(),
        longest_link: config.links.max_ttl.0,
        client: Throughput {
            bytes_per_second: Some(config.limits.client_bytes_per_second).filter(|rate| *rate > 0),
            connections: Some(config.limits.client_downloads).filter(|most| *most > 0),
        },
        timeouts: Timeouts { reply: config.source.reply_timeout.0, silence: config.source.silence_timeout.0 },
        fail_over: config.source.fail_over.0,
        work_dir,
        advertise: Some(config.restore.advertise.clone()).filter(|host| !host.is_empty()),
        drill: DrillSettings {
            folder: Some(config.drill.folder.clone()).filter(|folder| !folder.as_os_str().is_empty()),
            search: std::env::var_os("PATH")
                .map(|path| std::env::split_paths(&path).collect())
                .unwrap_or_default(),
            timeout: config.drill.timeout.0,
        },
        reserve_bytes: config.repository.reserve.0,
        scrub_bytes_per_second: Some(config.scrub.bytes_per_second.0).filter(|rate| *rate > 0),
        repository: repository(config),
        notify: notify(config),
    }
}

/// What webhooks are told.
fn notify(config: &Config) -> NotifySettings {
    NotifySettings {
        // Read once already, when the configuration was checked.
        too_old: config.notify.too_old().ok().flatten(),
        too_small_percent: config.notify.too_small,
        deny: config.notify.deny.iter().map(|cidr| cidr.0).collect(),
        host: super::host_name(),
    }
}

/// How parts are stored.
fn repository(config: &Config) -> RepositorySettings {
    let repository = &config.repository;
    RepositorySettings {
        compress: repository.compression == config::Compression::Zstd,
        encrypt: repository.encryption == config::Encryption::Age,
        verify: match repository.verify {
            config::Verify::Auto => None,
            config::Verify::Readback => Some(Verify::ReadBack),
            config::Verify::Hash => Some(Verify::Hash),
        },
        remote: !repository.is_local(),
        identity_file: config.identity_file(),
    }
}

/// What a listener bears.
pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        connections: config.limits.connections,
        body_bytes: config.limits.body_bytes,
        header_timeout: config.limits.header_timeout.0,
        idle_timeout: config.limits.idle_timeout.0,
    }
}

/// What the operator says that vendors' names mean here.
pub(super) fn rules(config: &Config) -> Rules {
    let ttl = &config.links.ttl;
    let region = |(name, region): (&String, &RegionConfig)| Region {
        spellings: std::iter::once(name).chain(&region.aliases).cloned().collect(),
        zones: region.zones.clone(),
        hosts: region.hosts.clone(),
        isolated: region.isolated,
    };
    let network = |network: &NetworkConfig| VpcNetwork {
        vpc_id: network.vpc_id.clone(),
        region: Some(network.region.clone()).filter(|region| !region.is_empty()),
        addresses: network.cidrs.iter().map(|cidr| cidr.0).collect(),
    };
    let dialect = |(name, dialect): (&String, &DialectConfig)| {
        let rules = DialectRules {
            rate: dialect.rate,
            rates: dialect.rates.clone(),
            hosts: dialect.hosts.clone(),
            allow_list: dialect.allow_list.clone(),
            cluster_only: dialect.cluster_only,
        };
        (name.clone(), rules)
    };
    Rules {
        lives: LinkLives {
            native: ttl.native.0,
            alibaba: ttl.alibaba.0,
            tencent_v3: ttl.tencent_v3.0,
            tencent_v2: ttl.tencent_v2.0,
            ucloud: ttl.ucloud.0,
            huawei: ttl.huawei.0,
        },
        regions: config.regions.iter().map(region).collect(),
        networks: config.networks.values().map(network).collect(),
        dialects: config.dialects.iter().map(dialect).collect(),
    }
}
