//! Notes, accounts, projects and access keys.

use super::*;
use crate::model::{AccessKey, Role};

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    a_note_is_kept_and_replaced(&fixture(open).await).await;
    an_account_or_project_exists_once(&fixture(open).await).await;
    a_key_reads_back_and_ends(&fixture(open).await).await;
    keys_belong_to_what_exists(&fixture(open).await).await;
}

async fn a_note_is_kept_and_replaced(catalog: &Fixture) {
    assert_eq!(catalog.note("repository").await.unwrap(), None);
    for value in ["one", "two"] {
        catalog.set_note("repository", value).await.unwrap();
        assert_eq!(catalog.note("repository").await.unwrap().as_deref(), Some(value));
    }
}

async fn an_account_or_project_exists_once(catalog: &Fixture) {
    let again = Account { id: acme(), name: "other".to_owned(), created_at: at(9) };
    assert!(is_conflict(&catalog.add_account(&again).await.unwrap_err()));
    let accounts = catalog.accounts().await.unwrap();
    let names: Vec<_> = accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["acme", "rival"], "by id, and the first stays");

    let web = Project { id: id("web"), account: acme(), name: "again".to_owned(), created_at: at(1) };
    assert!(is_conflict(&catalog.add_project(&web).await.unwrap_err()));
    catalog.add_project(&Project { account: rival(), ..web.clone() }).await.unwrap();
    assert!(is_missing(&catalog.add_project(&Project { account: id("nobody"), ..web }).await.unwrap_err()));
    let projects = catalog.projects(&acme()).await.unwrap();
    let ids: Vec<_> = projects.iter().map(|project| project.id.as_str()).collect();
    assert_eq!(ids, ["shop", "web"], "by id");
    assert_eq!(catalog.projects(&rival()).await.unwrap().len(), 1);
}

fn key(name: &str, account: AccountId) -> AccessKey {
    AccessKey {
        id: name.to_owned(),
        account,
        project: None,
        role: Role::Downloader,
        sealed_secret: vec![1, 0, 255],
        sealed_session_token: Some(vec![9]),
        previous: None,
        addresses: Vec::new(),
        created_at: at(1),
        expires_at: Some(at(100)),
        revoked_at: None,
    }
}

async fn a_key_reads_back_and_ends(catalog: &Fixture) {
    let made = AccessKey { project: Some(id("web")), ..key("AK1", acme()) };
    catalog.add_key(&made).await.unwrap();
    assert!(
        is_conflict(&catalog.add_key(&key("AK1", rival())).await.unwrap_err()),
        "ids are unique everywhere"
    );
    let read = catalog.key("AK1").await.unwrap().unwrap();
    assert_eq!((read.account, read.project, read.role), (acme(), Some(id("web")), Role::Downloader));
    assert_eq!((read.sealed_secret, read.sealed_session_token), (vec![1, 0, 255], Some(vec![9])));
    assert_eq!((read.created_at, read.expires_at, read.revoked_at), (at(1), Some(at(100)), None));
    assert!(catalog.key("ak1").await.unwrap().is_none());

    catalog.rotate_key("AK1", &[4], None).await.unwrap();
    assert_eq!(catalog.key("AK1").await.unwrap().unwrap().sealed_secret, [4]);
    catalog.revoke_key("AK1", at(50)).await.unwrap();
    catalog.revoke_key("AK1", at(60)).await.unwrap();
    assert_eq!(catalog.key("AK1").await.unwrap().unwrap().revoked_at, Some(at(50)), "the first moment stays");
    assert!(
        is_missing(&catalog.rotate_key("AK1", &[5], None).await.unwrap_err()),
        "a revoked key gets no new secret"
    );
    assert!(is_missing(&catalog.rotate_key("AK2", &[5], None).await.unwrap_err()));
    assert!(is_missing(&catalog.revoke_key("AK2", at(1)).await.unwrap_err()));
}

async fn keys_belong_to_what_exists(catalog: &Fixture) {
    assert!(is_missing(&catalog.add_key(&key("AK1", id("nobody"))).await.unwrap_err()));
    // A project of another account is as good as none.
    let foreign = AccessKey { project: Some(id("web")), ..key("AK1", rival()) };
    assert!(is_missing(&catalog.add_key(&foreign).await.unwrap_err()));
    catalog.add_key(&AccessKey { created_at: at(5), ..key("AK1", acme()) }).await.unwrap();
    catalog.add_key(&AccessKey { created_at: at(4), ..key("AK2", acme()) }).await.unwrap();
    catalog.add_key(&key("AK3", rival())).await.unwrap();
    let ids = |keys: Vec<AccessKey>| keys.into_iter().map(|key| key.id).collect::<Vec<_>>();
    assert_eq!(ids(catalog.keys(Some(&acme())).await.unwrap()), ["AK2", "AK1"], "oldest first");
    assert_eq!(ids(catalog.keys(None).await.unwrap()), ["AK3", "AK2", "AK1"]);
}
