//! Which value wins, and what is refused.

use super::layers::Origin;
use super::*;

fn env(name: &str, value: &str) -> impl Iterator<Item = (String, String)> {
    std::iter::once((name.to_owned(), value.to_owned()))
}

#[test]
fn the_defaults_are_a_whole_configuration() {
    let config = Config::read(&Layers::new()).unwrap();
    assert_eq!(config.links.public_url, "http://127.0.0.1:7361");
    assert_eq!(config.links.ttl.alibaba.0, Duration::from_hours(24));
    assert_eq!(config.catalog_path().unwrap(), Path::new("./keystow-data/catalog.db"));
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keystow.toml");
    std::fs::write(&file, "[work]\nworkers = 3\n[links]\npublic_url = \"https://file\"\n").unwrap();
    let mut layers = Layers::new();
    layers.add_file(&file).unwrap();
    layers.add_environment(env("KEYSTOW_LINKS__PUBLIC_URL", "https://env/")).unwrap();
    layers.add_environment(env("KEYSTOW_LISTEN__API", "127.0.0.1:1")).unwrap();
    layers.add_flag("listen.api", "127.0.0.1:2", "--api").unwrap();
    let config = Config::read(&layers).unwrap();
    assert_eq!(config.work.workers, 3);
    assert_eq!(config.links.public_url, "https://env");
    assert_eq!(config.listen.api.port(), 2);
    let origin = layers.values().find(|(setting, ..)| setting.name == "listen.api").unwrap().2;
    assert_eq!(*origin, Origin::Flag("--api"));
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    for (wrong, right) in [
        ("links.public_ur", "links.public_url"),
        ("limits.drian", "limits.drain"),
        ("workers", "work.workers"),
    ] {
        let error = Layers::new().add_flag(wrong, "x", "--x").unwrap_err();
        assert_eq!(error.code, "CONFIG_UNKNOWN_KEY");
        assert!(error.hint.unwrap().contains(right), "{wrong}");
    }
}

#[test]
fn the_clients_variables_are_no_configuration() {
    let mut layers = Layers::new();
    for name in
        ["KEYSTOW_SERVER", "KEYSTOW_ACCESS_KEY_ID", "KEYSTOW_ACCESS_KEY_SECRET", "KEYSTOW_DATA_DIR", "HOME"]
    {
        layers.add_environment(env(name, "x")).unwrap();
    }
    assert!(layers.add_environment(env("KEYSTOW_NONSENSE", "x")).is_err());
}

#[test]
fn an_open_address_needs_insecure_http() {
    let mut layers = Layers::new();
    layers.add_flag("listen.api", "0.0.0.0:7360", "--api").unwrap();
    assert_eq!(Config::read(&layers).unwrap_err().code, "CONFIG_INVALID");
    layers.add_flag("listen.insecure_http", "true", "--insecure-http").unwrap();
    assert!(Config::read(&layers).is_ok());
}

#[test]
fn values_that_do_not_fit_are_refused() {
    for (name, value) in [
        ("listen.api", "nowhere"),
        ("links.max_ttl", "6"),
        ("links.max_ttl", "0s"),
        ("links.max_ttl", "1h"),
        ("work.workers", "0"),
        ("work.workers", "many"),
        ("log.format", "xml"),
        ("links.public_url", "ftp://x"),
    ] {
        let mut layers = Layers::new();
        let refused = layers.add_flag(name, value, "--x").is_err() || Config::read(&layers).is_err();
        assert!(refused, "{name} = {value}");
    }
}
