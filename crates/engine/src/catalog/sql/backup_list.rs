//! Pages of lists of backups.

use std::collections::HashMap;

use sqlx::QueryBuilder;

use super::tally::{self, Count, Way};
use super::{Db, Row, Store, failed, place, rows};
use crate::error::Result;
use crate::model::{AccountId, Backup, BackupFilter, BackupRef, Listed, Number, Part, Unit, micros};

pub(super) async fn list(
    catalog: &Store,
    account: &AccountId,
    filter: &BackupFilter,
) -> Result<Listed<Backup>> {
    let kinds = tally::of_backups(filter);
    let count = match &kinds {
        Some(kinds) => kinds.count(catalog, account).await?,
        None => count(catalog, account, filter).await?,
    };
    let page = count.on(filter.page);
    if page.limit == 0 {
        return Ok(Listed { total: count.total, rows: Vec::new() });
    }
    let select = match filter.unit {
        Unit::Set => "SELECT b.* FROM backup b",
        Unit::Part => "SELECT b.*, p.number AS part_number FROM backup b LEFT JOIN part p ON p.backup = b.id",
    };
    let mut query = matching(select, count.time(), account, filter);
    if let (Way::OfInstances, Some(kinds)) = (count.way, &kinds) {
        kinds.of_instances(&mut query, "b.instance", account);
    }
    let (order, newest) = (count.order(), if filter.oldest_first { "" } else { " DESC" });
    query.push(format!(" ORDER BY {order}b.created_at{newest}, b.number{newest}"));
    if filter.unit == Unit::Part {
        query.push(", p.shard");
    }
    query.push(" LIMIT ").push_bind(rows::signed(page.limit));
    query.push(" OFFSET ").push_bind(rows::signed(page.offset));
    let found = query.build().fetch_all(&catalog.reader).await.map_err(|error| failed(&error))?;
    let backups = match filter.unit {
        Unit::Set => found.iter().map(rows::backup).collect::<Result<_>>()?,
        Unit::Part => by_part(&found)?,
    };
    Ok(Listed { total: count.total, rows: backups })
}

/// Counts what no tally tells.
async fn count(catalog: &Store, account: &AccountId, filter: &BackupFilter) -> Result<Count> {
    let select = match filter.unit {
        Unit::Set => "SELECT COUNT(*) FROM backup b",
        Unit::Part => "SELECT COUNT(*) FROM backup b LEFT JOIN part p ON p.backup = b.id",
    };
    let total: i64 = matching(select, "", account, filter)
        .build_query_scalar()
        .fetch_one(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?;
    let is_apart = filter.since.is_some() || filter.until.is_some() || filter.backup.is_some();
    Ok(Count::one_by_one(rows::number(total), is_apart))
}

/// The backup of each row with that row's part alone. A backup's rows stand together: what is known of all its parts
/// is read once, not once a row.
fn by_part(found: &[Row]) -> Result<Vec<Backup>> {
    let mut backups = Vec::with_capacity(found.len());
    let id = |row: &Row| rows::text(row, "id").map(str::to_owned).ok();
    for of_one in found.chunk_by(|one, next| id(one) == id(next)) {
        let mut backup = rows::backup(&of_one[0])?;
        let parts = std::mem::take(&mut backup.parts).into_iter();
        let mut parts: HashMap<Number, Part> = parts.map(|part| (part.number, part)).collect();
        for row in of_one {
            let own = rows::part_number(row)?.and_then(|number| parts.remove(&number));
            backups.push(Backup { parts: own.into_iter().collect(), ..backup.clone() });
        }
    }
    Ok(backups)
}

fn matching(
    select: &'static str,
    time: &'static str,
    account: &AccountId,
    filter: &BackupFilter,
) -> QueryBuilder<Db> {
    let mut query = QueryBuilder::new(select);
    query.push(" WHERE b.account = ").push_bind(account.as_str().to_owned());
    if let Some(project) = &filter.project {
        query.push(" AND b.project = ").push_bind(project.as_str().to_owned());
    }
    if let Some(instance) = &filter.instance {
        query.push(" AND b.instance = ").push_bind(instance.as_str().to_owned());
    }
    if let Some(which) = filter.backup {
        query.push(" AND ");
        match (which, filter.unit) {
            // In a list of parts, a part's number means that part alone.
            (BackupRef::Number(number), Unit::Part) => {
                query.push("(p.number = ").push_bind(rows::signed(number));
                query.push(" OR b.number = ").push_bind(rows::signed(number)).push(")");
            }
            _ => named(&mut query, which),
        }
    }
    if let Some(job) = filter.job {
        query.push(" AND b.job = ").push_bind(rows::signed(job));
    }
    if let Some(since) = filter.since {
        query.push(format!(" AND {time}COALESCE(b.started_at, b.created_at) >= ")).push_bind(micros(since));
    }
    if let Some(until) = filter.until {
        query.push(format!(" AND {time}COALESCE(b.started_at, b.created_at) <= ")).push_bind(micros(until));
    }
    query.push(tally::in_states("b.state", &filter.states));
    if let Some(text) = &filter.instance_search {
        place::containing(&mut query, ["b.instance", "b.instance_name"], text);
    }
    if let Some(text) = &filter.search {
        place::containing(&mut query, ["COALESCE(b.name, '')", "COALESCE(b.remark, '')"], text);
    }
    if let Some(mode) = filter.mode {
        query.push(" AND b.mode = ").push_bind(mode.as_str());
    }
    if !filter.copied_to.is_empty() {
        query.push(
            " AND EXISTS (SELECT 1 FROM backup_copy c WHERE c.backup = b.id AND c.state = 'available' \
             AND c.repository IN (",
        );
        let mut names = query.separated(", ");
        for name in &filter.copied_to {
            names.push_bind(name.clone());
        }
        query.push("))");
    }
    place::within(&mut query, "b.", &filter.place);
    query
}

/// `b` is the backup of that id or number, or the one that has the part of that number.
fn named(query: &mut QueryBuilder<Db>, which: BackupRef) {
    match which {
        BackupRef::Id(id) => {
            query.push("b.id = ").push_bind(id.to_string());
        }
        BackupRef::Number(number) => {
            query.push("(b.number = ").push_bind(rows::signed(number));
            query.push(" OR b.id = (SELECT backup FROM part WHERE number = ").push_bind(rows::signed(number));
            query.push("))");
        }
    }
}
