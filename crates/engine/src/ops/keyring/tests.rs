use tokio_util::sync::CancellationToken;

use super::*;
use crate::catalog::{Catalog, SqliteCatalog};
use crate::clock::Clock;
use crate::ops::turns::Turns;
use crate::vault::LocalVault;

struct World {
    folder: tempfile::TempDir,
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn vault(&self) -> Arc<dyn Vault> {
        Arc::new(LocalVault::open(&self.folder.path().join("repository")).unwrap())
    }

    async fn catalog(&self) -> Arc<SqliteCatalog> {
        Arc::new(SqliteCatalog::open(&self.folder.path().join("catalog.db")).await.unwrap())
    }

    /// A node with an identity in a file of that name; none = it only takes backups.
    fn node(&self, name: Option<&str>) -> KeyRing {
        let file = name.map(|name| self.folder.path().join(name));
        let node = Node::load(file.as_ref(), true).unwrap();
        KeyRing::new(self.vault(), vec![key(1)], node)
    }
}

fn turns(catalog: &Arc<SqliteCatalog>, node: &str) -> Arc<Turns> {
    Arc::new(Turns::new(catalog.clone(), Clock::manual(NOW), node.to_owned()))
}

fn key(seed: u8) -> aws_lc_rs::hmac::Key {
    aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[seed; 32])
}

fn holder(recipient: Recipient) -> Holder {
    Holder { name: "other".to_owned(), recipient, kind: HolderKind::Node, added_at: NOW }
}

fn with(known: &Known, holder: Holder) -> (KeyFacts, Vec<Identity>) {
    let mut facts = known.facts.next(NOW);
    facts.holders.push(holder);
    (facts, known.identities.clone())
}

#[tokio::test]
async fn the_first_node_makes_the_identity_and_a_second_start_finds_it() {
    let world = World::new();
    let ring = world.node(Some("a"));
    ring.ensure(NOW, None).await.unwrap();
    ring.ensure(NOW, None).await.unwrap();
    let again = world.node(Some("a"));
    again.ensure(NOW, None).await.unwrap();
    assert_eq!(again.recipient().await.unwrap(), ring.recipient().await.unwrap());
    let known = again.identities(false).await.unwrap();
    assert_eq!((known.facts.number, known.identities.len()), (1, 1));
    assert_eq!(known.identities[0].recipient(), known.facts.recipient);
}

#[tokio::test]
async fn a_node_without_an_identity_encrypts_and_cannot_decrypt() {
    let world = World::new();
    let writer = world.node(None);
    assert_eq!(writer.ensure(NOW, None).await.unwrap_err().code, "KEYS_MISSING");
    let full = world.node(Some("a"));
    full.ensure(NOW, None).await.unwrap();
    writer.ensure(NOW, None).await.unwrap();
    assert_eq!(writer.recipient().await.unwrap(), full.recipient().await.unwrap());
    let refused = writer.identities(false).await.err().unwrap();
    assert_eq!(refused.code, "IDENTITY_MISSING");
    assert!(refused.cause.unwrap().contains("write_only"));
    assert_eq!(
        writer.change(None, |known| Ok((known.facts.next(NOW), Vec::new()))).await.err().unwrap().code,
        "IDENTITY_MISSING"
    );
}

#[tokio::test]
async fn another_node_decrypts_once_it_is_a_recipient() {
    let world = World::new();
    let (first, second) = (world.node(Some("a")), world.node(Some("b")));
    first.ensure(NOW, None).await.unwrap();
    second.ensure(NOW, None).await.unwrap();
    assert_eq!(second.identities(false).await.err().unwrap().code, "IDENTITY_MISSING");
    let recipient = second.node().unwrap();
    first.change(None, |known| Ok(with(known, holder(recipient)))).await.unwrap();
    assert_eq!(second.identities(false).await.unwrap().facts.number, 2, "it looks again before it refuses");
    // What one changes, the other sees.
    second
        .change(None, |known| {
            let mut facts = known.facts.next(NOW);
            let identity = generate()?;
            facts.recipient = identity.recipient();
            Ok((facts, vec![identity, known.identities[0].clone()]))
        })
        .await
        .unwrap();
    assert_eq!(first.recipient().await.unwrap(), second.recipient().await.unwrap());
    assert_eq!(first.identities(true).await.unwrap().identities.len(), 2);
}

#[tokio::test]
async fn half_a_pair_that_a_crash_left_is_passed_over() {
    let world = World::new();
    let ring = world.node(Some("a"));
    ring.ensure(NOW, None).await.unwrap();
    ring.vault.put(&ObjectKey::Keys(2), Bytes::from_static(b"half")).await.unwrap();
    let recipient = Identity::generate().unwrap().recipient();
    let known = ring.change(None, |known| Ok(with(known, holder(recipient)))).await.unwrap();
    assert_eq!(known.facts.number, 3);
    assert_eq!(world.node(Some("a")).known().await.unwrap().unwrap().facts.number, 3);
}

