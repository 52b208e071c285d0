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
    let CatalogPlace::Sqlite(path) = config.catalog_place().unwrap() else { panic!("another database") };
    assert_eq!(path, Path::new("./keystow-data/catalog.db"));
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
    let origin = layers.values().find(|row| row.name == "listen.api").unwrap().origin;
    assert_eq!(origin, Origin::Flag("--api"));
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    for (wrong, right) in [
        ("links.public_ur", "links.public_url"),
        ("limits.drian", "limits.drain"),
        ("workers", "work.workers"),
        ("networks.office.cidr", "networks.office.cidrs"),
        ("region.cn-gz.aliases", "regions.cn-gz.aliases"),
        ("dialects.tencent_v4.rate", "dialects.tencent_v2.rate"),
    ] {
        let error = Layers::new().add_flag(wrong, "x", "--x").unwrap_err();
        assert_eq!(error.code, "CONFIG_UNKNOWN_KEY");
        assert!(error.hint.unwrap().contains(right), "{wrong}");
    }
}

#[test]
fn the_clients_variables_are_no_configuration() {
    let mut layers = Layers::new();
    for name in [
        "KEYSTOW_SERVER",
        "KEYSTOW_ACCESS_KEY_ID",
        "KEYSTOW_ACCESS_KEY_SECRET",
        "KEYSTOW_SESSION_TOKEN",
        "KEYSTOW_DATA_DIR",
        "HOME",
    ] {
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

#[test]
fn an_object_store_needs_a_key_or_the_chain() {
    let store = "[repository]\nurl = \"s3://b?region=x\"\n";
    let keys = "access_key_id = \"AK\"\nsecret_file = \"env:SK\"\n";
    let chain = "credentials = \"chain\"\n";
    for (text, good) in [
        (store.to_owned(), false),
        (format!("{store}{keys}"), true),
        (format!("{store}{chain}"), true),
        (format!("{store}{keys}{chain}"), false),
        (format!("{store}credentials = \"magic\"\n"), false),
        (format!("{store}{keys}spool = \"0\"\n"), true),
        (format!("{store}{keys}spool = \"1GB\"\n"), false),
        (format!("{store}{keys}spool = \"99999999TiB\"\n"), false),
        (format!("{store}{keys}[links]\nmode = \"direct\"\n"), true),
        ("[links]\nmode = \"direct\"\n".to_owned(), false),
    ] {
        let read = from_file(&text).1;
        assert_eq!(read.is_ok(), good, "{text}: {:?}", read.err());
    }
}

fn from_file(text: &str) -> (Layers, Result<Config>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keystow.toml");
    std::fs::write(&file, text).unwrap();
    let mut layers = Layers::new();
    layers.add_file(&file).unwrap();
    let config = Config::read(&layers);
    (layers, config)
}

#[test]
fn sections_that_the_operator_names_are_read() {
    let (layers, config) = from_file(
        r#"
        [networks.office]
        cidrs = ["10.0.0.0/8", "203.0.113.7"]
        [regions.cn-guangzhou]
        aliases = ["ap-guangzhou", "cn-gd"]
        [dialects.tencent_v3]
        rate = 5
        allow_list = ["default"]
        [dialects.tencent_v3.rates]
        DescribeBackupUrl = 7
        "#,
    );
    let config = config.unwrap();
    let office = &config.networks["office"];
    assert_eq!((office.cidrs.len(), office.vpc_id.as_str()), (2, ""));
    assert_eq!(config.regions["cn-guangzhou"].aliases, ["ap-guangzhou", "cn-gd"]);
    let tencent = &config.dialects["tencent_v3"];
    assert_eq!((tencent.rate, tencent.rates["DescribeBackupUrl"]), (5, 7));
    assert_eq!((tencent.allow_list.len(), config.dialects["huawei"].rate), (1, 20));

    let shown: Vec<_> = layers.values().map(|row| (row.name, row.origin != Origin::Default)).collect();
    assert!(shown.contains(&("networks.office.cidrs", true)));
    assert!(shown.contains(&("networks.office.region", false)), "the rest of the section has its defaults");
    assert!(shown.contains(&("dialects.ucloud.rates.*", false)), "what is not used is shown as it may be");
    assert!(!shown.iter().any(|(name, _)| *name == "networks.*.cidrs"));
}

#[test]
fn the_environment_has_lists_and_sections_too() {
    let mut layers = Layers::new();
    layers.add_environment(env("KEYSTOW_NETWORKS__OFFICE__CIDRS", "10.0.0.0/8, 192.168.0.0/16,")).unwrap();
    layers.add_environment(env("KEYSTOW_LISTEN__TRUSTED_PROXIES", "127.0.0.1")).unwrap();
    layers.add_environment(env("KEYSTOW_LISTEN__PROXY_PROTOCOL", "api,intranet")).unwrap();
    let config = Config::read(&layers).unwrap();
    assert_eq!(config.networks["office"].cidrs.len(), 2);
    assert_eq!(config.listen.trusted_proxies.len(), 1);
    assert_eq!(config.listen.proxy_protocol, [Listener::Api, Listener::Intranet]);
}

#[test]
fn a_name_means_one_thing() {
    for text in [
        "[networks.a]\nvpc_id = \"vpc-1\"",
        "[networks.a]\ncidrs = [\"10.0.0.0/40\"]",
        "[regions.a]\naliases = [\"x\"]\n[regions.b]\naliases = [\"X\"]",
        "[regions.a]\naliases = [\"b\"]\n[regions.b]\naliases = [\"c\"]",
        "[regions.a]\nzones = [\"z\"]\n[regions.b]\nzones = [\"z\"]",
        "[regions.a]\nisolated = true",
        "[dialects.ucloud]\nhosts = [\"api.example\"]\n[dialects.huawei]\nhosts = [\"API.example\"]",
        "[dialects.ucloud]\nhosts = [\"https://api.example\"]",
        "[dialects.ucloud]\nrate = -1",
        "[listen]\nproxy_protocol = [\"api\"]",
        "[listen]\nproxy_protocol = [\"console\"]\ntrusted_proxies = [\"127.0.0.1\"]",
    ] {
        assert_eq!(from_file(text).1.map(drop).unwrap_err().code, "CONFIG_INVALID", "{text}");
    }
}

#[test]
fn each_listener_has_its_own_tls_or_that_of_all() {
    let (_, config) = from_file(
        r#"
        [listen]
        api = "0.0.0.0:7360"
        [tls]
        cert = "all.pem"
        key = "all.key"
        client_ca = "ca.pem"
        [tls.download]
        cert = "own.pem"
        key = "own.key"
        [tls.intranet]
        off = true
        "#,
    );
    let config = config.unwrap();
    let api = config.tls.files(Listener::Api).unwrap();
    assert_eq!((api.cert.to_str(), api.client_ca.is_some()), (Some("all.pem"), true));
    assert_eq!(config.tls.files(Listener::Download).unwrap().key.to_str(), Some("own.key"));
    assert_eq!(config.tls.files(Listener::Intranet), None);
    assert_eq!(config.links.public_url, "https://127.0.0.1:7361");
    assert_eq!(config.links.intranet_url, "http://127.0.0.1:7362");
}

#[test]
fn half_of_a_tls_configuration_is_refused() {
    for text in [
        "[tls]\ncert = \"a\"",
        "[tls]\nclient_ca = \"a\"",
        "[tls.api]\nkey = \"a\"",
        "[tls.api]\nclient_ca = \"a\"",
        "[listen]\nintranet = \"0.0.0.0:1\"\n[tls]\ncert = \"a\"\nkey = \"b\"\n[tls.intranet]\noff = true",
    ] {
        assert_eq!(from_file(text).1.map(drop).unwrap_err().code, "CONFIG_INVALID", "{text}");
    }
}
