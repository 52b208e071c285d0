//! Stories of restores: into real servers, by both methods, and what becomes of a target when they fail.

use keystow_engine::Result;
use keystow_engine::catalog::Catalog;
use keystow_engine::model::{
    Backup, BackupRef, Job, JobFilter, JobState, KeyChoice, OnConflict, Outcome, RestoreMethod,
    RestoreOutcome, RestorePlan, TtlPolicy,
};
use keystow_engine::ops::{NewLogin, RestoreRequest, Target};

use crate::fake;
use crate::lab::{Server, fill_with_everything};
use crate::world::{World, code, eventually};

/// A restore of everything to a server.
pub(crate) fn to(backup: &Backup, url: &str) -> RestoreRequest {
    RestoreRequest {
        backup: BackupRef::Id(backup.id),
        target: Target::Server(Box::new(NewLogin { url: url.to_owned(), ..NewLogin::default() })),
        method: RestoreMethod::Auto,
        on_conflict: OnConflict::Fail,
        ttl: TtlPolicy::Keep,
        choice: KeyChoice::default(),
        wipe: false,
        accept_partial: false,
    }
}

pub(crate) fn by(method: RestoreMethod, request: RestoreRequest) -> RestoreRequest {
    RestoreRequest { method, ..request }
}

/// A backup of a server that holds everything.
pub(crate) async fn backup_of(world: &World, source: &Server) -> Backup {
    world.add("src", &source.url()).await.unwrap();
    world.take("src").await
}

async fn job(world: &World, job: &Job) -> Job {
    let filter = JobFilter { number: Some(job.number), ..JobFilter::default() };
    world.engine.jobs(&world.admin, filter).await.unwrap().rows.remove(0).job
}

pub(crate) async fn ended(world: &World, asked: &Job) -> Job {
    eventually("the restore to end", async || {
        Some(job(world, asked).await).filter(|job| job.ended_at.is_some())
    })
    .await
}

/// Does it, and gives the job and what it did.
pub(crate) async fn restored(world: &World, request: RestoreRequest) -> (Job, RestoreOutcome) {
    let (_, asked) = world.engine.request_restore(&world.admin, request).await.unwrap();
    let worker = world.worker();
    let job = ended(world, &asked).await;
    worker.stop().await;
    let outcome = outcome(&job);
    (job, outcome)
}

pub(crate) fn outcome(job: &Job) -> RestoreOutcome {
    match &job.outcome {
        Some(Outcome::Restore(outcome)) => outcome.clone(),
        other => panic!("no outcome: {other:?}, {:?}", job.failure),
    }
}

#[track_caller]
pub(crate) fn done((job, outcome): (Job, RestoreOutcome)) -> RestoreOutcome {
    assert_eq!(job.state, JobState::Done, "{:?}", job.failure);
    assert!(outcome.complete && outcome.changed, "{outcome:?}");
    outcome
}

#[track_caller]
pub(crate) fn failed((job, outcome): (Job, RestoreOutcome)) -> (String, RestoreOutcome) {
    assert_eq!(job.state, JobState::Failed);
    assert!(!outcome.complete);
    (job.failure.unwrap().code, outcome)
}

pub(crate) async fn plan(world: &World, request: &RestoreRequest) -> Result<RestorePlan> {
    world.engine.plan_restore(&world.admin, request).await
}

pub(crate) fn refusals(plan: &RestorePlan) -> Vec<&str> {
    plan.refusals.iter().map(|refusal| refusal.code.as_str()).collect()
}

#[track_caller]
pub(crate) fn setting(server: &Server, name: &str) -> String {
    let reply = server.connect().command(&["CONFIG", "GET", name]);
    let crate::lab::Reply::List(mut words) = reply else { panic!("{reply:?}") };
    words.remove(1).text()
}