#[tokio::test]
async fn of_two_changes_at_once_one_is_refused() {
    let world = World::new();
    let (first, second) = (world.node(Some("a")), world.node(Some("a")));
    first.ensure(NOW, None).await.unwrap();
    second.known().await.unwrap();
    let known = first.known().await.unwrap().unwrap();
    let recipient = Identity::generate().unwrap().recipient();
    first.change(None, |known| Ok(with(known, holder(recipient)))).await.unwrap();
    let (facts, identities) = with(&known, holder(recipient));
    assert_eq!(second.publish(facts, identities, None).await.err().unwrap().code, "KEYS_CHANGED");
}

#[tokio::test]
async fn of_two_nodes_one_changes_after_the_other_and_nothing_is_lost() {
    let world = World::new();
    world.node(Some("a")).ensure(NOW, None).await.unwrap();
    let catalog = world.catalog().await;
    let mut changes = tokio::task::JoinSet::new();
    for name in ["one", "other"] {
        let (ring, turns) = (world.node(Some("a")), turns(&catalog, name));
        changes.spawn(async move {
            ring.known().await.unwrap();
            let turn = turns.wait("keys".to_owned(), &CancellationToken::new()).await.unwrap();
            let recipient = Identity::generate().unwrap().recipient();
            let change = ring.change(Some(&turn), |known| Ok(with(known, holder(recipient)))).await;
            change.map(|_| recipient)
        });
    }
    let made: Vec<_> = changes.join_all().await.into_iter().map(Result::unwrap).collect();
    let facts = &world.node(Some("a")).known().await.unwrap().unwrap().facts;
    assert_eq!(facts.number, 3);
    for recipient in made {
        assert!(facts.holders.iter().any(|holder| holder.recipient == recipient));
    }
}

#[tokio::test]
async fn a_node_that_lost_its_turn_changes_nothing() {
    let world = World::new();
    let ring = world.node(Some("a"));
    ring.ensure(NOW, None).await.unwrap();
    let catalog = world.catalog().await;
    let turn = turns(&catalog, "slow").take("keys".to_owned()).await.unwrap().unwrap();
    // It was not seen for a while, and another node came and went.
    catalog.give_turn("keys", "slow").await.unwrap();
    let recipient = Identity::generate().unwrap().recipient();
    let change = ring.change(Some(&turn), |known| Ok(with(known, holder(recipient)))).await;
    assert_eq!(change.err().unwrap().code, "KEYS_CHANGED");
    assert_eq!(world.node(Some("a")).known().await.unwrap().unwrap().facts.number, 1);
}

#[tokio::test]
async fn changed_objects_are_refused() {
    let world = World::new();
    world.node(Some("a")).ensure(NOW, None).await.unwrap();
    let path = |name: &str| world.folder.path().join("repository/keys").join(name);
    let good = std::fs::read(path("1.json")).unwrap();
    let mut other = good.clone();
    let at = other.windows(4).position(|four| four == b"age1").unwrap() + 6;
    other[at] = if other[at] == b'q' { b'p' } else { b'q' };
    std::fs::write(path("1.json"), &other).unwrap();
    assert_eq!(world.node(None).recipient().await.unwrap_err().code, "KEYS_DAMAGED");
    std::fs::write(path("1.json"), &good).unwrap();
    assert!(world.node(None).recipient().await.is_ok());
    let foreign = KeyRing::new(world.vault(), vec![key(2)], Node::load(None, false).unwrap());
    assert_eq!(foreign.recipient().await.unwrap_err().code, "KEYS_DAMAGED", "another root key");
    std::fs::copy(path("1.json"), path("2.json")).unwrap();
    assert_eq!(
        world.node(None).recipient().await.unwrap_err().code,
        "KEYS_DAMAGED",
        "an old one under a new name"
    );
    std::fs::remove_file(path("2.json")).unwrap();
    std::fs::write(path("1.age"), "another file").unwrap();
    assert_eq!(world.node(Some("a")).known().await.err().unwrap().code, "KEYS_DAMAGED");
}

#[test]
fn an_identity_file_is_private_and_whole() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.identity");
    assert!(Node::load(Some(&path), false).unwrap().identity().is_none());
    let made = Node::load(Some(&path), true).unwrap();
    let read = Node::load(Some(&path), false).unwrap();
    assert_eq!(made.identity().unwrap().recipient(), read.identity().unwrap().recipient());
    let set_mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o640);
    assert_eq!(Node::load(Some(&path), true).err().unwrap().code, "IDENTITY_EXPOSED");
    set_mode(0o600);
    std::fs::write(&path, "# nothing\n").unwrap();
    assert_eq!(Node::load(Some(&path), true).err().unwrap().code, "IDENTITY_DAMAGED", "it is never replaced");
}
