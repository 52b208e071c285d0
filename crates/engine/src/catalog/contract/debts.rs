//! Settings of sources that must be put back.

use super::*;
use crate::model::Debt;

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    a_debt_stays_until_it_is_settled(&fixture(open).await).await;
}

async fn a_debt_stays_until_it_is_settled(catalog: &Fixture) {
    let debt = |node: &str, value: &str| Debt {
        account: acme(),
        instance: id("crs-1"),
        node: node.to_owned(),
        setting: "rdbcompression".to_owned(),
        value: value.to_owned(),
    };
    let (first, second) = (debt("redis://a:1", "yes"), debt("redis://b:1", "yes"));
    catalog.owe(&first).await.unwrap();
    catalog.owe(&second).await.unwrap();
    catalog.owe(&debt("redis://a:1", "no")).await.unwrap();
    assert_eq!(catalog.debts().await.unwrap(), [first.clone(), second.clone()], "the first value is theirs");
    catalog.settle_debt(&first).await.unwrap();
    catalog.settle_debt(&first).await.unwrap();
    assert_eq!(catalog.debts().await.unwrap(), [second]);
}
