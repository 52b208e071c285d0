use std::sync::Arc;

use super::*;
use crate::catalog::{Catalog, contract};

async fn open() -> PostgresCatalog {
    let options = PostgresOptions { url: Secret::new(lab::database().await), password: None, connections: 8 };
    PostgresCatalog::open(&options).await.unwrap()
}

/// An empty catalog whose leases go by the time that a test says.
async fn by_hand() -> PostgresCatalog {
    let catalog = open().await;
    let told = "CREATE OR REPLACE FUNCTION keystow_now(node_micros BIGINT) RETURNS BIGINT LANGUAGE SQL STABLE \
                AS 'SELECT node_micros'";
    sqlx::query(told).execute(&catalog.writer).await.unwrap();
    catalog
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    contract::run(async || Arc::new(by_hand().await) as Arc<dyn Catalog>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_go_by_the_clock_of_the_server() {
    let catalog = open().await;
    let node_says = 5_i64;
    let now: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {}", now_at("$1"))))
        .bind(node_says)
        .fetch_one(&catalog.reader)
        .await
        .unwrap();
    assert!(now > 1_700_000_000_000_000, "{now}");
}
