//! Policies: what is taken and removed by itself.

use std::time::Duration;

use jiff::Timestamp;
use keystow_engine::model::{
    BackupFilter, BackupRef, BackupState, FireOutcome, InstanceId, JobFilter, JobKind, Mode, Role, Span,
};
use keystow_engine::ops::{NewInstance, PolicyChange, RetentionChange};

use crate::lab::{Server, fill_with_everything};
use crate::world::{World, code, login};

fn name() -> InstanceId {
    "crs-1".parse().unwrap()
}

fn daily(hour: u32) -> PolicyChange {
    PolicyChange { schedules: Some(vec![format!("0 {hour} * * *")]), ..PolicyChange::default() }
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// A world with one instance, without a policy.
async fn world(server: &Server) -> World {
    let world = World::new().await;
    let new = NewInstance {
        login: login(&server.url()),
        id: Some(name()),
        no_policy: true,
        ..NewInstance::default()
    };
    world.add_with(new).await.unwrap();
    world
}

async fn available(world: &World) -> Vec<Timestamp> {
    let filter = BackupFilter { states: vec![BackupState::Available], ..BackupFilter::default() };
    let listed = world.engine.backups(&world.admin, filter).await.unwrap();
    listed.rows.iter().map(|backup| backup.created_at).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_has_the_usual_policy_from_the_start_unless_it_is_not_wanted() {
    let server = Server::start(&[]);
    let world = World::new().await;
    world.add("crs-1", &server.url()).await.unwrap();
    let kept = world.engine.policy(&world.admin, &name()).await.unwrap().unwrap();
    assert_eq!((kept.version, kept.policy.keep.within, kept.policy.paused), (1, Span::days(7), false));
    let next = kept.next.unwrap().start;
    assert!(next > world.clock.now() && next.duration_since(world.clock.now()).as_hours() < 24);
    let other = NewInstance {
        login: login(&server.url()),
        id: Some("crs-2".parse().unwrap()),
        no_policy: true,
        ..NewInstance::default()
    };
    world.add_with(other).await.unwrap();
    assert_eq!(world.engine.policy(&world.admin, &"crs-2".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_takes_its_backups_and_lets_the_old_ones_go() {
    let server = Server::start(&[]);
    let world = world(&server).await;
    let keep = RetentionChange { within: Some(Span::days(3)), ..RetentionChange::default() };
    let change = PolicyChange { keep, verify_every: Some(Span::ZERO), ..daily(3) };
    world.engine.set_policy(&world.admin, &name(), change).await.unwrap();
    let by_hand = world.take("crs-1").await;
    assert_eq!(world.row(&by_hand).await.expires_at, None);
    let other_node = world.another_node();
    for day in 0..8 {
        let (one, other) = tokio::join!(world.engine.fire_due(), other_node.fire_due());
        assert_eq!(one.unwrap() + other.unwrap(), u64::from(day > 0), "day {day}");
        world.work_off().await;
        world.engine.keep_up().await.unwrap();
        world.work_off().await;
        world.clock.advance(hours(24));
    }
    // Those of the last three days, and the one by hand.
    let mode = |mode| BackupFilter { mode: Some(mode), ..BackupFilter::default() };
    let automated = world.engine.backups(&world.admin, mode(Mode::Automated)).await.unwrap();
    assert_eq!((automated.total, world.row(&by_hand).await.state), (3, BackupState::Available));
    let newest = &automated.rows[0];
    assert_eq!(newest.expires_at, Some(Span::days(3).after(newest.created_at)), "told where age decides");
    // Their objects are gone as well: a part, a manifest for each that is left.
    assert_eq!(world.files().len(), 2 * 4);
    let fires = world.engine.fires(&world.admin, &name(), 100).await.unwrap();
    assert_eq!(fires.len(), 7);
    assert!(fires.iter().all(|fire| fire.outcome == FireOutcome::Started && fire.backup.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_is_the_real_run_and_a_second_one_finds_nothing() {
    let server = Server::start(&[]);
    let world = world(&server).await;
    for _ in 0..6 {
        world.take("crs-1").await;
        world.clock.advance(hours(20));
    }
    let protected = available(&world).await[4];
    let rows = world.engine.backups(&world.admin, BackupFilter::default()).await.unwrap().rows;
    world.engine.protect_backup(&world.admin, BackupRef::Id(rows[4].id), true).await.unwrap();
    let keep = RetentionChange {
        within: Some(Span::ZERO),
        last: Some(1),
        daily: Some(2),
        include_manual: Some(true),
        ..RetentionChange::default()
    };
    world.engine.set_policy(&world.admin, &name(), PolicyChange { keep, ..daily(3) }).await.unwrap();
    let plain = |rows: Vec<keystow_engine::ops::Pruned>| {
        rows.into_iter().map(|row| (row.backup.id, row.keep, row.reasons)).collect::<Vec<_>>()
    };
    let viewer = world.key(Role::Viewer, None).await;
    assert_eq!(code(world.engine.prune(&viewer, None, false).await), "ROLE_DENIED");
    let dry = plain(world.engine.prune(&viewer, None, true).await.unwrap());
    assert_eq!(dry.iter().filter(|row| row.1).count(), 3);
    assert_eq!(available(&world).await.len(), 6, "a dry run removes nothing");
    let real = plain(world.engine.prune(&world.admin, Some(&name()), false).await.unwrap());
    assert_eq!(dry, real);
    world.work_off().await;
    let left = available(&world).await;
    assert_eq!((left.len(), left[2]), (3, protected));
    assert!(plain(world.engine.prune(&world.admin, None, false).await.unwrap()).iter().all(|row| row.1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_acts_without_a_policy_but_never_on_the_last_good_backup() {
    let server = Server::start(&[]);
    let world = world(&server).await;
    let soon = world.clock.now() + Duration::from_mins(30);
    for _ in 0..2 {
        let backup = world.take("crs-1").await;
        world.engine.set_expiry(&world.admin, BackupRef::Id(backup.id), Some(soon)).await.unwrap();
        world.clock.advance(Duration::from_mins(1));
    }
    assert_eq!(world.engine.remove_expired().await.unwrap(), 0);
    world.clock.advance(hours(1));
    assert_eq!(world.engine.remove_expired().await.unwrap(), 1);
    assert_eq!(world.engine.remove_expired().await.unwrap(), 0);
    assert_eq!(available(&world).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_backup_of_a_policy_is_tried_again_and_seen() {
    let mut server = Server::start(&[]);
    let world = world(&server).await;
    world.engine.set_policy(&world.admin, &name(), daily(3)).await.unwrap();
    server.kill();
    world.clock.advance(hours(24));
    for (wait, started) in [(0, 1), (59, 0), (1, 1), (300, 1), (900, 1), (2000, 0)] {
        world.clock.advance(Duration::from_secs(wait));
        assert_eq!(world.engine.fire_due().await.unwrap(), started, "after {wait} s more");
        world.work_off().await;
    }
    let failed = world.engine.backups(&world.admin, BackupFilter::default()).await.unwrap();
    assert_eq!(failed.total, 4);
    assert!(failed.rows.iter().all(|row| row.state == BackupState::Failed && row.mode == Mode::Automated));
    let fires = world.engine.fires(&world.admin, &name(), 9).await.unwrap();
    assert_eq!(fires.len(), 4);
    assert!(fires[0].note.as_ref().unwrap().contains("failed 3 time(s)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_changed_by_whoever_may_and_has_seen_it() {
    let server = Server::start(&[]);
    let world = world(&server).await;
    let viewer = world.key(Role::Viewer, None).await;
    assert_eq!(code(world.engine.set_policy(&viewer, &name(), daily(3)).await), "ROLE_DENIED");
    assert_eq!(code(world.engine.delete_policy(&world.admin, &name()).await), "POLICY_NOT_FOUND");
    let seen = PolicyChange { version: Some(1), ..daily(3) };
    assert_eq!(code(world.engine.set_policy(&world.admin, &name(), seen.clone()).await), "CONFLICT");
    let first = world.engine.set_policy(&world.admin, &name(), daily(3)).await.unwrap();
    assert_eq!((first.version, first.changed_by.as_str()), (1, world.admin.key_id()));
    let second = world.engine.set_policy(&world.admin, &name(), seen).await.unwrap();
    assert_eq!(second.version, 2);
    for bad in [
        PolicyChange { schedules: Some(vec!["0 0 30 2 *".to_owned()]), ..PolicyChange::default() },
        PolicyChange { time_zone: Some("Mars".to_owned()), ..PolicyChange::default() },
        PolicyChange { drill_every: Some(Span::minutes(1)), ..PolicyChange::default() },
        PolicyChange { jitter: Some(Span::hours(13)), ..PolicyChange::default() },
    ] {
        assert_eq!(code(world.engine.set_policy(&world.admin, &name(), bad).await), "INVALID_VALUE");
    }
    let missing = "crs-9".parse().unwrap();
    assert_eq!(code(world.engine.set_policy(&world.admin, &missing, daily(3)).await), "INSTANCE_NOT_FOUND");
    let coming = world.engine.coming_backups(&viewer, None, 3).await.unwrap();
    assert_eq!(coming.len(), 3);
    assert!(coming.windows(2).all(|pair| pair[0].planned.start < pair[1].planned.start));
    world.add("crs-0", &server.url()).await.unwrap();
    let hourly = PolicyChange { schedules: Some(vec!["0 * * * *".to_owned()]), ..PolicyChange::default() };
    let other = "crs-0".parse().unwrap();
    world.engine.set_policy(&world.admin, &other, hourly).await.unwrap();
    let of_both = world.engine.coming_backups(&viewer, None, 100).await.unwrap();
    let order: Vec<_> = of_both.iter().map(|one| (one.planned.start, one.instance.clone())).collect();
    assert!(order.len() == 100 && order.is_sorted(), "{order:?}");
    let own = world.engine.coming_backups(&viewer, Some(&name()), 100).await.unwrap();
    let within: Vec<_> = own.into_iter().filter(|one| one.planned.start < order[99].0).collect();
    let merged: Vec<_> = of_both.into_iter().filter(|one| one.instance == name()).collect();
    assert_eq!(merged[..within.len()], within, "each policy's fires are all there");
    assert!(merged.len() >= 3);
    world.engine.delete_policy(&world.admin, &other).await.unwrap();
    let paused = PolicyChange { paused: Some(true), ..PolicyChange::default() };
    assert_eq!(world.engine.set_policy(&world.admin, &name(), paused).await.unwrap().next, None);
    assert!(world.engine.coming_backups(&world.admin, Some(&name()), 3).await.unwrap().is_empty());
    world.clock.advance(hours(100));
    assert_eq!(world.engine.fire_due().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_asks_for_scrubs_and_a_drill_when_they_are_due() {
    let server = Server::start(&[]);
    fill_with_everything(&server);
    let world = world(&server).await;
    let first = world.take("crs-1").await;
    let every =
        |span| PolicyChange { verify_every: Some(span), drill_every: Some(Span::days(30)), ..daily(3) };
    world.engine.set_policy(&world.admin, &name(), every(Span::days(2))).await.unwrap();
    let kinds = async || {
        let listed = world.engine.jobs(&world.admin, JobFilter::default()).await.unwrap();
        let count = |kind| listed.rows.iter().filter(|row| row.job.kind == kind).count();
        (count(JobKind::Scrub), count(JobKind::Drill))
    };
    assert_eq!(world.engine.keep_up().await.unwrap(), 1);
    assert_eq!(world.engine.keep_up().await.unwrap(), 0, "once");
    assert_eq!(kinds().await, (0, 1), "the bytes were proven just now");
    world.work_off().await;
    assert!(world.row(&first).await.last_drill.unwrap().ok);
    world.clock.advance(hours(49));
    world.engine.keep_up().await.unwrap();
    world.work_off().await;
    assert_eq!(kinds().await, (1, 1));
    let found = world.row(&first).await.last_scrub.unwrap();
    assert!(found.ok && found.bytes == first.size_bytes());
    world.clock.advance(hours(25));
    world.engine.keep_up().await.unwrap();
    assert_eq!(kinds().await, (1, 1));
}
