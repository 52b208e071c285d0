//! The list of settings.

use toml::{Table, Value};

/// One setting.
pub(crate) struct Setting {
    /// Its name in the file: table and key with a dot between. A `*` stands for a name that the operator chooses.
    pub(crate) name: &'static str,
    /// Its default as TOML.
    pub(crate) default: &'static str,
    /// What it is, in one line.
    pub(crate) help: &'static str,
}

impl Setting {
    /// Whether it has a part that the operator names.
    pub(crate) fn is_pattern(&self) -> bool {
        self.name.contains('*')
    }

    /// Whether this is the setting with that name.
    pub(super) fn matches(&self, name: &str) -> bool {
        let (mut ours, mut theirs) = (self.name.split('.'), name.split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some("*"), Some(chosen)) if !chosen.is_empty() && chosen != "*" => {}
                (Some(ours), Some(theirs)) if ours == theirs && ours != "*" => {}
                _ => return false,
            }
        }
    }

    /// The names of the settings that stand in the same operator's section as `name`, which is one of this pattern.
    pub(super) fn section(&self, name: &str) -> impl Iterator<Item = (String, &'static Self)> {
        let head =
            self.name.split_once("*.").map(|(before, _)| (before, name[before.len()..].split('.').next()));
        SETTINGS.iter().filter_map(move |other| {
            let (before, chosen) = head?;
            let after = other.name.strip_prefix(before)?.strip_prefix("*.")?;
            Some((format!("{before}{}.{after}", chosen?), other))
        })
    }

    /// The default as a value. It also tells what kind of value the setting has.
    pub(super) fn value(&self) -> Value {
        let parsed = format!("v = {}", self.default).parse::<Table>();
        parsed.ok().and_then(|mut table| table.remove("v")).unwrap_or(Value::Boolean(false))
    }
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default, help }
}

