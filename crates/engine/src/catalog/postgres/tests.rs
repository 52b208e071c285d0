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

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_looks_at_unfinished_jobs_only() {
    let catalog = open().await;
    let mut tx = catalog.reader.begin().await.unwrap();
    // What it would do with many rows.
    for setting in ["SET LOCAL enable_seqscan = off", "SET LOCAL enable_sort = off"] {
        tx.execute(setting).await.unwrap();
    }
    let plan = format!("EXPLAIN {}", super::sql::jobs::longest_due());
    let steps: Vec<String> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(plan)).bind(0_i64).fetch_all(&mut *tx).await.unwrap();
    assert_eq!(steps.iter().filter(|step| step.contains("using job_due")).count(), 2, "{steps:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tallies_say_what_the_rows_say() {
    use contract::tallies::{CHANGES as STATEMENTS, DISAGREEMENTS, ROWS};
    let url = lab::database().await;
    let before: Vec<_> = CHANGES.iter().copied().filter(|change| change.0 < 12).collect();
    let older = PgPool::connect(&url).await.unwrap();
    crate::catalog::changes::migrator(&before).run(&older).await.unwrap();
    for rows in ROWS {
        sqlx::query(*rows).execute(&older).await.unwrap();
    }
    older.close().await;

    let options = PostgresOptions { url: Secret::new(url), password: None, connections: 2 };
    let catalog = PostgresCatalog::open(&options).await.unwrap();
    let check = async |statement: &'static str| {
        catalog.writer.execute(statement).await.unwrap();
        let wrong: i64 = sqlx::query_scalar(DISAGREEMENTS).fetch_one(&catalog.reader).await.unwrap();
        assert_eq!(wrong, 0, "{statement}");
    };
    let (acme, instance) = ("acme".parse().unwrap(), "r-1".parse().unwrap());
    assert_eq!(catalog.available_bytes(&acme, &instance).await.unwrap(), 700);
    for statement in [&["SELECT 1"], STATEMENTS, &ROWS[1..]].concat() {
        check(statement).await;
    }
    // Whatever goes first when rows go together.
    check(
        "DELETE FROM job; ALTER TABLE part DROP CONSTRAINT part_backup_fkey; \
         ALTER TABLE part ADD FOREIGN KEY (backup) REFERENCES backup (id) ON DELETE CASCADE",
    )
    .await;
    check("DELETE FROM backup").await;
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM part").fetch_one(&catalog.reader).await.unwrap();
    assert_eq!(left, 0);
}
