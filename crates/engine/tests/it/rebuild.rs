//! The catalog is lost; the repository and the root key are not.

use std::sync::Arc;

use keystow_engine::access::RootKey;
use keystow_engine::catalog::{Catalog, SqliteCatalog};
use keystow_engine::model::{Backup, BackupId, BackupRef, BackupState, Encoding};
use keystow_engine::ops::{
    Engine, NewKey, Rebuilt, begin_rebuild, refuse_unfinished_rebuild, rotate_root_key, settle_root_key,
};
use keystow_engine::vault::{ObjectKey, Vault};

use crate::lab::{Server, fill_with_everything};
use crate::world::{ANYWHERE, World, attempt, code, order, split};

struct Loss {
    world: World,
    backup: Backup,
    _server: Server,
}

/// A world with one backup, that is about to lose its catalog.
async fn before_the_loss() -> Loss {
    let server = Server::start(&[]);
    fill_with_everything(&server);
    let world = World::new().await;
    world.engine.adopt_repository().await.unwrap();
    world.add("crs-1", &server.url()).await.unwrap();
    let backup = world.take("crs-1").await;
    Loss { world, backup, _server: server }
}

impl Loss {
    fn root(&self) -> RootKey {
        RootKey::load(&self.world.path("root.key")).unwrap()
    }

    async fn empty_catalog(&self, name: &str) -> Arc<SqliteCatalog> {
        Arc::new(SqliteCatalog::open(&self.world.path(name)).await.unwrap())
    }

