//! Webhooks: what they are told, by whom it is signed, and what becomes of it when they do not listen.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use keystow_engine::Result;
use keystow_engine::model::{
    Backup, BackupRef, BackupState, DeliveryState, InstanceId, NoticeKind, Page, Role, Secret, Webhook,
    WebhookDelivery,
};
use keystow_engine::notify::signature;
use keystow_engine::ops::{NewInstance, NewKey, NewWebhook, PolicyChange};
use serde_json::Value;

use crate::lab::{Server, free_port};
use crate::world::{World, code, eventually, login};

const SECRET: &str = "a secret of sixteen bytes or more";

/// A request that a receiver got.
#[derive(Debug, Clone)]
struct Got {
    head: String,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> String {
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
        line.unwrap_or_else(|| panic!("no {name}: {}", self.head))
            .split_once(':')
            .unwrap()
            .1
            .trim()
            .to_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn kind(&self) -> String {
        assert_eq!(self.json()["type"], self.header("keystow-event"));
        self.header("keystow-event")
    }

    /// The moment for which the signature stands, after checking it.
    fn signed_at(&self, secret: &str) -> i64 {
        let given = self.header("keystow-signature");
        let at = given.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
        assert_eq!(given, signature(&Secret::new(secret), at, self.body.as_bytes()));
        at
    }
}

/// An HTTP server that answers everything with one status; 0 = never.
#[derive(Clone)]
struct Receiver {
    url: String,
    status: Arc<Mutex<u16>>,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?token=hush", listener.local_addr().unwrap());
        let receiver = Self { url, status: Arc::new(Mutex::new(status)), got: Arc::default() };
        let served = receiver.clone();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let served = served.clone();
                thread::spawn(move || served.serve(socket));
            }
        });
        receiver
    }

    fn serve(&self, mut socket: TcpStream) {
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            head.push_str(&line);
            line.clear();
        }
        let mut got = Got { head, body: String::new() };
        let length = got.header("content-length").parse().unwrap();
        reader.take(length).read_to_string(&mut got.body).unwrap();
        self.got.lock().unwrap().push(got);
        let status = *self.status.lock().unwrap();
        if status == 0 {
            thread::sleep(crate::lab::PATIENCE);
        }
        let _ = write!(socket, "HTTP/1.1 {status} x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwhat");
    }

    fn answers(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    fn kinds(&self) -> Vec<String> {
        self.got().iter().map(Got::kind).collect()
    }
}

