//! The list of settings.

/// One setting.
pub(crate) struct Setting {
    /// Its name in the file: table and key with a dot between.
    pub(crate) name: &'static str,
    /// Its default as TOML.
    pub(crate) default: &'static str,
    /// What it is, in one line.
    pub(crate) help: &'static str,
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default, help }
}

/// Every setting, in the order of the documentation.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("data_dir", r#""./keystow-data""#, "folder of root key, admin key, catalog and repository"),
    setting("listen.api", r#""127.0.0.1:7360""#, "address of the native API and the vendors' APIs"),
    setting("listen.download", r#""127.0.0.1:7361""#, "address of public downloads"),
    setting("listen.intranet", r#""127.0.0.1:7362""#, "address of intranet downloads"),
    setting("listen.insecure_http", "false", "allow addresses beyond loopback without TLS"),
    setting("catalog.url", r#""""#, "sqlite:///path; empty = catalog.db in data_dir"),
    setting("repository.url", r#""""#, "file:///path; empty = repository in data_dir"),
    setting("links.public_url", r#""""#, "base of public links; empty = http://<listen.download>"),
    setting("links.intranet_url", r#""""#, "base of intranet links; empty = http://<listen.intranet>"),
    setting("links.max_ttl", r#""7d""#, "longest life of any link"),
    setting("links.ttl.native", r#""6h""#, "life of a link from the native API, unless it asks for another"),
    setting("links.ttl.alibaba", r#""24h""#, "life of a link from the Alibaba dialect"),
    setting("links.ttl.tencent_v3", r#""6h""#, "life of a link from the Tencent API 3.0 dialect"),
    setting("limits.connections", "4096", "connections at once, on each listener"),
    setting("limits.body_bytes", "10485760", "longest request body"),
    setting("limits.header_timeout", r#""10s""#, "time to send a request's headers"),
    setting("limits.idle_timeout", r#""60s""#, "time that a download may stand still"),
    setting("limits.drain", r#""60s""#, "time that running downloads get at a shutdown"),
    setting("source.reply_timeout", r#""10s""#, "time that a source has to connect or reply"),
    setting("source.silence_timeout", r#""90s""#, "time that a source may be silent during a snapshot"),
    setting("work.workers", "2", "jobs done at once"),
    setting("log.level", r#""info""#, "error, warn, info, debug or trace; or a filter such as keystow=debug"),
    setting("log.format", r#""text""#, "text or json"),
];
