//! Stories of restores whose worker died, and of what the next one makes of the target.

use std::time::Duration;

use keystow_engine::catalog::Catalog;
use keystow_engine::model::{Job, OnConflict, Outcome, Progress, RestoreMethod, RestoreOutcome};
use keystow_engine::ops::RestoreRequest;

use crate::lab::{Server, fill_with_everything, free_port};
use crate::restore::{backup_of, by, done, ended, failed, outcome, restored, role, setting, to};
use crate::world::World;

/// Asks for a restore whose first worker dies after it noted that.
async fn orphaned(world: &World, request: RestoreRequest, noted: RestoreOutcome, safe: u64) -> Job {
    let (_, asked) = world.engine.request_restore(&world.admin, request).await.unwrap();
    let hold = Duration::from_mins(1);
    let job = world.catalog.claim_job("dead", world.clock.now(), hold).await.unwrap().unwrap();
    assert_eq!(job.number, asked.number);
    let progress = Progress { safe: vec![safe], ..job.progress.clone() };
    world.catalog.renew_lease(&job.lease(), &progress, world.clock.now(), hold).await.unwrap();
    world.catalog.record_outcome(&job.lease(), &Outcome::Restore(noted)).await.unwrap();
    assert_eq!(world.catalog.surrender_leases().await.unwrap(), 1);
    asked
}

async fn gone_on_with(world: &World, asked: &Job) -> (Job, RestoreOutcome) {
    let worker = world.worker();
    let job = ended(world, asked).await;
    worker.stop().await;
    let outcome = outcome(&job);
    (job, outcome)
}

fn following(us: &str) -> RestoreOutcome {
    RestoreOutcome {
        method: RestoreMethod::Primary,
        changed: true,
        followed: Some(us.to_owned()),
        borrowed: vec![("masterauth".to_owned(), String::new())],
        ..RestoreOutcome::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_still_follows_is_let_go_and_restored() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    fill_with_everything(&source);
    let backup = backup_of(&world, &source).await;
    let request = by(RestoreMethod::Primary, to(&backup, &target.url()));
    let port = free_port().to_string();
    let asked = orphaned(&world, request, following(&format!("127.0.0.1:{port}")), 0).await;
    // What it has of the first attempt.
    target.connect().run(&format!("SET half 1\nCONFIG SET masterauth once\nREPLICAOF 127.0.0.1 {port}"));
    let outcome = done(gone_on_with(&world, &asked).await);
    assert_eq!((target.digest(), role(&target).as_str()), (source.digest(), "master"));
    assert_eq!(
        (outcome.followed, outcome.borrowed, setting(&target, "masterauth")),
        (None, vec![], String::new())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_was_put_into_use_meanwhile_is_left_alone() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    fill_with_everything(&source);
    let backup = backup_of(&world, &source).await;
    let request = || by(RestoreMethod::Primary, to(&backup, &target.url()));
    let asked = orphaned(&world, request(), following("127.0.0.1:1"), 0).await;
    target.connect().run("SET mine 1");
    let (why, outcome) = failed(gone_on_with(&world, &asked).await);
    assert_eq!((why.as_str(), outcome.changed), ("RESTORE_TARGET_NOT_EMPTY", true));
    assert_eq!(target.connect().command(&["GET", "mine"]).text(), "1");

    target.connect().run("DEL mine");
    let asked = orphaned(&world, request(), following("127.0.0.1:1"), 0).await;
    let port = free_port();
    target.connect().run(&format!("CONFIG SET masterauth theirs\nREPLICAOF 127.0.0.1 {port}"));
    let (why, _) = failed(gone_on_with(&world, &asked).await);
    // A replica that has not reached its primary yet may not even be looked at.
    assert!(["RESTORE_TARGET_REPLICA", "TARGET_BUSY"].contains(&why.as_str()), "{why}");
    assert_eq!(role(&target), "slave");
    assert_eq!(setting(&target, "masterauth"), "theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_not_lost_without_a_wipe() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    source.connect().run("SET a 1");
    let backup = backup_of(&world, &source).await;
    let code = "#!lua name=mine\nredis.register_function('g', function() return 7 end)";
    target.connect().command(&["FUNCTION", "LOAD", code]);
    // The choice falls on a method that keeps them.
    let outcome = done(restored(&world, to(&backup, &target.url())).await);
    assert_eq!(outcome.method, RestoreMethod::Commands);
    assert_eq!(target.connect().command(&["FCALL", "g", "0"]).number(), 7);
    target.connect().run("DEL a");
    let request = by(RestoreMethod::Primary, to(&backup, &target.url()));
    let planned = crate::restore::plan(&world, &request).await.unwrap();
    assert_eq!(crate::restore::refusals(&planned), ["RESTORE_TARGET_NOT_EMPTY"]);
    let outcome = done(restored(&world, RestoreRequest { wipe: true, ..request }).await);
    assert_eq!(outcome.method, RestoreMethod::Primary);
    let reply = target.connect().command(&["FUNCTION", "LIST"]);
    assert!(matches!(&reply, crate::lab::Reply::List(list) if list.is_empty()), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_a_new_run_of_the_target_may_have_lost_are_sent_again() {
    let (world, source) = (World::new().await, Server::start(&[]));
    source.connect().run("SET a 1\nSET b 2\nSET c 3");
    let backup = backup_of(&world, &source).await;
    for on_conflict in [OnConflict::Fail, OnConflict::Replace, OnConflict::Skip] {
        let target = Server::start(&[]);
        let request =
            RestoreRequest { on_conflict, ..by(RestoreMethod::Commands, to(&backup, &target.url())) };
        let noted = RestoreOutcome {
            method: RestoreMethod::Commands,
            changed: true,
            run_ids: vec!["of a run before".to_owned()],
            ..RestoreOutcome::default()
        };
        let asked = orphaned(&world, request, noted, 2).await;
        let outcome = done(gone_on_with(&world, &asked).await);
        assert_eq!((outcome.restored, target.digest()), (3, source.digest()), "{on_conflict}");
        assert!(outcome.warnings.iter().any(|text| text.contains("started anew")), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_taken_for_those_of_an_attempt_before_are_told() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    source.connect().run("SET a 1\nSET b 2\nSET c 3");
    let backup = backup_of(&world, &source).await;
    let info = target.connect().command(&["INFO", "server"]).text();
    let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap().trim().to_owned();
    let noted = RestoreOutcome {
        method: RestoreMethod::Commands,
        changed: true,
        run_ids: vec![run_id],
        ..RestoreOutcome::default()
    };
    let request = by(RestoreMethod::Commands, to(&backup, &target.url()));
    let asked = orphaned(&world, request, noted, 0).await;
    target.connect().run("SET a theirs");
    let outcome = done(gone_on_with(&world, &asked).await);
    assert_eq!((outcome.restored, outcome.keys_after), (3, 3));
    assert!(outcome.warnings.iter().any(|text| text.starts_with("1 keys were there")), "{outcome:?}");
    assert_eq!(target.connect().command(&["GET", "a"]).text(), "theirs");
}
