//! Links: who may open them, from where, how long and how often.

use std::net::IpAddr;
use std::time::Duration;

use keystow_engine::links::{LinkFault, Spelling};
use keystow_engine::model::{Backup, BackupRef, LinkLimit, LinkRestriction, Network, Page, Role};
use keystow_engine::ops::{DeliveryFault, IssuedLink, LinkOrder, NewKey};

use crate::fake::{primary, small_snapshot, with_length};
use crate::world::{ANYWHERE, World, code, order, sha256, split};

/// A world with two instances and a backup of each.
async fn world() -> (World, Backup, Backup) {
    let world = World::new().await;
    let url = primary(with_length(&small_snapshot()));
    world.add("crs-1", &url).await.unwrap();
    world.add("crs-2", &url).await.unwrap();
    let backups = (world.take("crs-1").await, world.take("crs-2").await);
    (world, backups.0, backups.1)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Past what a node may go on knowing, and into another second than the one before.
fn let_it_sink_in(world: &World) {
    world.clock.advance(Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_delivers_the_part_under_its_name() {
    let (world, backup, _) = world().await;
    for spelling in
        [Spelling::Native, Spelling::Oss, Spelling::Cos, Spelling::Crs, Spelling::Us3, Spelling::Obs]
    {
        let link = world.link(&backup, &LinkOrder { spelling, ..order() }).await;
        assert!(link.url.starts_with("http://127.0.0.1:7361/"), "{}", link.url);
        assert_eq!((link.id.as_ref(), link.part), (None, backup.parts[0].number));
        assert_eq!(link.expires_at, world.clock.now() + Duration::from_hours(1));
        let delivery = world.open(&link).await.unwrap();
        assert!(!delivery.counted);
        let part = &delivery.part;
        assert_eq!(part.file_name, backup.parts[0].sealed.file_name);
        assert_eq!((part.size_bytes, &part.sha256), (link.size_bytes, &backup.parts[0].sealed.sha256));
        let bytes = part.reader.read_at(0, 1 << 20).await.unwrap();
        assert_eq!(sha256(&bytes), part.sha256);
        assert_eq!(part.instance().as_str(), "crs-1");
    }
    let links = world.engine.links(&world.admin, Page::default()).await.unwrap();
    assert_eq!(links.total, 0, "issuing a link writes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_on_its_own_network_only() {
    let (world, backup, _) = world().await;
    let both = LinkOrder { networks: vec![Network::Public, Network::Intranet], ..order() };
    let links = world.share(&world.admin, &backup, &both).await.unwrap();
    assert!(links[1].url.starts_with("http://10.0.0.1:7362/"));
    for (link, own, other) in
        [(&links[0], Network::Public, Network::Intranet), (&links[1], Network::Intranet, Network::Public)]
    {
        assert!(world.open_from(link, own, ANYWHERE).await.is_ok());
        assert!(matches!(world.open_from(link, other, ANYWHERE).await, Err(DeliveryFault::OtherNetwork)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_link_opens_from_its_addresses_only() {
    let (world, backup, _) = world().await;
    let addresses = vec!["10.1.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let link = world.link(&backup, &LinkOrder { addresses, ..order() }).await;
    for (from, opens) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("2001:db8::7", true),
        ("10.2.0.1", false),
        ("203.0.113.9", false),
        ("2001:db9::1", false),
    ] {
        let opened = world.open_from(&link, Network::Public, address(from)).await;
        match opened {
            Ok(_) => assert!(opens, "{from}"),
            Err(fault) => assert!(!opens && matches!(fault, DeliveryFault::Address), "{from}: {fault:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_link_is_refused() {
    let (world, backup, _) = world().await;
    let link = world.link(&backup, &LinkOrder { ttl: Duration::from_mins(1), ..order() }).await;
    world.clock.advance(Duration::from_mins(1));
    assert!(world.open(&link).await.is_ok(), "good in its last second");
    world.clock.advance(Duration::from_secs(1));
    assert!(matches!(
        world.open(&link).await,
        Err(DeliveryFault::Link(LinkFault::Expired { at })) if at == link.expires_at
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_one_backup_never_opens_another() {
    let (world, one, other) = world().await;
    let link = world.link(&one, &order()).await;
    let (own, foreign) = (one.parts[0].number.to_string(), other.parts[0].number.to_string());
    for url in [
        link.url.replace(&one.id.to_string(), &other.id.to_string()),
        link.url.replace(&format!("/{own}/"), &format!("/{foreign}/")),
        link.url
            .replace(&one.id.to_string(), &other.id.to_string())
            .replace(&format!("/{own}/"), &format!("/{foreign}/")),
        link.url.replace(&link.file_name, "other.rdb"),
        link.url.replace("Expires=", "Expires=9"),
    ] {
        assert_ne!(url, link.url);
        let opened = world.open(&IssuedLink { url: url.clone(), ..link.clone() }).await;
        assert!(
            matches!(opened, Err(DeliveryFault::Link(LinkFault::BadSignature | LinkFault::Malformed))),
            "{url}"
        );
    }
}

async fn assert_revoked(world: &World, link: &IssuedLink) {
    let opened = world.open(link).await.map(|_| "it opens");
    assert!(matches!(opened, Err(DeliveryFault::Revoked)), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_link_is_revoked_and_the_others_live() {
    let (world, backup, _) = world().await;
    let kept = LinkOrder { remember: true, ..order() };
    let (first, second) = (world.link(&backup, &kept).await, world.link(&backup, &kept).await);
    let listed = world.engine.links(&world.admin, Page::default()).await.unwrap();
    assert_eq!(listed.total, 2);
    world.open(&first).await.unwrap();
    world.engine.revoke_link(&world.admin, first.id.as_ref().unwrap()).await.unwrap();
    assert_revoked(&world, &first).await;
    world.open(&second).await.unwrap();
    assert_eq!(code(world.engine.revoke_link(&world.admin, "lnk-nope").await), "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_revoked_by_backup_by_instance_and_by_key() {
    let (world, one, other) = world().await;
    let which = BackupRef::Id(one.id);
    let (first, foreign) = (world.link(&one, &order()).await, world.link(&other, &order()).await);
    world.open(&first).await.unwrap();
    let_it_sink_in(&world);
    world.engine.revoke_backup_links(&world.admin, which).await.unwrap();
    assert_revoked(&world, &first).await;
    world.open(&foreign).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let second = world.link(&one, &order()).await;
    world.open(&second).await.unwrap();

    let_it_sink_in(&world);
    world.engine.revoke_instance_links(&world.admin, &one.instance).await.unwrap();
    assert_revoked(&world, &second).await;
    world.open(&foreign).await.unwrap();
    world.clock.advance(Duration::from_secs(1));

    let key = world.engine.create_key(&world.admin, NewKey::default()).await.unwrap();
    let who = world.engine.sign_in(&key.id, key.secret.expose(), None).await.unwrap();
    let third = world.share(&who, &one, &order()).await.unwrap().remove(0);
    let own = world.link(&one, &order()).await;
    world.open(&third).await.unwrap();
    world.engine.revoke_key(&world.admin, &key.id).await.unwrap();
    assert_revoked(&world, &third).await;
    world.open(&own).await.unwrap();
    assert_eq!(code(world.engine.sign_in(&key.id, key.secret.expose(), None).await), "BAD_CREDENTIALS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_reaches_every_node_in_time() {
    let (world, backup, _) = world().await;
    let link = world.link(&backup, &order()).await;
    let node = world.another_node();
    let (path, query) = split(&link.url);
    node.open_link(&path, &query, Network::Public, ANYWHERE).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.engine.revoke_backup_links(&world.admin, BackupRef::Id(backup.id)).await.unwrap();
    world.clock.advance(Duration::from_secs(5));
    let opened = node.open_link(&path, &query, Network::Public, ANYWHERE).await.map(|_| ());
    assert!(matches!(opened, Err(DeliveryFault::Revoked)), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_with_the_key_that_asked_for_it() {
    let (world, backup, _) = world().await;
    let expires_at = Some(world.clock.now() + Duration::from_mins(1));
    let who = world.sign_in(NewKey { expires_at, role: Some(Role::Downloader), ..NewKey::default() }).await;
    let link = world.share(&who, &backup, &order()).await.unwrap().remove(0);
    world.open(&link).await.unwrap();
    world.clock.advance(Duration::from_secs(61));
    assert_revoked(&world, &link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_use_link_delivers_once_by_bytes() {
    let (world, backup, _) = world().await;
    let link = world.link(&backup, &LinkOrder { deliveries: Some(1), ..order() }).await;
    let size = link.size_bytes;
    let delivery = world.open(&link).await.unwrap();
    assert!(delivery.counted);
    // Opening it, as for HEAD, costs nothing.
    for _ in 0..10 {
        world.open(&link).await.unwrap();
    }
    let first = world.engine.reserve_delivery(&delivery, size).await.unwrap().unwrap();
    let second = world.engine.reserve_delivery(&delivery, size).await;
    assert!(matches!(second, Err(DeliveryFault::Busy)), "while the first is under way");
    // The first broke in the middle; the rest may follow.
    assert!(first.stands());
    world.engine.settle_delivery(&first, size / 2, 0).await.unwrap();
    world.open(&link).await.unwrap();
    let rest = world.engine.reserve_delivery(&delivery, size - size / 2).await.unwrap().unwrap();
    world.engine.settle_delivery(&rest, size - size / 2, 0).await.unwrap();
    assert!(matches!(world.open(&link).await, Err(DeliveryFault::UsedUp)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_needs_a_life_a_network_and_a_delivery() {
    let (world, backup, _) = world().await;
    for wrong in [
        LinkOrder { ttl: Duration::ZERO, ..order() },
        LinkOrder { ttl: Duration::from_hours(8 * 24), ..order() },
        LinkOrder { networks: Vec::new(), ..order() },
        LinkOrder { deliveries: Some(0), ..order() },
    ] {
        assert_eq!(code(world.share(&world.admin, &backup, &wrong).await), "INVALID_VALUE");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_not_done_has_no_links() {
    let (world, ..) = world().await;
    let asked = world.request("crs-1").await;
    let unverified = LinkOrder { unverified: true, ..order() };
    for order in [order(), unverified] {
        assert_eq!(code(world.share(&world.admin, &asked, &order).await), "BACKUP_NOT_AVAILABLE");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_addresses_are_refused_whatever_else_is_allowed() {
    let (world, backup, _) = world().await;
    let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let order = LinkOrder {
        addresses: ranges(&["10.0.0.0/8", "2001:db8::/32"]),
        denied: ranges(&["10.1.0.0/16"]),
        remember: true,
        ..order()
    };
    let link = world.link(&backup, &order).await;
    for (from, opens) in [("10.2.0.1", true), ("10.1.0.1", false), ("2001:db8::1", true), ("8.8.8.8", false)]
    {
        let (path, query) = split(&link.url);
        let opened = world.engine.open_link(&path, &query, Network::Public, address(from)).await;
        assert_eq!(opened.is_ok(), opens, "{from}");
    }
    let kept = world.engine.links(&world.admin, Page::default()).await.unwrap();
    assert_eq!(kept.rows[0].addresses, ["10.0.0.0/8", "2001:db8::/32", "!10.1.0.0/16"]);
    let everybody_else = LinkOrder { addresses: Vec::new(), ..order };
    let link = world.link(&backup, &everybody_else).await;
    let (path, query) = split(&link.url);
    assert!(world.engine.open_link(&path, &query, Network::Public, address("8.8.8.8")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_without_names_survives_an_unquoted_shell() {
    let (world, backup, _) = world().await;
    let link = world.link(&backup, &LinkOrder { spelling: Spelling::Crs, ..order() }).await;
    let (path, query) = split(&link.url);
    assert!(query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{query}");
    let open = async |query: &str| world.engine.open_link(&path, query, Network::Public, ANYWHERE).await;
    assert!(open(&format!("{query}%0A")).await.is_ok(), "what copying leaves at the end is forgiven");
    assert!(open(&format!("{query}&utm_source=x")).await.is_ok(), "so is what a tracker adds");
    for at in 0..query.len() {
        let mut changed = query.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(open(&String::from_utf8(changed).unwrap()).await.is_err(), "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restriction_is_set_by_an_operator_of_the_whole_account() {
    let (world, _, _) = world().await;
    let engine = &world.engine;
    let intranet = LinkRestriction { intranet_only: true, limit: None };
    let viewer = world.key(Role::Viewer, None).await;
    assert_eq!(code(engine.set_link_restriction(&viewer, "north", &intranet).await), "ROLE_DENIED");
    let operator = world.key(Role::Operator, None).await;
    engine.set_link_restriction(&operator, "north", &intranet).await.unwrap();
    assert_eq!(engine.link_restriction(&viewer, "north").await.unwrap(), intranet);
    assert_eq!(engine.link_restriction(&viewer, "south").await.unwrap(), LinkRestriction::default());
    let limit = LinkLimit { addresses: vec!["nowhere".to_owned()], ..LinkLimit::default() };
    let nonsense = LinkRestriction { intranet_only: false, limit: Some(limit) };
    assert_eq!(code(engine.set_link_restriction(&operator, "north", &nonsense).await), "INVALID_VALUE");
}
