//! What the service says to the person who started it.

use std::io::Write;

use keystow_engine::model::NodeRole;
use keystow_engine::ops::IssuedKey;

use crate::config::{self, Config};

/// Where everything is, and the first admin key, once.
pub(super) fn greet(config: &Config, admin: Option<&IssuedKey>) {
    say(&format!("keystow {}  data {}", env!("CARGO_PKG_VERSION"), config.data_dir.display()));
    if let Some(key) = admin {
        say("first run: this admin key is shown once");
        say(&format!("  access key  {}", key.id));
        say(&format!("  secret      {}", String::from_utf8_lossy(key.secret.expose())));
        say(&format!(
            "  kept in     {} (0600), where the CLI finds it",
            config.data_dir.join("admin.key").display()
        ));
        let data_dir = config.data_dir.display();
        say(&format!(
            "  root key    copy it somewhere safe: keystow root-key backup --data-dir {data_dir} --to FILE"
        ));
    }
    let shown = |listener, address| match config.tls.files(listener) {
        Some(_) => format!("{address} (TLS)"),
        None => format!("{address}"),
    };
    if config.has_role(NodeRole::Api) && config.has_role(NodeRole::Download) {
        say(&format!(
            "listening  api {}  downloads public {}  intranet {}",
            shown(config::Listener::Api, config.listen.api),
            shown(config::Listener::Download, config.listen.download),
            shown(config::Listener::Intranet, config.listen.intranet),
        ));
    } else if config.has_role(NodeRole::Api) {
        say(&format!("listening  api {}", shown(config::Listener::Api, config.listen.api)));
    } else if config.has_role(NodeRole::Download) {
        say(&format!(
            "listening  downloads public {}  intranet {}",
            shown(config::Listener::Download, config.listen.download),
            shown(config::Listener::Intranet, config.listen.intranet),
        ));
    }
}

/// A line for people, on stderr.
pub(super) fn say(line: &str) {
    // Nobody is there to be told that stderr is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}
