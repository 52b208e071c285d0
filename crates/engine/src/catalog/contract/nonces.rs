//! One-time values of signed requests.

use super::*;

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    a_value_is_good_once_for_each_key_until_it_is_over(&fixture(open).await).await;
    of_many_copies_one_is_admitted(&fixture(open).await).await;
}

async fn a_value_is_good_once_for_each_key_until_it_is_over(catalog: &Fixture) {
    let admit = async |key, now| catalog.admit_nonce(key, "n", at(now + 60), at(now)).await.unwrap();
    assert!(admit("a", 0).await);
    assert!(!admit("a", 1).await && !admit("a", 60).await);
    assert!(admit("b", 1).await);
    assert!(admit("a", 61).await, "a copy is refused for its age by now");
}

async fn of_many_copies_one_is_admitted(catalog: &Fixture) {
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let catalog = catalog.catalog.clone();
        asked.spawn(async move { catalog.admit_nonce("a", "n", at(60), at(0)).await.unwrap() });
    }
    assert_eq!(asked.join_all().await.into_iter().filter(|&admitted| admitted).count(), 1);
}
