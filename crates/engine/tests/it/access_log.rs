//! The access log and what links were used for.

use std::net::IpAddr;
use std::time::Duration;

use keystow_engine::model::{
    AccessFilter, AccessKind, AccessRecord, Backup, BackupRef, Network, Role, Throughput,
};
use keystow_engine::ops::{DeliveryFault, IssuedLink, LinkOrder, NewKey};
use rusqlite::Connection;

use crate::fake::{primary, small_snapshot, with_length};
use crate::world::{ANYWHERE, World, code, order};

async fn world() -> (World, Backup) {
    let world = World::new().await;
    world.add("crs-1", &primary(with_length(&small_snapshot()))).await.unwrap();
    let backup = world.take("crs-1").await;
    (world, backup)
}

impl World {
    /// What is written when all notes are, oldest first.
    async fn accesses(&self, filter: AccessFilter) -> Vec<AccessRecord> {
        self.engine.write_access_log().await.unwrap();
        let listed = self.engine.access_log(&self.admin, filter, None).await.unwrap();
        listed.rows.into_iter().rev().collect()
    }

    /// Downloads so many of the bytes that it asked for.
    async fn download(&self, link: &IssuedLink, from: u64, until: u64, sent: u64) {
        let delivery = self.open(link).await.unwrap();
        self.engine.note_delivery(&delivery, ANYWHERE, from, until).sent = sent;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_downloads_are_written_down() {
    let (world, backup) = world().await;
    let address: IpAddr = "198.51.100.7".parse().unwrap();
    let who = world.key(Role::Downloader, None).await.calling(Some(address), "huawei");
    let both = LinkOrder { networks: vec![Network::Public, Network::Intranet], ..order() };
    let given = world.share(&who, &backup, &both).await.unwrap();
    let kept = world.link(&backup, &LinkOrder { remember: true, ..order() }).await;
    let size = given[0].size_bytes;
    world.download(&given[0], 0, size, size).await;
    world.download(&kept, 10, size, 5).await;
    let records = world.accesses(AccessFilter::default()).await;
    let [first, second, whole, broken] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((first.kind, first.outcome.as_str()), (AccessKind::Links, "given"));
    assert_eq!((first.access_key.as_str(), first.via.as_str()), (who.key_id(), "huawei"));
    assert_eq!(first.address.as_deref(), Some("198.51.100.7"));
    assert_eq!((first.backup, first.parts.as_slice()), (Some(backup.id), &[backup.parts[0].number][..]));
    assert_eq!(first.networks, [Network::Public, Network::Intranet]);
    assert_eq!(first.expires_at, Some(given[0].expires_at));
    assert_eq!(second.link, kept.id);
    assert_eq!((whole.kind, whole.outcome.as_str()), (AccessKind::Download, "done"));
    assert_eq!(
        (whole.access_key.as_str(), whole.sent_bytes, whole.link.as_ref()),
        (who.key_id(), size, None)
    );
    assert_eq!(whole.instance.as_ref(), Some(&backup.instance));
    assert_eq!((broken.outcome.as_str(), broken.range), ("broken", Some((10, size))));
    assert_eq!((broken.sent_bytes, &broken.link), (5, &kept.id));
    assert_eq!(world.engine.write_access_log().await.unwrap(), 0, "once");

    let usage = world.engine.link(&world.admin, kept.id.as_ref().unwrap()).await.unwrap().usage;
    assert_eq!((usage.requests, usage.bytes, usage.last_address.as_deref()), (1, 5, Some("203.0.113.9")));
    let of_link = AccessFilter { link: kept.id.clone(), ..AccessFilter::default() };
    assert_eq!(world.accesses(of_link).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_again_and_again_is_one_record() {
    let (world, backup) = world().await;
    let link = world.link(&backup, &LinkOrder { remember: true, ..order() }).await;
    for _ in 0..1000 {
        world.download(&link, 0, 10, 10).await;
    }
    world.download(&link, 0, 11, 11).await;
    let downloads = AccessFilter { kind: Some(AccessKind::Download), ..AccessFilter::default() };
    let records = world.accesses(downloads).await;
    let told: Vec<_> = records.iter().map(|record| (record.requests, record.sent_bytes)).collect();
    assert_eq!(told, [(1000, 10_000), (1, 11)]);
    let usage = world.engine.link(&world.admin, link.id.as_ref().unwrap()).await.unwrap().usage;
    assert_eq!((usage.requests, usage.bytes), (1001, 10_011));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_written_down_if_the_signature_was_right() {
    let (world, backup) = world().await;
    let link = world.link(&backup, &LinkOrder { remember: true, ..order() }).await;
    world.engine.revoke_link(&world.admin, link.id.as_ref().unwrap()).await.unwrap();
    assert!(matches!(world.open(&link).await, Err(DeliveryFault::Revoked)));
    let forged = IssuedLink { url: link.url.replace("Expires=", "Expires=9"), ..link.clone() };
    assert!(matches!(world.open(&forged).await, Err(DeliveryFault::Link(_))));
    let downloads = AccessFilter { kind: Some(AccessKind::Download), ..AccessFilter::default() };
    let records = world.accesses(downloads).await;
    assert_eq!((records.len(), records[0].outcome.as_str()), (1, "refused: revoked"));
    assert_eq!(world.engine.link(&world.admin, link.id.as_ref().unwrap()).await.unwrap().usage.requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_waits_and_what_is_too_much_is_counted() {
    let (world, backup) = world().await;
    let link = world.link(&backup, &order()).await;
    world.engine.write_access_log().await.unwrap();
    let behind = Connection::open(world.path("catalog.db")).unwrap();
    let stop = "CREATE TRIGGER stop BEFORE INSERT ON access BEGIN SELECT RAISE(ABORT, 'no more'); END";
    behind.execute_batch(stop).unwrap();
    world.download(&link, 0, 10, 10).await;
    assert_eq!(code(world.engine.write_access_log().await), "CATALOG_FAILED");
    let delivery = world.open(&link).await.unwrap();
    for from in 0..20_000 {
        drop(world.engine.note_delivery(&delivery, ANYWHERE, from, from + 1));
    }
    assert_eq!(code(world.engine.write_access_log().await), "CATALOG_FAILED");
    behind.execute_batch("DROP TRIGGER stop").unwrap();
    world.engine.write_access_log().await.unwrap();
    let listed = world
        .engine
        .access_log(
            &world.admin,
            AccessFilter { kind: Some(AccessKind::Download), ..AccessFilter::default() },
            None,
        )
        .await
        .unwrap();
    assert_eq!(listed.total, 16_384);
    let lost = AccessFilter { kind: Some(AccessKind::Lost), ..AccessFilter::default() };
    assert_eq!(world.accesses(lost).await[0].requests, 20_001 - 16_384);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_go_and_others_stay() {
    let (world, backup) = world().await;
    world.link(&backup, &order()).await;
    world.engine.write_access_log().await.unwrap();
    world.clock.advance(Duration::from_hours(24));
    world.link(&backup, &order()).await;
    world.engine.write_access_log().await.unwrap();
    assert!(world.engine.prune_access_log(Duration::from_hours(12)).await.unwrap());
    assert!(!world.engine.prune_access_log(Duration::from_hours(12)).await.unwrap());
    assert_eq!(world.accesses(AccessFilter::default()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_few_connections_refuses_more() {
    let (world, backup) = world().await;
    let throughput = Throughput { connections: Some(1), bytes_per_second: Some(1024 * 1024) };
    let link = world.link(&backup, &LinkOrder { throughput, ..order() }).await;
    assert!(link.id.is_some(), "it needs a memory");
    let delivery = world.open(&link).await.unwrap();
    let passage = world.engine.admit_transfer(&delivery, ANYWHERE).unwrap();
    assert!(!passage.is_free());
    assert!(matches!(world.engine.admit_transfer(&delivery, ANYWHERE), Err(DeliveryFault::Busy)));
    drop(passage);
    assert!(world.engine.admit_transfer(&delivery, ANYWHERE).is_ok());
    for throughput in [
        Throughput { connections: Some(0), bytes_per_second: None },
        Throughput { connections: None, bytes_per_second: Some(1) },
    ] {
        let refused = world.share(&world.admin, &backup, &LinkOrder { throughput, ..order() }).await;
        assert_eq!(code(refused), "INVALID_VALUE");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_link_looks_like_a_missing_one() {
    let (world, backup) = world().await;
    let link = world.link(&backup, &LinkOrder { remember: true, ..order() }).await;
    let id = link.id.as_ref().unwrap();
    world.engine.add_project(&world.admin, "web".parse().unwrap(), None, None).await.unwrap();
    let bound = world.key(Role::Operator, Some("web")).await;
    assert_eq!(code(world.engine.link(&bound, id).await), "NOT_FOUND");
    assert_eq!(code(world.engine.revoke_link(&bound, id).await), "NOT_FOUND");
    assert_eq!(code(world.engine.revoke_key_links(&bound, world.admin.key_id()).await), "NOT_FOUND");
    world.engine.write_access_log().await.unwrap();
    let of = async |who, account: Option<&str>| {
        let account = account.map(|id| id.parse().unwrap());
        let filter = AccessFilter { account, ..AccessFilter::default() };
        world.engine.access_log(who, filter, Some(BackupRef::Id(backup.id))).await
    };
    let seen = world.engine.access_log(&bound, AccessFilter::default(), None).await.unwrap();
    assert_eq!(seen.total, 0, "of its project only");
    assert_eq!(code(of(&bound, None).await), "BACKUP_NOT_FOUND");
    let viewer = world.key(Role::Viewer, None).await;
    assert_eq!(code(of(&viewer, None).await), "ROLE_DENIED");
    // An admin of another account names the one that the backup is in.
    world.engine.add_account(&world.admin, "acme".parse().unwrap(), None).await.unwrap();
    let account = Some("acme".parse().unwrap());
    let admin = world.sign_in(NewKey { account, role: Some(Role::Admin), ..NewKey::default() }).await;
    assert_eq!(code(of(&admin, None).await), "BACKUP_NOT_FOUND");
    assert!(of(&admin, Some("default")).await.unwrap().total > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_links_of_a_key_end_on_every_node_and_the_key_goes_on() {
    let (world, backup) = world().await;
    let who = world.key(Role::Downloader, None).await;
    let link = world.share(&who, &backup, &order()).await.unwrap().remove(0);
    let other = world.link(&backup, &order()).await;
    let node = world.another_node();
    let (path, query) = crate::world::split(&link.url);
    node.open_link(&path, &query, Network::Public, ANYWHERE).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.engine.revoke_key_links(&world.admin, who.key_id()).await.unwrap();
    assert!(matches!(world.open(&link).await, Err(DeliveryFault::Revoked)), "here at once");
    world.clock.advance(Duration::from_secs(5));
    let opened = node.open_link(&path, &query, Network::Public, ANYWHERE).await.map(|_| ());
    assert!(matches!(opened, Err(DeliveryFault::Revoked)), "{opened:?}");
    world.open(&other).await.unwrap();
    let later = world.share(&who, &backup, &order()).await.unwrap().remove(0);
    world.open(&later).await.unwrap();
}