pub(crate) fn role(server: &Server) -> String {
    let info = server.connect().command(&["INFO", "replication"]).text();
    info.lines().find_map(|line| line.strip_prefix("role:")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_restored_by_being_its_primary() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    fill_with_everything(&source);
    let backup = backup_of(&world, &source).await;

    let planned = plan(&world, &to(&backup, &target.url())).await.unwrap();
    assert_eq!(
        (planned.method, planned.target.keys, refusals(&planned)),
        (RestoreMethod::Primary, 0, vec![])
    );
    let outcome = done(restored(&world, to(&backup, &target.url())).await);

    assert_eq!(target.digest(), source.digest());
    let keys = backup.parts[0].sealed.report.keys;
    assert_eq!((outcome.method, outcome.restored, outcome.keys_after), (RestoreMethod::Primary, keys, keys));
    assert_eq!((outcome.with_expiry, outcome.functions, outcome.expired), (1, 1, 0));
    // Nothing of the restore stays in the target's settings.
    assert_eq!((role(&target), setting(&target, "masterauth")), ("master".to_owned(), String::new()));
    assert_eq!(setting(&target, "repl-diskless-load"), "disabled");
    assert!(world.catalog.debts().await.unwrap().is_empty());
    assert_eq!(target.connect().command(&["FCALL", "f", "0"]).number(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_restored_by_commands() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    fill_with_everything(&source);
    let backup = backup_of(&world, &source).await;
    let outcome = done(restored(&world, by(RestoreMethod::Commands, to(&backup, &target.url()))).await);
    assert_eq!(target.digest(), source.digest());
    let keys = backup.parts[0].sealed.report.keys;
    assert_eq!((outcome.method, outcome.restored, outcome.keys_after), (RestoreMethod::Commands, keys, keys));
    assert_eq!((outcome.with_expiry, outcome.functions), (1, 1));
    let time = |server: &Server| server.connect().command(&["PEXPIRETIME", "soon"]).number();
    assert_eq!(time(&target), time(&source));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_password_of_its_own_for_primaries_is_restored() {
    let (world, source) = (World::new().await, Server::start(&[]));
    fill_with_everything(&source);
    let backup = backup_of(&world, &source).await;
    let target =
        Server::start(&["--requirepass", "open sesame", "--masterauth", "kept", "--masteruser", "me"]);
    let url = format!("redis://:open%20sesame@127.0.0.1:{}", target.port);
    let outcome = done(restored(&world, to(&backup, &url)).await);
    assert_eq!(outcome.method, RestoreMethod::Primary);
    assert_eq!(target.digest(), source.digest());
    assert_eq!(
        (setting(&target, "masterauth"), setting(&target, "masteruser")),
        ("kept".into(), "me".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_keys_is_wiped_only_when_told_to() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    fill_with_everything(&source);
    target.connect().run("SET mine 1");
    let backup = backup_of(&world, &source).await;
    // Without a wipe its keys stay, so it is done by commands; asked to be its primary, it is refused.
    let request = to(&backup, &target.url());
    assert_eq!(plan(&world, &request).await.unwrap().method, RestoreMethod::Commands);
    let request = by(RestoreMethod::Primary, request);
    assert_eq!(refusals(&plan(&world, &request).await.unwrap()), ["RESTORE_TARGET_NOT_EMPTY"]);
    assert_eq!(code(world.engine.request_restore(&world.admin, request).await), "RESTORE_TARGET_NOT_EMPTY");

    for method in [RestoreMethod::Primary, RestoreMethod::Commands] {
        target.connect().run("SET mine 1");
        let request = RestoreRequest { wipe: true, ..by(method, to(&backup, &target.url())) };
        let outcome = done(restored(&world, request).await);
        assert_eq!((outcome.method, target.digest()), (method, source.digest()));
        assert!(outcome.keys_before > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_are_refused_skipped_or_replaced() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    source.connect().run("SET a source\nSET b source\nSELECT 3\nSET a source");
    target.connect().run("SET a target\nSET other target\nSELECT 3\nSET b target");
    let backup = backup_of(&world, &source).await;
    let with = |on_conflict| RestoreRequest { on_conflict, ..to(&backup, &target.url()) };
    let value = |database: &str, key: &str| {
        let mut client = target.connect();
        client.command(&["SELECT", database]);
        match client.command(&["GET", key]) {
            crate::lab::Reply::Bulk(value) => value.map(|value| String::from_utf8(value).unwrap()),
            other => panic!("{other:?}"),
        }
    };

    let (why, outcome) = failed(restored(&world, with(OnConflict::Fail)).await);
    assert_eq!((why.as_str(), outcome.changed, value("0", "b")), ("RESTORE_CONFLICT", false, None));

    let outcome = done(restored(&world, with(OnConflict::Skip)).await);
    assert_eq!((outcome.restored, outcome.skipped, outcome.keys_before, outcome.keys_after), (2, 1, 3, 5));
    assert_eq!(value("0", "a").as_deref(), Some("target"));
    assert_eq!((value("0", "b").as_deref(), value("3", "a").as_deref()), (Some("source"), Some("source")));

    let outcome = done(restored(&world, with(OnConflict::Replace)).await);
    assert_eq!((outcome.restored, outcome.skipped), (3, 0));
    assert_eq!(
        (value("0", "a").as_deref(), value("0", "other").as_deref()),
        (Some("source"), Some("target"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_chosen_and_renamed() {
    let (world, source, target) = (World::new().await, Server::start(&[]), Server::start(&[]));
    source.connect().run("SET user:1 a\nSET user:2 b\nRPUSH user:3 c\nSET order:1 d\nSELECT 2\nSET user:9 e");
    let backup = backup_of(&world, &source).await;
    let choice = KeyChoice {
        patterns: vec!["user:*".to_owned()],
        types: vec!["string".to_owned()],
        databases: vec![0],
        prefix: Some(("user:".to_owned(), "copy:".to_owned())),
        without_functions: true,
    };
    let request = RestoreRequest { choice, ..to(&backup, &target.url()) };
    let outcome = done(restored(&world, request).await);
    assert_eq!((outcome.restored, outcome.left_out, outcome.keys_after), (2, 3, 2));
    assert_eq!(target.connect().command(&["GET", "copy:2"]).text(), "b");

    let choice = KeyChoice { types: vec!["tree".to_owned()], ..KeyChoice::default() };
    let request = RestoreRequest { choice, ..to(&backup, &target.url()) };
    assert_eq!(code(plan(&world, &request).await), "INVALID_VALUE");
}

#[tokio::test(flavor = "multi_thread")]
async fn expiries_are_kept_shifted_stripped_or_dropped() {
    let (world, source) = (World::new().await, Server::start(&[]));
    // The server's own clock, whatever the test's says.
    let now = source.connect().command(&["TIME"]);
    let crate::lab::Reply::List(mut words) = now else { panic!("{now:?}") };
    let now: i64 = words.remove(0).text().parse().unwrap();
    let started = world.clock.now().as_second();
    // Far in the future of both clocks, but over for the engine's once it is moved.
    let late = now.max(started) + 100_000;
    source.connect().run(&format!(
        "SET stays 1\nSET goes 1\nEXPIREAT goes {late}\nSET later 1\nEXPIREAT later {}",
        late + 1_000_000
    ));
    let backup = backup_of(&world, &source).await;
    let ahead = late + 10 - started;
    world.clock.advance(std::time::Duration::from_secs(u64::try_from(ahead).unwrap()));

    for method in [RestoreMethod::Primary, RestoreMethod::Commands] {
        for ttl in [TtlPolicy::Keep, TtlPolicy::Shift, TtlPolicy::Strip, TtlPolicy::DropExpired] {
            let target = Server::start(&[]);
            let request = RestoreRequest { ttl, ..by(method, to(&backup, &target.url())) };
            let outcome = done(restored(&world, request).await);
            let time = |key: &str| target.connect().command(&["EXPIRETIME", key]).number();
            let times = (time("goes"), time("later"));
            let case = format!("{method} {ttl}: {outcome:?}");
            match ttl {
                TtlPolicy::Keep => assert_eq!(times, (late, late + 1_000_000), "{case}"),
                TtlPolicy::Shift => assert_eq!(times, (late + ahead, late + 1_000_000 + ahead), "{case}"),
                TtlPolicy::Strip => assert_eq!(times, (-1, -1), "{case}"),
                TtlPolicy::DropExpired => assert_eq!(times, (-2, late + 1_000_000), "{case}"),
            }
            assert_eq!(outcome.with_expiry, 2, "{case}");
            // Sent as they are, they are dropped by a server whose clock says the same.
            let sent = method == RestoreMethod::Commands && ttl == TtlPolicy::Keep;
            assert_eq!(outcome.expired, u64::from(sent || ttl == TtlPolicy::DropExpired), "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_collections_are_left_out_as_servers_do() {
    let world = World::new().await;
    let file = fake::summed(b"REDIS0009\xfe\x00\x00\x03key\x05value\x02\x05empty\x00\xff".to_vec());
    world.add("src", &fake::primary(fake::with_length(&file))).await.unwrap();
    let backup = world.take("src").await;
    for method in [RestoreMethod::Primary, RestoreMethod::Commands] {
        for ttl in [TtlPolicy::Keep, TtlPolicy::Strip] {
            let target = Server::start(&[]);
            let request = RestoreRequest { ttl, ..by(method, to(&backup, &target.url())) };
            let outcome = done(restored(&world, request).await);
            assert_eq!((outcome.restored, outcome.keys_after), (1, 1), "{method} {ttl}");
        }
    }
}