fn name() -> InstanceId {
    "crs-1".parse().unwrap()
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

fn new(url: &str) -> NewWebhook {
    NewWebhook { url: url.to_owned(), secret: Some(Secret::new(SECRET)), ..NewWebhook::default() }
}

impl World {
    async fn hook(&self, url: &str) -> Webhook {
        self.engine.add_webhook(&self.admin, new(url)).await.unwrap().webhook
    }

    async fn told(&self, webhook: &Webhook) -> Vec<WebhookDelivery> {
        self.engine.webhook_deliveries(&self.admin, &webhook.id, Page::default()).await.unwrap().rows
    }

    async fn tell(&self) -> u64 {
        self.engine.tell_due().await.unwrap()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_backup_is_told_signed_until_it_is_taken_and_then_no_more() {
    let mut server = Server::start(&[]);
    let world = world(&server).await;
    let receiver = Receiver::start(503);
    let hook = world.hook(&receiver.url).await;
    assert_eq!(world.take("crs-1").await.state, BackupState::Available);
    assert_eq!(world.tell().await, 0, "a good backup is nothing to tell");
    server.kill();
    let failed = world.take("crs-1").await;
    assert_eq!(failed.state, BackupState::Failed);
    let other = world.another_node();
    let (one, two) = tokio::join!(world.engine.tell_due(), other.tell_due());
    assert_eq!(one.unwrap() + two.unwrap(), 1, "two nodes, one try");
    world.clock.advance(seconds(9));
    assert_eq!(world.tell().await, 0, "not yet again");
    world.clock.advance(seconds(2));
    assert_eq!(world.tell().await, 1);
    let row = &world.told(&hook).await[0];
    assert_eq!((row.state, row.tries, row.status), (DeliveryState::Pending, 2, Some(503)));
    assert_eq!(row.error.as_deref(), Some("answered 503: what"));
    receiver.answers(204);
    world.clock.advance(seconds(66));
    assert_eq!(world.tell().await, 1);
    world.clock.advance(Duration::from_hours(50));
    assert_eq!(world.tell().await, 0);

    let got = receiver.got();
    assert_eq!(got.len(), 3);
    let ids: Vec<_> = got.iter().map(|got| got.header("keystow-delivery")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "a receiver can drop doubles: {ids:?}");
    let moments: Vec<_> = got.iter().map(|got| got.signed_at(SECRET)).collect();
    assert!(moments.is_sorted() && moments[2] - moments[0] == 77, "{moments:?}");
    assert!(got[0].header("user-agent").starts_with("keystow/"));
    assert!(got[0].head.starts_with("POST /hook?token=hush HTTP/1.1\r\n"));
    let body = got[2].json();
    assert_eq!(body["id"], ids[0]);
    assert_eq!((&body["type"], &body["code"]), (&"backup.failed".into(), &"SOURCE_UNREACHABLE".into()));
    assert_eq!(body["instance"], serde_json::json!({"id": "crs-1", "name": "crs-1"}));
    assert_eq!(body["backup"]["number"], failed.number);
    assert_eq!((&body["node"], &body["server"]), (&"lab".into(), &"http://127.0.0.1:7361".into()));
    assert!(body["hint"].is_string() && body["account"] == "default");
    let hook = world.engine.webhook(&world.admin, &hook.id).await.unwrap();
    assert_eq!((hook.last_error, hook.last_ok_at.is_some()), (None, true));
    assert_eq!(world.engine.tally().notices()[0] + other.tally().notices()[0], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_without_a_good_backup_is_told_once_and_so_is_the_next_good_one() {
    let server = Server::start(&[]);
    let world = world(&server).await;
    let receiver = Receiver::start(200);
    world.take("crs-1").await;
    let daily = PolicyChange { schedules: Some(vec!["0 3 * * *".to_owned()]), ..PolicyChange::default() };
    world.engine.set_policy(&world.admin, &name(), daily).await.unwrap();
    world.hook(&receiver.url).await;
    world.clock.advance(Duration::from_hours(24));
    assert_eq!(world.engine.look_for_old().await.unwrap(), 0);
    world.clock.advance(Duration::from_hours(26));
    let other = world.another_node();
    let (one, two) = tokio::join!(world.engine.look_for_old(), other.look_for_old());
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(world.engine.look_for_old().await.unwrap(), 0, "told once");
    world.tell().await;
    assert_eq!(receiver.kinds(), ["instance.too_old"]);
    let body = receiver.got()[0].json();
    assert_eq!((&body["code"], &body["backup"]), (&"TOO_OLD".into(), &Value::Null));
    assert!(body["message"].as_str().unwrap().contains("crs-1 is 50 h old"), "{body}");
    world.take("crs-1").await;
    world.tell().await;
    assert_eq!(receiver.kinds(), ["instance.too_old", "instance.recovered"]);
    world.take("crs-1").await;
    assert_eq!(world.tell().await, 0);
    // And it begins anew.
    world.clock.advance(Duration::from_hours(50));
    assert_eq!(world.engine.look_for_old().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_an_emptied_server_is_good_and_told_to_be_too_small() {
    let server = Server::start(&[]);
    server.connect().run("DEBUG POPULATE 1000 key 100");
    let world = world(&server).await;
    let receiver = Receiver::start(200);
    let hook = world.hook(&receiver.url).await;
    world.take("crs-1").await;
    world.take("crs-1").await;
    server.connect().run("FLUSHALL\nSET last one");
    let small = world.take("crs-1").await;
    assert_eq!(small.state, BackupState::Available);
    world.tell().await;
    assert_eq!(receiver.kinds(), ["backup.too_small"]);
    let body = receiver.got()[0].json();
    assert_eq!((&body["code"], &body["backup"]["number"]), (&"TOO_SMALL".into(), &small.number.into()));
    assert!(body["message"].as_str().unwrap().contains("1 keys, where 1000 are usual"), "{body}");
    assert_eq!(world.told(&hook).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_and_a_drill_that_fails_are_told() {
    let server = Server::start(&[]);
    server.connect().run("DEBUG POPULATE 1000 key 100");
    let world = world(&server).await;
    let receiver = Receiver::start(200);
    world.hook(&receiver.url).await;
    let backup: Backup = world.take("crs-1").await;
    let which = BackupRef::Id(backup.id);
    let part = world.files().into_iter().find(|file| file.ends_with("/0.rdb")).unwrap();
    let path = world.repository().join(part);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() - 1]).unwrap();
    world.engine.request_drill(&world.admin, which, None).await.unwrap();
    world.work_off().await;
    for _ in 0..2 {
        world.clock.advance(seconds(1));
        world.engine.request_scrub(&world.admin, which).await.unwrap();
        world.work_off().await;
    }
    world.clock.advance(seconds(1));
    std::fs::write(&path, &good).unwrap();
    world.engine.request_scrub(&world.admin, which).await.unwrap();
    world.work_off().await;
    world.tell().await;
    assert_eq!(receiver.kinds(), ["drill.failed", "backup.damaged", "backup.restored_whole"]);
    assert!(receiver.got().iter().all(|got| got.json()["backup"]["number"] == backup.number));
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_are_slow_or_dead_hold_up_nobody_and_are_given_up_after_a_day() {
    let mut server = Server::start(&[]);
    let world = world(&server).await;
    let (silent, good) = (Receiver::start(0), Receiver::start(200));
    let slow = world.hook(&silent.url).await;
    let dead = world.hook(&format!("http://127.0.0.1:{}/", free_port())).await;
    world.hook(&good.url).await;
    server.kill();
    world.take("crs-1").await;
    world.take("crs-1").await;
    let heard = eventually("the good one to hear of both, and the dead one to be tried", async || {
        let tried = world.told(&dead).await.iter().filter(|row| row.tries == 1).count();
        Some(good.got()).filter(|got| got.len() == 2 && tried == 2)
    });
    tokio::select! {
        _ = world.engine.tell_due() => panic!("the silent one does not answer for ten seconds"),
        got = heard => assert_ne!(got[0].json()["id"], got[1].json()["id"]),
    }
    world.engine.pause_webhook(&world.admin, &slow.id, true).await.unwrap();
    for _ in 0..8 {
        world.tell().await;
        world.clock.advance(Duration::from_hours(7));
    }
    let told = world.told(&dead).await;
    assert_eq!(told.len(), 2);
    for row in told {
        assert_eq!((row.state, row.tries, row.status), (DeliveryState::GivenUp, 5, None));
        assert!(row.error.unwrap().to_lowercase().contains("refused"));
    }
    let hook = world.engine.webhook(&world.admin, &dead.id).await.unwrap();
    assert!(hook.last_error.is_some() && hook.last_ok_at.is_none());
    assert_eq!(world.engine.tally().notices()[2], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_says_what_the_receiver_answers() {
    let world = World::new().await;
    let receiver = Receiver::start(204);
    let hook = world.hook(&receiver.url).await;
    let tested = world.engine.test_webhook(&world.admin, &hook.id).await.unwrap();
    assert_eq!((tested.status, receiver.kinds()), (204, vec!["webhook.test".to_owned()]));
    receiver.got()[0].signed_at(SECRET);
    receiver.answers(401);
    let refused = world.engine.test_webhook(&world.admin, &hook.id).await.unwrap_err();
    assert_eq!((refused.code, refused.cause.as_deref()), ("WEBHOOK_REFUSED", Some("answered 401: what")));
    assert!(!refused.message.contains("hush"), "{refused}");
    let told = world.told(&hook).await;
    let told: Vec<_> = told.iter().map(|row| (row.state, row.status)).collect();
    assert_eq!(told.len(), 2);
    assert!(
        told.contains(&(DeliveryState::Done, Some(204)))
            && told.contains(&(DeliveryState::GivenUp, Some(401)))
    );
    let dead = world.hook(&format!("http://127.0.0.1:{}/", free_port())).await;
    assert_eq!(code(world.engine.test_webhook(&world.admin, &dead.id).await), "WEBHOOK_UNREACHABLE");
    for (url, refusal) in [
        ("http://169.254.169.254/latest", "WEBHOOK_ADDRESS_DENIED"),
        ("http://[::ffff:169.254.169.254]/", "WEBHOOK_ADDRESS_DENIED"),
        ("redis://127.0.0.1", "INVALID_VALUE"),
        ("https://user:hush@h/", "INVALID_VALUE"),
    ] {
        assert_eq!(code(world.engine.add_webhook(&world.admin, new(url)).await), refusal, "{url}");
    }
    let short = NewWebhook { secret: Some(Secret::new("short")), ..new("https://h/") };
    assert_eq!(code(world.engine.add_webhook(&world.admin, short).await), "INVALID_VALUE");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_change_webhooks_and_nobody_sees_anothers() {
    let server = Server::start(&[]);
    let world = world(&server).await;
    let hook = world.hook("https://h.example/services/hush").await;
    world.clock.advance(seconds(1));
    let minted = NewWebhook { secret: None, kinds: vec![NoticeKind::BackupFailed], ..new("https://h/") };
    let minted = world.engine.add_webhook(&world.admin, minted).await.unwrap();
    assert!(minted.secret.expose().len() >= 32 && minted.webhook.id.starts_with("wh-"));
    let operator = world.key(Role::Operator, None).await;
    for refused in [
        code(world.engine.add_webhook(&operator, new("https://h/")).await),
        code(world.engine.pause_webhook(&operator, &hook.id, true).await),
        code(world.engine.test_webhook(&operator, &hook.id).await),
        code(world.engine.delete_webhook(&operator, &hook.id).await),
    ] {
        assert_eq!(refused, "ROLE_DENIED");
    }
    let urls = |hooks: Vec<Webhook>| hooks.into_iter().map(|hook| hook.url).collect::<Vec<_>>();
    let engine = &world.engine;
    assert_eq!(
        urls(engine.webhooks(&operator, None).await.unwrap()),
        ["https://h.example", "https://h"],
        "paths may be secrets"
    );
    assert_eq!(
        urls(engine.webhooks(&world.admin, None).await.unwrap()),
        ["https://h.example/services/hush", "https://h/"]
    );
    engine.add_account(&world.admin, "rival".parse().unwrap(), None).await.unwrap();
    let account = Some("rival".parse().unwrap());
    let rival = world.sign_in(NewKey { role: Some(Role::Viewer), account, ..NewKey::default() }).await;
    assert!(engine.webhooks(&rival, None).await.unwrap().is_empty());
    for refused in [
        code(engine.webhook(&rival, &hook.id).await),
        code(engine.webhook_deliveries(&rival, &hook.id, Page::default()).await),
        code(engine.webhook(&rival, "wh-none").await),
    ] {
        assert_eq!(refused, "NOT_FOUND");
    }
    let elsewhere = NewWebhook { instance: Some("crs-9".parse().unwrap()), ..new("https://h/") };
    assert_eq!(code(engine.add_webhook(&world.admin, elsewhere).await), "INSTANCE_NOT_FOUND");
    let of_rival = NewWebhook { account: Some("rival".parse().unwrap()), ..new("https://r/") };
    let of_rival = engine.add_webhook(&world.admin, of_rival).await.unwrap().webhook;
    assert_eq!(engine.webhooks(&rival, None).await.unwrap().len(), 1);
    engine.delete_webhook(&world.admin, &of_rival.id).await.unwrap();
    engine.delete_webhook(&world.admin, &hook.id).await.unwrap();
    let left: Result<_> = engine.webhook(&world.admin, &hook.id).await;
    assert_eq!(code(left), "NOT_FOUND");
}
