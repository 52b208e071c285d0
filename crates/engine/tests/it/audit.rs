//! The audit log: every change is in it, and whoever changes the log is found out.

use std::net::IpAddr;
use std::time::Duration;

use keystow_engine::Kind;
use keystow_engine::model::{
    AuditEntry, AuditFilter, AuditHead, Backup, BackupRef, LinkRestriction, Role, Secret,
};
use keystow_engine::ops::{
    BackupOrder, InstanceChange, IssuedLink, LinkOrder, NewInstance, NewKey, NewLogin,
};
use rusqlite::Connection;

use crate::fake::{primary, small_snapshot, with_length};
use crate::lab::Server;
use crate::world::{World, code, login, order};

impl World {
    /// The whole log, oldest first.
    async fn log(&self) -> Vec<AuditEntry> {
        let listed = self.engine.audit(&self.admin, &AuditFilter::default()).await.unwrap();
        listed.rows.into_iter().rev().collect()
    }

    /// Which entry is found to be broken.
    async fn broken(&self) -> Option<u64> {
        self.engine.verify_audit(&self.admin, None).await.unwrap().broken.map(|(sequence, _)| sequence)
    }

    /// The catalog behind the service's back.
    fn behind(&self) -> Connection {
        let connection = Connection::open(self.path("catalog.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }
}

fn actions(entries: &[AuditEntry]) -> Vec<(&str, &str, &str)> {
    entries
        .iter()
        .map(|entry| (entry.facts.stage.as_str(), entry.facts.action.as_str(), entry.facts.kind.as_str()))
        .collect()
}

/// Every kind of change once, `backup.protect` twice.
async fn change_everything(world: &World) -> (Backup, IssuedLink) {
    let (engine, admin) = (world.engine.clone(), world.admin.clone());
    let source = Server::start(&["--requirepass", "canary-1"]);
    world.add("crs-1", &source.url().replace("redis://", "redis://:canary-1@")).await.unwrap();
    engine.add_account(&admin, "acme".parse().unwrap(), None).await.unwrap();
    engine.add_project(&admin, "web".parse().unwrap(), None, None).await.unwrap();
    let new = NewKey {
        id: Some("AK1".to_owned()),
        secret: Some(Secret::new("canary-2")),
        session_token: Some(Secret::new("canary-3")),
        ..NewKey::default()
    };
    engine.create_key(&admin, new).await.unwrap();
    engine.rotate_key(&admin, "AK1", None).await.unwrap();
    let backup = world.take("crs-1").await;
    let which = BackupRef::Id(backup.id);
    let link = world.link(&backup, &LinkOrder { remember: true, ..order() }).await;
    world.link(&backup, &order()).await;
    engine.revoke_link(&admin, link.id.as_ref().unwrap()).await.unwrap();
    engine.revoke_backup_links(&admin, which).await.unwrap();
    engine.revoke_instance_links(&admin, &backup.instance).await.unwrap();
    engine.revoke_key_links(&admin, "AK1").await.unwrap();
    engine.set_link_restriction(&admin, "north", &LinkRestriction::default()).await.unwrap();
    source.connect().command(&["CONFIG", "SET", "requirepass", "canary-4"]);
    let change = InstanceChange { password: Some(Secret::new("canary-4")), ..InstanceChange::default() };
    engine.set_instance(&admin, &backup.instance, change).await.unwrap();
    engine.issue_token(&admin).await.unwrap();
    engine.protect_backup(&admin, which, true).await.unwrap();
    engine.protect_backup(&admin, which, false).await.unwrap();
    engine.set_expiry(&admin, which, None).await.unwrap();
    engine.delete_backup(&admin, which).await.unwrap();
    engine.delete_instance(&admin, &backup.instance).await.unwrap();
    engine.revoke_key(&admin, "AK1").await.unwrap();
    (backup, link)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_log_without_its_secrets() {
    let mut world = World::new().await;
    let address: IpAddr = "198.51.100.7".parse().unwrap();
    world.admin = world.admin.clone().calling(Some(address), "ucloud");
    let admin = world.admin.clone();
    let (backup, link) = change_everything(&world).await;

    let log = world.log().await;
    let expected = [
        ("begun", "key.create", "key"),
        ("begun", "instance.add", "instance"),
        ("begun", "account.add", "account"),
        ("begun", "project.add", "project"),
        ("begun", "key.create", "key"),
        ("begun", "key.rotate", "key"),
        ("begun", "backup.create", "backup"),
        ("begun", "link.create", "link"),
        ("begun", "link.revoke", "link"),
        ("begun", "link.revoke_all", "backup"),
        ("begun", "link.revoke_all", "instance"),
        ("begun", "link.revoke_all", "key"),
        ("begun", "link.restrict", "region"),
        ("begun", "instance.set", "instance"),
        ("begun", "token.issue", "key"),
        ("begun", "backup.protect", "backup"),
        ("begun", "backup.protect", "backup"),
        ("begun", "backup.set_expiry", "backup"),
        ("begun", "backup.delete", "backup"),
        ("begun", "instance.delete", "instance"),
        ("begun", "key.revoke", "key"),
    ];
    assert_eq!(actions(&log), expected);
    assert_eq!((log[0].facts.who.as_str(), log[0].facts.via.as_str()), ("keystow", "service"));
    for entry in &log[1..] {
        let facts = &entry.facts;
        assert_eq!((facts.who.as_str(), facts.via.as_str()), (admin.key_id(), "ucloud"));
        assert_eq!(facts.address.as_deref(), Some("198.51.100.7"));
    }
    assert_eq!(log[6].facts.subject, backup.id.to_string(), "an id that was minted for the change");
    assert_eq!(Some(&log[7].facts.subject), link.id.as_ref());
    assert!(log[13].facts.parameters.contains("\"password\":\"changed\""), "{}", log[13].facts.parameters);
    assert!(!format!("{log:?}").contains("canary"));
    let verdict = world.engine.verify_audit(&admin, None).await.unwrap();
    assert_eq!((verdict.entries, verdict.broken), (expected.len() as u64, None));
    assert_eq!(verdict.head.hash, log.last().unwrap().hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_or_fails_is_in_the_log_too() {
    let world = World::new().await;
    let viewer = world.key(Role::Viewer, None).await;
    let before = world.log().await.len();
    let missing = "crs-9".parse().unwrap();
    assert_eq!(code(world.engine.delete_instance(&viewer, &missing).await), "ROLE_DENIED");
    assert_eq!(code(world.engine.delete_instance(&world.admin, &missing).await), "INSTANCE_NOT_FOUND");
    let unreachable = NewInstance { login: login("redis://127.0.0.1:1"), ..NewInstance::default() };
    assert_eq!(code(world.add_with(unreachable).await), "SOURCE_UNREACHABLE");
    let log = world.log().await.split_off(before);
    assert_eq!(
        actions(&log),
        [
            ("refused", "instance.delete", "instance"),
            ("begun", "instance.delete", "instance"),
            ("failed", "instance.delete", "instance"),
            ("begun", "instance.add", "instance"),
            ("failed", "instance.add", "instance"),
        ]
    );
    let codes: Vec<_> = log.iter().map(|entry| entry.facts.code.as_deref()).collect();
    assert_eq!(
        codes,
        [Some("ROLE_DENIED"), None, Some("INSTANCE_NOT_FOUND"), None, Some("SOURCE_UNREACHABLE")]
    );
    assert_eq!(log[0].facts.who, viewer.key_id());
    assert_eq!(log[2].facts.answers, Some(log[1].sequence));
    assert_eq!(world.broken().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_that_cannot_be_written_down() {
    let world = World::new().await;
    world.add("crs-1", &primary(with_length(&small_snapshot()))).await.unwrap();
    let stop = "CREATE TRIGGER stop BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no more'); END";
    world.behind().execute_batch(stop).unwrap();
    let instance = "crs-1".parse().unwrap();
    let error = world.engine.delete_instance(&world.admin, &instance).await.unwrap_err();
    assert_eq!((error.code, error.kind), ("AUDIT_FAILED", Kind::Internal));
    let order = BackupOrder::of("crs-1".parse().unwrap());
    assert_eq!(code(world.engine.request_backup(&world.admin, order).await), "AUDIT_FAILED");
    assert!(world.engine.instance(&world.admin, &instance).await.is_ok(), "it is still there");
    world.behind().execute_batch("DROP TRIGGER stop").unwrap();
    world.engine.delete_instance(&world.admin, &instance).await.unwrap();
    assert_eq!(world.broken().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_write_one_chain() {
    let world = World::new().await;
    let nodes = [world.engine.clone(), world.another_node()];
    let mut writing = tokio::task::JoinSet::new();
    for (number, node) in nodes.into_iter().enumerate() {
        let admin = world.admin.clone();
        writing.spawn(async move {
            for project in 0..20 {
                let id = format!("p{number}-{project}").parse().unwrap();
                node.add_project(&admin, id, None, None).await.unwrap();
            }
        });
    }
    writing.join_all().await;
    assert_eq!((world.log().await.len(), world.broken().await), (41, None));
}

/// A world with so many entries.
async fn world_with(entries: u64) -> World {
    let world = World::new().await;
    for number in 1..entries {
        let id = format!("p{number}").parse().unwrap();
        world.engine.add_project(&world.admin, id, None, None).await.unwrap();
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn every_edit_of_an_entry_is_found_where_it_is() {
    let world = world_with(30).await;
    let behind = world.behind();
    let edits = [
        ("at", "at + 1"),
        ("stage", "'failed'"),
        ("answers", "1"),
        ("account", "'acme'"),
        ("who", "'somebody'"),
        ("address", "'10.0.0.1'"),
        ("address", "''"),
        ("via", "'alibaba'"),
        ("action", "'project.drop'"),
        ("kind", "'account'"),
        ("subject", "subject || 'x'"),
        ("parameters", "'{}'"),
        ("code", "'X'"),
        ("hash", "upper(hash)"),
        ("hash", "(SELECT hash FROM audit WHERE sequence = 1)"),
        // What is no text or number at all.
        ("who", "x'ff'"),
        ("at", "'soon'"),
    ];
    let mut seed = 7_u64;
    for (column, value) in edits.iter().cycle().take(60) {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let sequence = 2 + (seed >> 33) % 29;
        behind
            .execute_batch(&format!(
                "CREATE TEMP TABLE kept AS SELECT * FROM audit WHERE sequence = {sequence}; \
                 UPDATE audit SET {column} = {value} WHERE sequence = {sequence}"
            ))
            .unwrap();
        assert_eq!(world.broken().await, Some(sequence), "{column} = {value}");
        behind
            .execute_batch(&format!(
                "UPDATE audit SET {column} = (SELECT {column} FROM kept) WHERE sequence = {sequence}; \
                 DROP TABLE kept"
            ))
            .unwrap();
    }
    assert_eq!(world.broken().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_are_missing_or_change_places_are_found() {
    let world = world_with(10).await;
    let noted = world.engine.verify_audit(&world.admin, None).await.unwrap().head;
    let behind = world.behind();
    let swap = "UPDATE audit SET sequence = -1 WHERE sequence = 4; UPDATE audit SET sequence = 4 WHERE sequence = 5; \
                UPDATE audit SET sequence = 5 WHERE sequence = -1";
    behind.execute_batch(swap).unwrap();
    assert_eq!(world.broken().await, Some(4));
    behind.execute_batch(swap).unwrap();
    assert_eq!(world.broken().await, None);
    behind.execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM audit").unwrap();
    for gone in ["sequence = 1", "sequence = 7", "sequence > 8", "1 = 1"] {
        behind.execute_batch(&format!("DELETE FROM audit WHERE {gone}")).unwrap();
        let first = if gone == "sequence > 8" { 9 } else { gone[gone.len() - 1..].parse().unwrap() };
        assert_eq!(world.broken().await, Some(first), "{gone}");
        behind.execute_batch("DELETE FROM audit; INSERT INTO audit SELECT * FROM kept").unwrap();
    }
    // All that the head counts is gone, but not what came behind it.
    behind
        .execute_batch("DELETE FROM audit; INSERT INTO audit SELECT * FROM kept WHERE sequence = 10")
        .unwrap();
    behind.execute_batch("UPDATE audit SET sequence = 99").unwrap();
    let verdict = tokio::time::timeout(Duration::from_secs(20), world.broken()).await;
    assert_eq!(verdict, Ok(Some(1)), "it comes to an end");
    behind.execute_batch("DELETE FROM audit; INSERT INTO audit SELECT * FROM kept").unwrap();
    // Whoever also turns the head back is found by a head that was noted elsewhere.
    behind
        .execute_batch(
            "DELETE FROM audit WHERE sequence > 8; UPDATE log_head SET last = 8, \
             hash = (SELECT hash FROM audit WHERE sequence = 8) WHERE log = 'audit'",
        )
        .unwrap();
    assert_eq!(world.broken().await, None, "there is nothing to see it by");
    let verdict = world.engine.verify_audit(&world.admin, Some(&noted)).await.unwrap();
    assert_eq!(verdict.broken.map(|(sequence, _)| sequence), Some(9));
    for number in 0..3 {
        let id = format!("later{number}").parse().unwrap();
        world.engine.add_project(&world.admin, id, None, None).await.unwrap();
    }
    let verdict = world.engine.verify_audit(&world.admin, Some(&noted)).await.unwrap();
    assert_eq!(verdict.broken.map(|(sequence, _)| sequence), Some(noted.sequence), "another in its place");
    let right = AuditHead { sequence: 8, hash: world.log().await[7].hash.clone() };
    assert_eq!(world.engine.verify_audit(&world.admin, Some(&right)).await.unwrap().broken, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_for_admins() {
    let world = World::new().await;
    let operator = world.key(Role::Operator, None).await;
    assert_eq!(code(world.engine.audit(&operator, &AuditFilter::default()).await), "ROLE_DENIED");
    assert_eq!(code(world.engine.verify_audit(&operator, None).await), "ROLE_DENIED");
    let new = NewInstance {
        login: NewLogin { url: "redis://u:canary@127.0.0.1:1".to_owned(), ..NewLogin::default() },
        ..NewInstance::default()
    };
    assert_eq!(code(world.engine.add_instance(&operator, new).await), "SOURCE_UNREACHABLE");
    assert!(!format!("{:?}", world.log().await).contains("canary"));
}
