//! Roles, projects and accounts: what a caller may do and see.

use std::time::Duration;

use keystow_engine::access::Principal;
use keystow_engine::model::{
    AuditFilter, BackupFilter, BackupRef, InstanceFilter, JobFilter, Page, ProjectId, Role, Secret,
};
use keystow_engine::ops::{BackupOrder, LinkOrder, NewInstance, NewKey};

use crate::fake::{primary, small_snapshot, with_length};
use crate::world::{World, code, login, order};

#[tokio::test(flavor = "multi_thread")]
async fn a_role_allows_what_it_says_and_no_more() {
    let world = World::new().await;
    let url = primary(with_length(&small_snapshot()));
    world.add("crs-1", &url).await.unwrap();
    let backup = world.take("crs-1").await;
    let instance = backup.instance.clone();
    let which = BackupRef::Id(backup.id);
    let viewer = world.key(Role::Viewer, None).await;
    let downloader = world.key(Role::Downloader, None).await;
    let operator = world.key(Role::Operator, None).await;
    let engine = &world.engine;

    assert_eq!(engine.backup(&viewer, which).await.unwrap().id, backup.id);
    assert_eq!(code(world.share(&viewer, &backup, &order()).await), "ROLE_DENIED");
    assert_eq!(code(engine.links(&viewer, Page::default()).await), "ROLE_DENIED");
    assert_eq!(code(engine.revoke_backup_links(&viewer, which).await), "ROLE_DENIED");

    world.share(&downloader, &backup, &order()).await.unwrap();
    for who in [&viewer, &downloader] {
        assert_eq!(code(engine.request_backup(who, BackupOrder::of(instance.clone())).await), "ROLE_DENIED");
        assert_eq!(code(engine.delete_backup(who, which).await), "ROLE_DENIED");
        assert_eq!(code(engine.delete_instance(who, &instance).await), "ROLE_DENIED");
        assert_eq!(code(engine.test_instance(who, &instance).await), "ROLE_DENIED");
        assert_eq!(code(engine.cancel_job(who, backup.job).await), "ROLE_DENIED");
        assert_eq!(code(engine.check(who).await.map(|health| health.findings.len())), "ROLE_DENIED");
        let new = NewInstance { login: login(&url), ..NewInstance::default() };
        assert_eq!(code(engine.add_instance(who, new).await), "ROLE_DENIED");
    }

    engine.request_backup(&operator, BackupOrder::of(instance.clone())).await.unwrap();
    for who in [&viewer, &downloader, &operator] {
        assert_eq!(code(engine.create_key(who, NewKey::default()).await), "ROLE_DENIED");
        assert_eq!(code(engine.keys(who, None).await), "ROLE_DENIED");
        assert_eq!(code(engine.rotate_key(who, world.admin.key_id(), None).await), "ROLE_DENIED");
        assert_eq!(code(engine.revoke_key(who, world.admin.key_id()).await), "ROLE_DENIED");
        assert_eq!(code(engine.add_account(who, "other".parse().unwrap(), None).await), "ROLE_DENIED");
        assert_eq!(code(engine.add_project(who, "p".parse().unwrap(), None, None).await), "ROLE_DENIED");
    }
    assert_eq!(code(engine.revoke_key(&world.admin, world.admin.key_id()).await), "OWN_KEY");
    assert!(engine.check(&operator).await.unwrap().findings.iter().all(|finding| finding.ok));
    engine.is_ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_bound_to_a_project_sees_its_project_only() {
    let world = World::new().await;
    let engine = &world.engine;
    let url = primary(with_length(&small_snapshot()));
    for project in ["web", "shop"] {
        engine.add_project(&world.admin, project.parse().unwrap(), None, None).await.unwrap();
        let id = Some(format!("crs-{project}").parse().unwrap());
        let project = Some(project.parse().unwrap());
        world
            .add_with(NewInstance { login: login(&url), id, project, ..NewInstance::default() })
            .await
            .unwrap();
    }
    world.add("crs-none", &url).await.unwrap();
    let web = world.take("crs-web").await;
    let shop = world.take("crs-shop").await;
    let none = world.take("crs-none").await;
    let remembered = LinkOrder { remember: true, ..order() };
    let own_link = world.link(&web, &remembered).await.id.unwrap();
    let foreign_link = world.link(&shop, &remembered).await.id.unwrap();

    let who = world.key(Role::Operator, Some("web")).await;
    let instances = engine.instances(&who, InstanceFilter::default()).await.unwrap();
    assert_eq!((instances.total, instances.rows[0].id.as_str()), (1, "crs-web"));
    let escape = InstanceFilter { project: Some("shop".parse().unwrap()), ..InstanceFilter::default() };
    assert_eq!(engine.instances(&who, escape).await.unwrap().rows[0].id.as_str(), "crs-web");
    let backups = engine.backups(&who, BackupFilter::default()).await.unwrap();
    assert_eq!((backups.total, backups.rows[0].id), (1, web.id));
    let jobs = engine.jobs(&who, JobFilter::default()).await.unwrap();
    assert_eq!((jobs.total, jobs.rows[0].job.number), (1, web.job));
    assert_eq!(engine.projects(&who, None).await.unwrap().len(), 1);
    let links = engine.links(&who, Page::default()).await.unwrap();
    assert_eq!((links.total, &links.rows[0].id), (1, &own_link));

    for foreign in [&shop, &none] {
        let which = BackupRef::Number(foreign.parts[0].number);
        assert_eq!(code(engine.backup(&who, which).await), "BACKUP_NOT_FOUND");
        assert_eq!(code(engine.delete_backup(&who, which).await), "BACKUP_NOT_FOUND");
        assert_eq!(code(engine.protect_backup(&who, which, true).await), "BACKUP_NOT_FOUND");
        assert_eq!(code(engine.revoke_backup_links(&who, which).await), "BACKUP_NOT_FOUND");
        assert_eq!(code(world.share(&who, foreign, &order()).await), "BACKUP_NOT_FOUND");
        assert_eq!(code(engine.issue_links(&who, foreign, &order()).await), "BACKUP_NOT_FOUND");
        assert_eq!(code(engine.instance(&who, &foreign.instance).await), "INSTANCE_NOT_FOUND");
        assert_eq!(
            code(engine.request_backup(&who, BackupOrder::of(foreign.instance.clone())).await),
            "INSTANCE_NOT_FOUND"
        );
        assert_eq!(code(engine.delete_instance(&who, &foreign.instance).await), "INSTANCE_NOT_FOUND");
        assert_eq!(code(engine.revoke_instance_links(&who, &foreign.instance).await), "INSTANCE_NOT_FOUND");
        let filter = BackupFilter { instance: Some(foreign.instance.clone()), ..BackupFilter::default() };
        assert_eq!(code(engine.backups(&who, filter).await), "INSTANCE_NOT_FOUND");
        assert_eq!(code(engine.job(&who, foreign.job).await), "NOT_FOUND");
        assert_eq!(code(engine.cancel_job(&who, foreign.job).await), "NOT_FOUND");
        assert_eq!(engine.available_bytes(&who, &foreign.instance).await.unwrap(), 0);
    }
    assert_eq!(code(engine.revoke_link(&who, &foreign_link).await), "NOT_FOUND");
    engine.revoke_link(&who, &own_link).await.unwrap();
    let new =
        NewInstance { login: login(&url), project: Some("shop".parse().unwrap()), ..NewInstance::default() };
    assert_eq!(code(engine.add_instance(&who, new).await), "PROJECT_DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_admin_is_bound_to_a_project() {
    let world = World::new().await;
    let engine = &world.engine;
    let web: ProjectId = "web".parse().unwrap();
    engine.add_project(&world.admin, web.clone(), None, None).await.unwrap();
    let bound = || NewKey { role: Some(Role::Admin), project: Some(web.clone()), ..NewKey::default() };
    assert_eq!(code(engine.create_key(&world.admin, bound()).await), "INVALID_VALUE");
    // One that is bound all the same, as an earlier version allowed it, does not go round its project.
    let who = world.admin.in_project(&web).unwrap();
    assert_eq!(code(engine.create_key(&who, NewKey::default()).await), "PROJECT_DENIED");
    assert_eq!(code(engine.keys(&who, None).await), "PROJECT_DENIED");
    assert_eq!(code(engine.audit(&who, &AuditFilter::default()).await.map(|_| ())), "PROJECT_DENIED");
    let other = Some("default".parse().unwrap());
    assert!(engine.projects(&who, other.as_ref()).await.is_ok(), "its own account is not another");
    assert_eq!(code(engine.projects(&who, Some(&"rival".parse().unwrap())).await), "PROJECT_DENIED");
}

async fn stranger(world: &World, role: Role) -> Principal {
    let account = Some("rival".parse().unwrap());
    world.sign_in(NewKey { account, role: Some(role), ..NewKey::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_accounts_backup_looks_missing() {
    let world = World::new().await;
    let engine = &world.engine;
    world.add("crs-1", &primary(with_length(&small_snapshot()))).await.unwrap();
    let backup = world.take("crs-1").await;
    let link = world.link(&backup, &LinkOrder { remember: true, ..order() }).await;
    engine.add_account(&world.admin, "rival".parse().unwrap(), None).await.unwrap();
    let who = stranger(&world, Role::Operator).await;

    for which in [
        BackupRef::Id(backup.id),
        BackupRef::Number(backup.number),
        BackupRef::Number(backup.parts[0].number),
    ] {
        let foreign = engine.backup(&who, which).await.unwrap_err();
        assert_eq!(foreign.code, "BACKUP_NOT_FOUND");
        assert_eq!(code(engine.delete_backup(&who, which).await), "BACKUP_NOT_FOUND");
        assert_eq!(code(engine.share_backup(&who, which, &order()).await), "BACKUP_NOT_FOUND");
    }
    // The same words as for one that does not exist.
    let missing = engine.backup(&who, BackupRef::Number(7)).await.unwrap_err();
    let foreign = engine.backup(&who, BackupRef::Number(backup.number)).await.unwrap_err();
    assert_eq!(
        missing.to_string().replace('7', "N"),
        foreign.to_string().replace(&backup.number.to_string(), "N")
    );
    assert_eq!(code(engine.issue_links(&who, &backup, &order()).await), "BACKUP_NOT_FOUND");
    assert_eq!(code(engine.job(&who, backup.job).await), "NOT_FOUND");
    assert_eq!(code(engine.cancel_job(&who, backup.job).await), "NOT_FOUND");
    assert_eq!(code(engine.revoke_link(&who, &link.id.unwrap()).await), "NOT_FOUND");
    assert_eq!(code(engine.instance(&who, &backup.instance).await), "INSTANCE_NOT_FOUND");
    assert_eq!(engine.backups(&who, BackupFilter::default()).await.unwrap().total, 0);
    assert_eq!(engine.links(&who, Page::default()).await.unwrap().total, 0);
    assert_eq!(engine.accounts(&who).await.unwrap().len(), 1);
    let account = Some("default".parse().unwrap());
    let url = primary(with_length(&small_snapshot()));
    let new = NewInstance { login: login(&url), account, ..NewInstance::default() };
    assert_eq!(code(engine.add_instance(&who, new).await), "ROLE_DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_signs_in_with_its_own_secret_only() {
    let world = World::new().await;
    let engine = &world.engine;
    assert!(engine.initialise().await.unwrap().is_none(), "once");
    let made = NewKey {
        id: Some("AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE".to_owned()),
        secret: Some(Secret::new("Gu5t9xGARNpq86cd98joQYCN3EXAMPLE")),
        session_token: Some(Secret::new("token")),
        ..NewKey::default()
    };
    let key = engine.create_key(&world.admin, made).await.unwrap();
    let session = async |secret: &[u8], token: &[u8]| {
        engine.sign_in_with_session(&key.id, secret, Some(token), None).await
    };
    session(key.secret.expose(), b"token").await.unwrap();
    assert_eq!(code(session(key.secret.expose(), b"another").await), "BAD_CREDENTIALS");
    let without = engine.sign_in(&key.id, key.secret.expose(), None).await.unwrap_err();
    assert_eq!(without.code, "BAD_CREDENTIALS");
    assert!(without.message.contains("session token"), "whoever has the secret is told what is missing");
    let permanent = engine.create_key(&world.admin, NewKey::default()).await.unwrap();
    let extra =
        engine.sign_in_with_session(&permanent.id, permanent.secret.expose(), Some(b"token"), None).await;
    assert_eq!(code(extra), "BAD_CREDENTIALS");
    for (id, secret) in [(&*key.id, "wrong"), (&*key.id, ""), ("nobody", "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE")]
    {
        assert_eq!(code(engine.sign_in(id, secret.as_bytes(), None).await), "BAD_CREDENTIALS");
    }
    let rotated = engine.rotate_key(&world.admin, &key.id, None).await.unwrap();
    assert_eq!(code(engine.sign_in(&key.id, key.secret.expose(), None).await), "BAD_CREDENTIALS");
    session(rotated.secret.expose(), b"token").await.unwrap();
    let token = engine
        .sign_in_by(&key.id, None, |_, token| Ok::<_, keystow_engine::Error>(token.cloned()))
        .await
        .unwrap();
    assert!(token.unwrap().1.unwrap().equals(b"token"));
    let again = NewKey { id: Some(key.id), secret: Some(Secret::new("another-secret")), ..NewKey::default() };
    assert_eq!(code(engine.create_key(&world.admin, again).await), "CONFLICT");
    for (id, secret) in [("a,b", "long-enough"), ("", "long-enough"), ("AK", "short")] {
        let bad = NewKey { id: Some(id.to_owned()), secret: Some(Secret::new(secret)), ..NewKey::default() };
        assert_eq!(code(engine.create_key(&world.admin, bad).await), "INVALID_VALUE", "{id}");
    }
    let over = NewKey { expires_at: Some(world.clock.now()), ..NewKey::default() };
    assert_eq!(code(engine.create_key(&world.admin, over).await), "INVALID_VALUE");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_proves_temporary_credentials_that_ended_is_told_so() {
    let world = World::new().await;
    let end = world.clock.now() + Duration::from_mins(1);
    let secret = || Some(Secret::new("Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"));
    for (id, token) in [("AKtemporary", Some(Secret::new("token"))), ("AKpermanent", None)] {
        let new = NewKey {
            id: Some(id.to_owned()),
            secret: secret(),
            session_token: token,
            expires_at: Some(end),
            ..NewKey::default()
        };
        world.engine.create_key(&world.admin, new).await.unwrap();
    }
    let prove = async |id: &str, good: bool| {
        let check = |_: &Secret, _: Option<&Secret>| {
            if good { Ok(()) } else { Err(keystow_engine::Error::invalid("another signature")) }
        };
        match world.engine.sign_in_by(id, None, check).await {
            Ok(signed_in) => signed_in.map_or("unknown", |_| "in").to_owned(),
            Err(error) => error.code.to_owned(),
        }
    };
    assert_eq!(prove("AKtemporary", true).await, "in");
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(prove("AKtemporary", true).await, "SESSION_OVER");
    assert_eq!(prove("AKtemporary", false).await, "INVALID_VALUE", "nothing is told to anybody else");
    assert_eq!(prove("AKpermanent", true).await, "unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_secret_of_a_key_stays_good_for_its_grace() {
    let world = World::new().await;
    let engine = &world.engine;
    let key = engine.create_key(&world.admin, NewKey::default()).await.unwrap();
    let day = Some(Duration::from_hours(24));
    let second = engine.rotate_key(&world.admin, &key.id, day).await.unwrap();
    for secret in [&key.secret, &second.secret] {
        engine.sign_in(&key.id, secret.expose(), None).await.unwrap();
    }
    assert_eq!(code(engine.sign_in(&key.id, b"neither", None).await), "BAD_CREDENTIALS");
    world.clock.advance(Duration::from_hours(24));
    assert_eq!(code(engine.sign_in(&key.id, key.secret.expose(), None).await), "BAD_CREDENTIALS");
    engine.sign_in(&key.id, second.secret.expose(), None).await.unwrap();
    // A rotation during the grace ends the oldest at once.
    let third = engine.rotate_key(&world.admin, &key.id, day).await.unwrap();
    engine.rotate_key(&world.admin, &key.id, day).await.unwrap();
    engine.sign_in(&key.id, third.secret.expose(), None).await.unwrap();
    assert_eq!(code(engine.sign_in(&key.id, second.secret.expose(), None).await), "BAD_CREDENTIALS");
    let year = Some(Duration::from_hours(365 * 24));
    assert_eq!(code(engine.rotate_key(&world.admin, &key.id, year).await), "INVALID_VALUE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_from_its_addresses_only() {
    let world = World::new().await;
    let engine = &world.engine;
    let addresses = vec!["10.0.0.0/8".to_owned(), "2001:db8::7".to_owned()];
    let key = engine.create_key(&world.admin, NewKey { addresses, ..NewKey::default() }).await.unwrap();
    let from = |text: &str| Some(text.parse::<std::net::IpAddr>().unwrap());
    for good in ["10.9.8.7", "::ffff:10.9.8.7", "2001:db8::7"] {
        engine.sign_in(&key.id, key.secret.expose(), from(good)).await.unwrap();
    }
    for bad in [from("11.0.0.1"), from("2001:db8::8"), None] {
        assert_eq!(code(engine.sign_in(&key.id, key.secret.expose(), bad).await), "ADDRESS_DENIED");
        assert_eq!(code(engine.sign_in(&key.id, b"wrong", bad).await), "BAD_CREDENTIALS", "nothing is told");
        let by = engine.sign_in_by(&key.id, bad, |_, _| Ok::<_, keystow_engine::Error>(())).await;
        assert_eq!(code(by.map(drop)), "ADDRESS_DENIED");
    }
    let who = engine.sign_in(&key.id, key.secret.expose(), from("10.0.0.1")).await.unwrap();
    let token = engine.issue_token(&who).await.unwrap();
    engine.sign_in_with_token(token.text.expose(), from("10.0.0.1")).await.unwrap();
    assert_eq!(
        code(engine.sign_in_with_token(token.text.expose(), from("11.0.0.1")).await),
        "ADDRESS_DENIED"
    );
    let wrong = NewKey { addresses: vec!["everywhere".to_owned()], ..NewKey::default() };
    assert_eq!(code(engine.create_key(&world.admin, wrong).await), "INVALID_VALUE");
}
