//! Instances.

use sqlx::QueryBuilder;

use super::{Db, Key, POSITION, Store, failed, is_duplicate, json_field, place, rows};
use crate::catalog::{conflict, not_found};
use crate::error::Result;
use crate::model::{
    AccountId, Instance, InstanceFilter, InstanceId, InstanceOrder, Listed, ServerFacts, micros,
};

pub(super) async fn add(catalog: &Store, instance: &Instance) -> Result<()> {
    sqlx::query(
        "INSERT INTO instance (account, id, project, name, url, username, sealed_password, region, zone, created_at, \
         facts, replica_zone, sealed_login, capture) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(instance.account.as_str())
    .bind(instance.id.as_str())
    .bind(instance.project.as_ref().map(|id| id.as_str().to_owned()))
    .bind(&instance.name)
    .bind(&instance.url)
    .bind(&instance.username)
    .bind(&instance.sealed_password)
    .bind(&instance.region)
    .bind(&instance.zone)
    .bind(micros(instance.created_at))
    .bind(instance.facts.as_ref().map(rows::to_json).transpose()?)
    .bind(&instance.replica_zone)
    .bind(&instance.sealed_login)
    .bind(rows::to_json(&instance.capture)?)
    .execute(&catalog.writer)
    .await
    .map_err(|error| {
        if is_duplicate(&error) {
            conflict(format!("the instance {} exists already", instance.id))
        } else if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation) {
            let project = instance.project.as_ref().map(ToString::to_string).unwrap_or_default();
            not_found("account or project", format!("{}/{project}", instance.account))
        } else {
            failed(&error)
        }
    })?;
    Ok(())
}

/// Writes how an instance is reached and captured; the rest of its row stays.
pub(super) async fn set(catalog: &Store, instance: &Instance) -> Result<()> {
    let done = sqlx::query(
        "UPDATE instance SET url = $3, username = $4, sealed_password = $5, sealed_login = $6, capture = $7 \
         WHERE account = $1 AND id = $2",
    )
    .bind(instance.account.as_str())
    .bind(instance.id.as_str())
    .bind(&instance.url)
    .bind(&instance.username)
    .bind(&instance.sealed_password)
    .bind(&instance.sealed_login)
    .bind(rows::to_json(&instance.capture)?)
    .execute(&catalog.writer)
    .await
    .map_err(|error| failed(&error))?;
    if done.rows_affected() == 0 { Err(not_found("instance", &instance.id)) } else { Ok(()) }
}

pub(super) async fn one(catalog: &Store, account: &AccountId, id: &InstanceId) -> Result<Option<Instance>> {
    let query = "SELECT * FROM instance WHERE account = $1 AND id = $2";
    let keys = [Key::Text(account.as_str()), Key::Text(id.as_str())];
    let found = catalog.find(query, &keys, |row| rows::instance(row)).await?;
    Ok(found.into_iter().next())
}

pub(super) async fn list(
    catalog: &Store,
    account: &AccountId,
    filter: &InstanceFilter,
) -> Result<Listed<Instance>> {
    let total: i64 = matching("SELECT COUNT(*) FROM instance", account, filter)
        .build_query_scalar()
        .fetch_one(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?;
    let mut query = matching("SELECT * FROM instance", account, filter);
    query.push(format!(" ORDER BY {} LIMIT ", order(filter))).push_bind(rows::signed(filter.page.limit));
    query.push(" OFFSET ").push_bind(rows::signed(filter.page.offset));
    let found = query.build().fetch_all(&catalog.reader).await.map_err(|error| failed(&error))?;
    Ok(Listed { total: rows::number(total), rows: found.iter().map(rows::instance).collect::<Result<_>>()? })
}

/// What has no project, or was never asked, comes first.
fn order(filter: &InstanceFilter) -> String {
    let way = if filter.descending { " DESC" } else { "" };
    let by = match filter.order {
        InstanceOrder::Id => return format!("id{way}"),
        InstanceOrder::Created => "created_at".to_owned(),
        InstanceOrder::Name => "name".to_owned(),
        InstanceOrder::Project => "COALESCE(project, '')".to_owned(),
        InstanceOrder::Topology => format!("COALESCE({}, '')", json_field("facts", "topology")),
    };
    format!("{by}{way}, id{way}")
}

fn matching(select: &'static str, account: &AccountId, filter: &InstanceFilter) -> QueryBuilder<Db> {
    let mut query = QueryBuilder::new(select);
    query.push(" WHERE account = ").push_bind(account.as_str().to_owned());
    if let Some(project) = &filter.project {
        query.push(" AND project = ").push_bind(project.as_str().to_owned());
    }
    if !filter.ids.is_empty() {
        let mut list = query.push(" AND id IN (").separated(", ");
        for id in &filter.ids {
            list.push_bind(id.clone());
        }
        query.push(")");
    }
    if let Some(text) = &filter.search {
        place::containing(&mut query, ["id", "name"], text);
    }
    if !filter.any_of.is_empty() {
        query.push(" AND (1 = 0");
        for text in &filter.any_of {
            query.push(" OR id = ").push_bind(text.clone());
            let places =
                [("name", text.clone()), ("url", format!("//{text}:")), ("url", format!("//[{text}]:"))];
            for (column, part) in places {
                query.push(format!(" OR {POSITION}({column}, ")).push_bind(part).push(") > 0");
            }
        }
        query.push(")");
    }
    if let Some(name) = &filter.name {
        query.push(" AND name = ").push_bind(name.clone());
    }
    if !filter.topologies.is_empty() {
        let topology = json_field("facts", "topology");
        let mut list = query.push(format!(" AND {topology} IN (")).separated(", ");
        for topology in &filter.topologies {
            list.push_bind(topology.as_str());
        }
        query.push(")");
    }
    place::within(&mut query, "", &filter.place);
    query
}

pub(super) async fn delete(catalog: &Store, account: &AccountId, id: &InstanceId) -> Result<()> {
    let mut tx = catalog.write().await?;
    let active: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM backup WHERE account = $1 AND instance = $2 AND state IN ('queued', 'running')",
    )
    .bind(account.as_str())
    .bind(id.as_str())
    .fetch_one(&mut *tx)
    .await
    .map_err(|error| failed(&error))?;
    if active > 0 {
        return Err(conflict(format!("a backup of {id} is under way"))
            .hint("wait for it, or stop it with: keystow job cancel"));
    }
    let done = sqlx::query("DELETE FROM instance WHERE account = $1 AND id = $2")
        .bind(account.as_str())
        .bind(id.as_str())
        .execute(&mut *tx)
        .await
        .map_err(|error| failed(&error))?;
    if done.rows_affected() == 0 {
        return Err(not_found("instance", id));
    }
    tx.commit().await.map_err(|error| failed(&error))
}

pub(super) async fn record_contact(
    catalog: &Store,
    account: &AccountId,
    id: &InstanceId,
    facts: &ServerFacts,
) -> Result<()> {
    sqlx::query("UPDATE instance SET facts = $3 WHERE account = $1 AND id = $2")
        .bind(account.as_str())
        .bind(id.as_str())
        .bind(rows::to_json(facts)?)
        .execute(&catalog.writer)
        .await
        .map_err(|error| failed(&error))?;
    Ok(())
}
