//! Tokens that stand for an access key.

use std::time::Duration;

use keystow_engine::model::Role;

use crate::world::{World, code};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_stands_for_its_key_for_a_day() {
    let world = World::new().await;
    let who = world.key(Role::Downloader, None).await;
    let token = world.engine.issue_token(&who).await.unwrap();
    let same = world.engine.sign_in_with_token(token.text.expose(), None).await.unwrap();
    assert_eq!((same.key_id(), same.role(), same.account()), (who.key_id(), who.role(), who.account()));
    world.clock.advance(Duration::from_hours(24) - Duration::from_secs(1));
    assert!(world.engine.sign_in_with_token(token.text.expose(), None).await.is_ok());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(code(world.engine.sign_in_with_token(token.text.expose(), None).await), "BAD_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_token_is_refused() {
    let world = World::new().await;
    let token = world.engine.issue_token(&world.admin).await.unwrap();
    let text = token.text.expose().to_vec();
    for at in 0..text.len() - 1 {
        let mut changed = text.clone();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(code(world.engine.sign_in_with_token(&changed, None).await), "BAD_TOKEN", "{at}");
    }
    for nonsense in [&b""[..], b"x", b"\xff\xff", &[b'A'; 5000]] {
        assert_eq!(code(world.engine.sign_in_with_token(nonsense, None).await), "BAD_TOKEN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_its_key_and_with_its_secret() {
    let world = World::new().await;
    for rotated in [true, false] {
        let who = world.key(Role::Viewer, None).await;
        let token = world.engine.issue_token(&who).await.unwrap();
        if rotated {
            world.engine.rotate_key(&world.admin, who.key_id(), None).await.unwrap();
        } else {
            world.engine.revoke_key(&world.admin, who.key_id()).await.unwrap();
        }
        assert_eq!(code(world.engine.sign_in_with_token(token.text.expose(), None).await), "BAD_TOKEN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_a_project_sees_that_project_only() {
    let world = World::new().await;
    world.engine.add_project(&world.admin, "web".parse().unwrap(), None, None).await.unwrap();
    let narrowed = world.admin.in_project(&"web".parse().unwrap()).unwrap();
    assert!(narrowed.in_project(&"shop".parse().unwrap()).is_none(), "it only gets narrower");
    let token = world.engine.issue_token(&narrowed).await.unwrap();
    let who = world.engine.sign_in_with_token(token.text.expose(), None).await.unwrap();
    assert_eq!(who.project().map(keystow_engine::model::ProjectId::as_str), Some("web"));
}