/// Every setting, in the order of the documentation.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("data_dir", r#""./keystow-data""#, "folder of root key, admin key, catalog and repository"),
    setting(
        "root_key",
        r#""""#,
        "where the root key is: file:PATH, env:NAME or command:PROGRAM ARGUMENT…; empty = root.key in data_dir",
    ),
    setting("listen.api", r#""127.0.0.1:7360""#, "address of the native API and the vendors' APIs"),
    setting("listen.download", r#""127.0.0.1:7361""#, "address of public downloads"),
    setting("listen.intranet", r#""127.0.0.1:7362""#, "address of intranet downloads"),
    setting("listen.insecure_http", "false", "allow addresses beyond loopback without TLS"),
    setting(
        "listen.trusted_proxies",
        "[]",
        "addresses or CIDRs of proxies that are believed who the client is",
    ),
    setting(
        "listen.proxy_protocol",
        "[]",
        "listeners (api, download, intranet) that expect the PROXY protocol",
    ),
    setting("tls.cert", r#""""#, "PEM file with the certificate and its chain; empty = no TLS"),
    setting("tls.key", r#""""#, "PEM file with the certificate's private key"),
    setting(
        "tls.client_ca",
        r#""""#,
        "PEM file of authorities; clients must show a certificate from one of them",
    ),
    setting("tls.api.cert", r#""""#, "as tls.cert, for listen.api alone"),
    setting("tls.api.key", r#""""#, "as tls.key, for listen.api alone"),
    setting("tls.api.client_ca", r#""""#, "as tls.client_ca, for listen.api alone"),
    setting("tls.api.off", "false", "plain HTTP on listen.api, whatever tls.cert says"),
    setting("tls.download.cert", r#""""#, "as tls.cert, for listen.download alone"),
    setting("tls.download.key", r#""""#, "as tls.key, for listen.download alone"),
    setting("tls.download.client_ca", r#""""#, "as tls.client_ca, for listen.download alone"),
    setting("tls.download.off", "false", "plain HTTP on listen.download, whatever tls.cert says"),
    setting("tls.intranet.cert", r#""""#, "as tls.cert, for listen.intranet alone"),
    setting("tls.intranet.key", r#""""#, "as tls.key, for listen.intranet alone"),
    setting("tls.intranet.client_ca", r#""""#, "as tls.client_ca, for listen.intranet alone"),
    setting("tls.intranet.off", "false", "plain HTTP on listen.intranet, whatever tls.cert says"),
    setting("roles", r#"["api", "download", "worker", "scheduler"]"#, "what this node does"),
    setting(
        "catalog.url",
        r#""""#,
        "sqlite:///path or postgres://user@host/database; empty = catalog.db in data_dir",
    ),
    setting("catalog.password_file", r#""""#, "file with the password of the PostgreSQL user"),
    setting("catalog.connections", "10", "connections to PostgreSQL at most"),
    setting(
        "repository.url",
        r#""""#,
        "file:///path, or s3://bucket/prefix?endpoint=…&region=… and the same for oss, cos, obs; empty = repository in data_dir",
    ),
    setting(
        "repository.credentials",
        r#""keys""#,
        "keys = access_key_id and secret_file; chain = the provider's environment, profile or role",
    ),
    setting("repository.access_key_id", r#""""#, "id of the access key to the object store"),
    setting("repository.secret_file", r#""""#, "file with its secret, or env:NAME"),
    setting(
        "repository.session_token_file",
        r#""""#,
        "file with the session token of a temporary key, or env:NAME",
    ),
    setting(
        "repository.public_endpoint",
        r#""""#,
        "endpoint of the store in direct public links; empty = that of url",
    ),
    setting(
        "repository.intranet_endpoint",
        r#""""#,
        "endpoint of the store in direct intranet links; empty = that of url",
    ),
    setting(
        "repository.spool",
        r#""1GiB""#,
        "most bytes on local disk between a source and a slow object store, for each part on its way; 0 = none",
    ),
    setting(
        "repository.reserve",
        r#""1GiB""#,
        "bytes of the repository that a backup must leave free, where its store tells how many are; 0 = none",
    ),
    setting("repository.compression", r#""off""#, "off or zstd: how new backups are compressed"),
    setting("repository.encryption", r#""off""#, "off or age: how new backups are encrypted"),
    setting(
        "repository.verify",
        r#""auto""#,
        "readback or hash: how a new backup is proven; auto = readback where it is encoded or remote",
    ),
    setting(
        "repository.identity_file",
        r#""""#,
        "file with this node's own identity (age); empty = node.identity in data_dir",
    ),
    setting(
        "repository.write_only",
        "false",
        "this node holds no identity: it takes encrypted backups and cannot read them",
    ),
    setting(
        "copies.*.url",
        r#""""#,
        "another repository, for copies of backups: file:///path, s3://… and the same for oss, cos, obs",
    ),
    setting("copies.*.region", r#""""#, "the region that it is in; empty = none that anybody asks for"),
    setting("copies.*.credentials", r#""keys""#, "as repository.credentials"),
    setting("copies.*.access_key_id", r#""""#, "as repository.access_key_id"),
    setting("copies.*.secret_file", r#""""#, "as repository.secret_file"),
    setting("copies.*.session_token_file", r#""""#, "as repository.session_token_file"),
    setting("copies.*.spool", r#""64MiB""#, "as repository.spool"),
    setting("links.public_url", r#""""#, "base of public links; empty = http(s)://<listen.download>"),
    setting("links.intranet_url", r#""""#, "base of intranet links; empty = http(s)://<listen.intranet>"),
    setting(
        "links.mode",
        r#""proxy""#,
        "proxy = through the download listeners; direct = the object store's own URLs, where a link has no limits",
    ),
    setting("links.max_ttl", r#""7d""#, "longest life of any link"),
    setting("links.ttl.native", r#""6h""#, "life of a link from the native API, unless it asks for another"),
    setting("links.ttl.alibaba", r#""24h""#, "life of a link from the Alibaba dialect"),
    setting("links.ttl.tencent_v3", r#""6h""#, "life of a link from the Tencent API 3.0 dialect"),
    setting("links.ttl.tencent_v2", r#""12h""#, "life of a link from the Tencent API v2 dialect"),
    setting("links.ttl.ucloud", r#""4h""#, "life of a link from the UCloud dialect"),
    setting("links.ttl.huawei", r#""15m""#, "life of a link from the Huawei dialect, unless the call says"),
    setting("limits.connections", "4096", "connections at once, on each listener"),
    setting(
        "limits.client_downloads",
        "0",
        "downloads that one client address may have at once on a node; 0 = no limit",
    ),
    setting(
        "limits.client_bytes_per_second",
        "0",
        "bytes a second that one client address may download from a node; 0 = no limit",
    ),
    setting("limits.body_bytes", "10485760", "longest request body"),
    setting("limits.header_timeout", r#""10s""#, "time to send a request's headers"),
    setting(
        "limits.idle_timeout",
        r#""60s""#,
        "time that a download may stand still, and that a request's body has to arrive",
    ),
    setting("limits.drain", r#""60s""#, "time that running downloads get at a shutdown"),
    setting("source.reply_timeout", r#""10s""#, "time that a source has to connect or reply"),
    setting("source.silence_timeout", r#""90s""#, "time that a source may be silent during a snapshot"),
    setting(
        "source.fail_over",
        r#""80s""#,
        "time that lost servers are looked for behind Sentinel and in a cluster",
    ),
    setting("work.workers", "2", "jobs done at once"),
    setting("work.lease", r#""30s""#, "time without a sign after which a node's job is another's"),
    setting(
        "restore.advertise",
        r#""""#,
        "name or address under which targets of restores find this host; empty = as Keystow connects to them",
    ),
    setting(
        "drill.folder",
        r#""""#,
        "folder with redis-server and valkey-server programs for drills, beside those on the PATH",
    ),
    setting("drill.timeout", r#""1h""#, "time that a throw-away server gets to load one part"),
    setting(
        "scrub.bytes_per_second",
        r#""100MiB""#,
        "how fast one scrub reads stored bytes; 0 = as fast as it can",
    ),
    setting(
        "notify.too_old",
        r#""""#,
        "how old the last good backup of an instance may be before webhooks are told, such as 26h; empty = its policy says",
    ),
    setting(
        "notify.too_small",
        "50",
        "webhooks are told of a good backup with less than this percentage of the usual keys or bytes; 0 = never",
    ),
    setting(
        "notify.deny",
        "[]",
        "addresses or CIDRs that webhooks may not reach, beside those that nobody may",
    ),
    setting("networks.*.cidrs", "[]", "addresses or CIDRs of that network"),
    setting("networks.*.vpc_id", r#""""#, "the id by which vendors' APIs name the network"),
    setting("networks.*.region", r#""""#, "the region that the network is in"),
    setting("regions.*.aliases", "[]", "other spellings of that region"),
    setting("regions.*.zones", "[]", "names of its zones"),
    setting("regions.*.hosts", "[]", "host names under which the region answers if it is isolated"),
    setting("regions.*.isolated", "false", "answer for the region under its own host names only"),
    setting("dialects.alibaba.rate", "20", "requests per second of one action and account; 0 = no limit"),
    setting("dialects.alibaba.rates.*", "20", "the same for the action of that name"),
    setting(
        "dialects.alibaba.hosts",
        "[]",
        "host names that speak this dialect only, and for which clients may sign",
    ),
    setting("dialects.huawei.rate", "20", "requests per second of one action and account; 0 = no limit"),
    setting("dialects.huawei.rates.*", "20", "the same for the action of that name"),
    setting(
        "dialects.huawei.hosts",
        "[]",
        "host names that speak this dialect only, and for which clients may sign",
    ),
    setting("dialects.tencent_v2.rate", "20", "requests per second of one action and account; 0 = no limit"),
    setting("dialects.tencent_v2.rates.*", "20", "the same for the action of that name"),
    setting(
        "dialects.tencent_v2.hosts",
        "[]",
        "host names that speak this dialect only, and for which clients may sign",
    ),
    setting("dialects.tencent_v2.allow_list", "[]", "accounts that may get links; empty = all of them"),
    setting("dialects.tencent_v2.cluster_only", "false", "links for backups of clusters only"),
    setting("dialects.tencent_v3.rate", "20", "requests per second of one action and account; 0 = no limit"),
    setting("dialects.tencent_v3.rates.*", "20", "the same for the action of that name"),
    setting(
        "dialects.tencent_v3.hosts",
        "[]",
        "host names that speak this dialect only, and for which clients may sign",
    ),
    setting("dialects.tencent_v3.allow_list", "[]", "accounts that may get links; empty = all of them"),
    setting("dialects.tencent_v3.cluster_only", "false", "links for backups of clusters only"),
    setting("dialects.ucloud.rate", "20", "requests per second of one action and account; 0 = no limit"),
    setting("dialects.ucloud.rates.*", "20", "the same for the action of that name"),
    setting(
        "dialects.ucloud.hosts",
        "[]",
        "host names that speak this dialect only, and for which clients may sign",
    ),
    setting("log.level", r#""info""#, "error, warn, info, debug or trace; or a filter such as keystow=debug"),
    setting("log.format", r#""text""#, "text or json"),
    setting("metrics.open", "false", "let anybody read /metrics, without a key"),
    setting("log.access_keep", r#""90d""#, "how long the access log is kept"),
];
