//! What the service tells of itself, and the example alerts and dashboard that build on it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::lab::{Redis, Server, request, until};

fn plain(server: &Server, path: &str) -> (u16, String) {
    let reply = request(server.api, "GET", path, &[], b"");
    (reply.status, reply.text())
}

fn metrics(server: &Server) -> String {
    let reply = server.api("GET", "/metrics", "");
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.header("content-type").starts_with("application/openmetrics-text"));
    reply.text()
}

/// The value of a line of the text.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[test]
fn the_numbers_tell_what_was_done() {
    let redis = Redis::start(&[]);
    redis.ask("DEBUG POPULATE 100 key 100");
    let server = Server::start();
    let backup = server.backup_of(&redis, "crs-1");
    server.json(&["instance", "add", &redis.url(), "--id", "never"]);
    let bytes = backup["parts"][0]["size_bytes"].as_f64().unwrap();
    let url = server.link(backup["id"].as_str().unwrap(), &[]);
    assert_eq!(crate::lab::get(&url, &[]).status, 200);
    let text = until("the download to be counted", || {
        let text = metrics(&server);
        (value(&text, "keystow_downloads_total{outcome=\"done\"}") == Some(1.0)).then_some(text)
    });
    let of = |instance: &str, name: &str| {
        value(&text, &format!("keystow_{name}{{account=\"default\",instance=\"{instance}\"}}"))
    };
    assert_eq!(of("crs-1", "last_good_backup_bytes"), Some(bytes));
    assert_eq!(of("never", "last_good_backup_bytes"), Some(0.0));
    assert!(of("crs-1", "last_good_backup_age_seconds").is_some_and(|age| age < 60.0));
    let done = "keystow_jobs_ended_total{kind=\"take_backup\",outcome=\"done\",code=\"\"}";
    assert_eq!(value(&text, done), Some(1.0), "{text}");
    assert_eq!(value(&text, "keystow_downloaded_bytes_total"), Some(bytes));
    assert_eq!(value(&text, "keystow_captured_bytes_total"), Some(bytes));
    assert_eq!(value(&text, "keystow_repository_up"), Some(1.0));
    let asked = "keystow_requests_total{dialect=\"native\",action=\"POST /api/v1/backups\",outcome=\"ok\"}";
    assert_eq!(value(&text, asked), Some(1.0), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_numbers_need_a_key_and_show_its_own_account() {
    let redis = Redis::start(&[]);
    let server = Server::start();
    server.json(&["instance", "add", &redis.url(), "--id", "crs-1"]);
    server.json(&["account", "add", "acme"]);
    let key = server.json(&["key", "create", "--role", "viewer", "--account", "acme"]);
    let key = (key["access_key_id"].as_str().unwrap(), key["secret"].as_str().unwrap());
    assert_eq!(plain(&server, "/metrics").0, 401);
    let foreign = server.api_as(Some(key), "GET", "/metrics", "");
    assert_eq!(foreign.status, 200);
    assert!(!foreign.text().contains("crs-1"), "{}", foreign.text());
    assert!(metrics(&server).contains("crs-1"));
    let open = Server::start_with(&[("KEYSTOW_METRICS__OPEN", "true")]);
    assert_eq!(plain(&open, "/metrics").0, 200);
}

#[test]
fn a_server_is_alive_and_ready_without_a_key() {
    let server = Server::start();
    assert_eq!(plain(&server, "/livez"), (200, "ok\n".to_owned()));
    assert_eq!(plain(&server, "/readyz"), (200, "ok\n".to_owned()));
}

/// The words of a text that look like names of our metrics.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("keystow_")).map(str::to_owned).collect()
}

#[test]
fn the_examples_and_the_page_name_metrics_that_exist() {
    let redis = Redis::start(&[]);
    // What a repository for copies has to tell is there where there is one.
    let folder = tempfile::tempdir().unwrap();
    let far = format!("file://{}", folder.path().join("far").display());
    let server = Server::start_with(&[("KEYSTOW_COPIES__FAR__URL", &far)]);
    server.backup_of(&redis, "crs-1");
    let text = metrics(&server);
    assert_eq!(value(&text, "keystow_copies_up{repository=\"far\"}"), Some(1.0), "{text}");
    assert_eq!(value(&text, "keystow_copies{repository=\"far\",state=\"failed\"}"), Some(0.0), "{text}");
    let told: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            if kind == "counter" { format!("{name}_total") } else { name.to_owned() }
        })
        .collect();
    let read = |path: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
    };
    for path in ["deploy/alerts.yml", "deploy/dashboard.json"] {
        let named = named(&read(path));
        let unknown: Vec<_> = named.difference(&told).collect();
        assert!(named.len() > 5 && unknown.is_empty(), "{path} names {unknown:?}");
    }
    let page = named(&read("docs/operate/monitoring.md"));
    assert_eq!(page, told, "docs/operate/monitoring.md explains every metric and no other");
    serde_json::from_str::<serde_json::Value>(&read("deploy/dashboard.json")).unwrap();
}