    /// Rebuilds into a new catalog, whole.
    async fn rebuild(&self, name: &str, root: RootKey) -> (Arc<Engine>, Arc<SqliteCatalog>, Rebuilt) {
        let catalog = self.empty_catalog(name).await;
        let (root, copy, begun) = begin_rebuild(&*catalog, &*self.world.vault, root).await.unwrap();
        let engine = self.world.engine_on(catalog.clone(), &root);
        let rebuilt = engine.rebuild(copy.as_ref(), begun, &|_, _| {}).await.unwrap();
        (engine, catalog, rebuilt)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_by_a_clock_that_was_ahead_does_not_hide_later_ones() {
    let loss = before_the_loss().await;
    let world = &loss.world;
    let first = world.engine.copy_catalog(&world.admin).await.unwrap();
    let ahead = first + std::time::Duration::from_hours(24 * 365);
    let sealed = world.vault.get(&ObjectKey::CatalogCopy(first), 1 << 20).await.unwrap().unwrap();
    world.vault.put(&ObjectKey::CatalogCopy(ahead), sealed.into()).await.unwrap();
    let key = world.engine.create_key(&world.admin, NewKey::default()).await.unwrap();
    assert!(world.engine.copy_catalog_if_due().await.unwrap().unwrap() > ahead);
    let (engine, ..) = loss.rebuild("rebuilt.db", loss.root()).await;
    engine.sign_in(&key.id, key.secret.expose(), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_was_available_is_there_again_and_its_links_open() {
    let loss = before_the_loss().await;
    let (world, backup) = (&loss.world, &loss.backup);
    let key = world.engine.create_key(&world.admin, NewKey::default()).await.unwrap();
    let plain = world.link(backup, &order()).await;
    let remembered = world.link(backup, &keystow_engine::ops::LinkOrder { remember: true, ..order() }).await;
    let counted =
        world.link(backup, &keystow_engine::ops::LinkOrder { deliveries: Some(1), ..order() }).await;
    world.engine.protect_backup(&world.admin, BackupRef::Id(backup.id), true).await.unwrap();
    let later = world.clock.now() + std::time::Duration::from_hours(1);
    world.engine.set_expiry(&world.admin, BackupRef::Id(backup.id), Some(later)).await.unwrap();
    assert!(world.engine.copy_catalog_if_due().await.unwrap().is_some());
    assert!(world.engine.copy_catalog_if_due().await.unwrap().is_none(), "nothing has changed");
    let newest = world.catalog.mint_numbers(1).await.unwrap()[0];

    let (engine, catalog, rebuilt) = loss.rebuild("rebuilt.db", loss.root()).await;
    assert_eq!(rebuilt.backups.get("available"), Some(&1), "{rebuilt:?}");
    assert!(rebuilt.copy_at.is_some() && rebuilt.admin_key.is_none() && rebuilt.unknown_instances.is_empty());
    refuse_unfinished_rebuild(&*catalog).await.unwrap();
    let who = engine.sign_in(&key.id, key.secret.expose(), None).await.unwrap();
    let before = world.row(backup).await;
    let after = engine.backup(&who, BackupRef::Number(backup.number)).await.unwrap();
    let told = |row: &Backup| {
        let parts: Vec<_> = row.parts.iter().map(|part| (part.number, part.sealed.sha256.clone())).collect();
        (row.id, row.state, row.attempt, row.job, row.protected, row.expires_at, row.created_at, parts)
    };
    assert_eq!(told(&after), told(&before));
    assert_eq!((after.origin, after.server), (before.origin, before.server));
    for link in [&plain, &remembered] {
        let (path, query) = split(&link.url);
        engine.open_link(&path, &query, keystow_engine::model::Network::Public, ANYWHERE).await.unwrap();
    }
    let (path, query) = split(&counted.url);
    let refused = engine.open_link(&path, &query, keystow_engine::model::Network::Public, ANYWHERE).await;
    assert!(refused.is_err(), "how much of it was used is not known");
    assert!(catalog.mint_numbers(1).await.unwrap()[0] > newest, "no number is given twice");
    assert_eq!(engine.sweep(true).await.unwrap(), keystow_engine::ops::Swept::default());
    // It can be deleted, objects and all, though its job is not known.
    engine.protect_backup(&world.admin, BackupRef::Id(backup.id), false).await.unwrap();
    engine.delete_backup(&world.admin, BackupRef::Id(backup.id)).await.unwrap();
    let worker = crate::world::Worker::start(engine.clone());
    crate::world::eventually("the objects to be gone", async || (!world.has_folder(backup)).then_some(()))
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_was_stopped_is_no_catalog_and_begins_again() {
    let loss = before_the_loss().await;
    loss.world.engine.copy_catalog(&loss.world.admin).await.unwrap();
    let catalog = loss.empty_catalog("rebuilt.db").await;
    let begun = begin_rebuild(&*catalog, &*loss.world.vault, loss.root()).await.unwrap();
    drop(begun);
    assert_eq!(code(refuse_unfinished_rebuild(&*catalog).await), "CATALOG_UNFINISHED");
    catalog.close().await;
    let (engine, catalog, rebuilt) = loss.rebuild("rebuilt.db", loss.root()).await;
    assert_eq!(rebuilt.backups.get("available"), Some(&1));
    assert!(engine.backup(&loss.world.admin, BackupRef::Id(loss.backup.id)).await.is_ok());
    // A whole one is not touched.
    let again = begin_rebuild(&*catalog, &*loss.world.vault, loss.root()).await;
    assert_eq!(again.err().unwrap().code, "CATALOG_EXISTS");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_copy_the_backups_come_back_under_a_new_admin_key() {
    let loss = before_the_loss().await;
    let (engine, _, rebuilt) = loss.rebuild("rebuilt.db", loss.root()).await;
    assert!(rebuilt.copy_at.is_none());
    assert_eq!(rebuilt.unknown_instances.iter().collect::<Vec<_>>(), ["default/crs-1"]);
    let key = rebuilt.admin_key.unwrap();
    let admin = engine.sign_in(&key.id, key.secret.expose(), None).await.unwrap();
    assert_eq!(
        engine.backup(&admin, BackupRef::Id(loss.backup.id)).await.unwrap().state,
        BackupState::Available
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_or_lost_is_told_and_not_believed() {
    let loss = before_the_loss().await;
    let (world, backup) = (&loss.world, &loss.backup);
    world.engine.copy_catalog(&world.admin).await.unwrap();
    let part = ObjectKey::Part(attempt(backup, 1), 0, Encoding::PLAIN);
    std::fs::write(world.repository().join(part.folder()).join(part.name()), "short").unwrap();
    // An event, a manifest and a copy that nobody of ours wrote.
    let folder = world.repository().join(attempt(backup, 1).backup_folder());
    std::fs::create_dir_all(folder.join("events")).unwrap();
    let forged = r#"{"event":{"format":1},"mac":"00"}"#;
    std::fs::write(folder.join("events/7.json"), forged).unwrap();
    let other = attempt(&Backup { id: BackupId::mint(world.clock.now()), ..backup.clone() }, 1);
    let moved = world.repository().join(other.folder());
    std::fs::create_dir_all(&moved).unwrap();
    let manifest = world.repository().join(attempt(backup, 1).folder()).join("manifest.json");
    std::fs::copy(manifest, moved.join("manifest.json")).unwrap();
    let copy = ObjectKey::CatalogCopy(world.clock.now() + std::time::Duration::from_secs(9));
    world.vault.put(&copy, bytes::Bytes::from_static(b"not a copy, but long enough")).await.unwrap();

    let (engine, _, rebuilt) = loss.rebuild("rebuilt.db", loss.root()).await;
    assert_eq!(rebuilt.backups.get("damaged"), Some(&1), "{rebuilt:?}");
    assert_eq!((rebuilt.damaged_parts.len(), rebuilt.damaged_events.len()), (1, 1), "{rebuilt:?}");
    assert_eq!((rebuilt.damaged_manifests.len(), rebuilt.refused_copies.len()), (1, 1), "{rebuilt:?}");
    assert!(rebuilt.copy_at.is_some(), "the copy before it opens");
    let row = engine.backup(&world.admin, BackupRef::Id(backup.id)).await.unwrap();
    assert_eq!(row.state, BackupState::Damaged);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rebuild_found_damaged_is_what_it_was_when_a_scrub_finds_it_whole() {
    let loss = before_the_loss().await;
    let (world, which) = (&loss.world, BackupRef::Id(loss.backup.id));
    // A scrub that found it whole before says nothing of what is missing now.
    world.engine.request_scrub(&world.admin, which).await.unwrap();
    world.work_off().await;
    assert!(world.row(&loss.backup).await.last_scrub.unwrap().ok);
    world.engine.copy_catalog(&world.admin).await.unwrap();
    let part = ObjectKey::Part(attempt(&loss.backup, 1), 0, Encoding::PLAIN);
    let part = world.repository().join(part.folder()).join(part.name());
    let away = world.path("away.rdb");
    std::fs::rename(&part, &away).unwrap();

    let (engine, ..) = loss.rebuild("rebuilt.db", loss.root()).await;
    let row = engine.backup(&world.admin, which).await.unwrap();
    assert_eq!((row.state, row.last_scrub.map(|scrub| scrub.ok)), (BackupState::Damaged, Some(false)));
    std::fs::rename(&away, &part).unwrap();
    engine.request_scrub(&world.admin, which).await.unwrap();
    let worker = crate::world::Worker::start(engine.clone());
    let found = crate::world::eventually("the scrub to end", async || {
        let row = engine.backup(&world.admin, which).await.unwrap();
        Some(row).filter(|row| row.last_scrub.as_ref().unwrap().ok)
    })
    .await;
    worker.stop().await;
    assert_eq!((found.state, found.failure), (BackupState::Available, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_root_key_reads_what_the_old_one_wrote_also_after_a_loss() {
    let loss = before_the_loss().await;
    let (world, backup) = (&loss.world, &loss.backup);
    let key = world.engine.create_key(&world.admin, NewKey::default()).await.unwrap();
    let link = world.link(backup, &order()).await;
    let old = settle_root_key(loss.root(), &*world.catalog).await.unwrap();
    let new = || RootKey::from_text(&"5a".repeat(32), "here").unwrap();
    assert_eq!(code(settle_root_key(new(), &*world.catalog).await.map(drop)), "ROOT_KEY_WRONG");
    let until = world.clock.now() + std::time::Duration::from_hours(1);
    let (root, rotated) = rotate_root_key(&*world.catalog, &old, new(), until).await.unwrap();
    assert_eq!((rotated.generation, rotated.secrets), (2, 2), "two keys; the instance has no password");
    assert_eq!(code(settle_root_key(loss.root(), &*world.catalog).await.map(drop)), "ROOT_KEY_WRONG");
    let engine = world.engine_on(world.catalog.clone(), &root);
    engine.copy_catalog(&world.admin).await.unwrap();
    engine.sign_in(&key.id, key.secret.expose(), None).await.unwrap();

    // All that is left is the repository and the new key.
    let (engine, _, rebuilt) = loss.rebuild("rebuilt.db", new()).await;
    assert_eq!(rebuilt.backups.get("available"), Some(&1), "{rebuilt:?}");
    engine.sign_in(&key.id, key.secret.expose(), None).await.unwrap();
    let (path, query) = split(&link.url);
    let network = keystow_engine::model::Network::Public;
    engine.open_link(&path, &query, network, ANYWHERE).await.unwrap();
    // Links that were to end with the old key do not open.
    let (ended, _) = rotate_root_key(
        &*loss.empty_catalog("rebuilt.db").await,
        &settle_root_key(new(), &*loss.empty_catalog("rebuilt.db").await).await.unwrap(),
        RootKey::from_text(&"a5".repeat(32), "here").unwrap(),
        world.clock.now(),
    )
    .await
    .unwrap();
    let generations: Vec<_> =
        ended.link_keys(world.clock.now()).into_iter().map(|(number, _)| number).collect();
    assert_eq!(generations, [3, 1], "the first key's links have their own time");
}
