//! Pages of lists of jobs.

use sqlx::QueryBuilder;

use super::tally::{self, Count, Way};
use super::{Db, Store, failed, place, rows};
use crate::error::Result;
use crate::model::{AccountId, JobFilter, JobState, Listed, ListedJob, micros};

/// It ended, but what it took is not all, or not vouched for.
const IN_DOUBT: &str = "(j.state = 'done' AND j.kind = 'take_backup' AND j.failure IS NOT NULL)";

pub(super) async fn list(
    catalog: &Store,
    account: &AccountId,
    filter: &JobFilter,
) -> Result<Listed<ListedJob>> {
    let kinds = tally::of_jobs(filter);
    let count = match &kinds {
        Some(kinds) => kinds.count(catalog, account).await?,
        None => count(catalog, account, filter).await?,
    };
    let page = count.on(filter.page);
    if page.limit == 0 {
        return Ok(Listed { total: count.total, rows: Vec::new() });
    }
    let mut query = matching("SELECT j.*, b.instance_name, b.project, b.mode", count.time(), account, filter);
    if let (Way::OfInstances, Some(kinds)) = (count.way, &kinds) {
        kinds.of_instances(&mut query, "j.instance", account);
    }
    query.push(format!(" ORDER BY {}j.number DESC LIMIT ", count.order()));
    query.push_bind(rows::signed(page.limit));
    query.push(" OFFSET ").push_bind(rows::signed(page.offset));
    let found = query.build().fetch_all(&catalog.reader).await.map_err(|error| failed(&error))?;
    let rows = found.iter().map(rows::listed_job).collect::<Result<_>>()?;
    Ok(Listed { total: count.total, rows })
}

/// Counts what no tally tells.
async fn count(catalog: &Store, account: &AccountId, filter: &JobFilter) -> Result<Count> {
    let total: i64 = matching("SELECT COUNT(*)", "", account, filter)
        .build_query_scalar()
        .fetch_one(&catalog.reader)
        .await
        .map_err(|error| failed(&error))?;
    Ok(Count::one_by_one(rows::number(total), true))
}

fn matching(
    select: &'static str,
    time: &'static str,
    account: &AccountId,
    filter: &JobFilter,
) -> QueryBuilder<Db> {
    let mut query = QueryBuilder::new(select);
    query.push(" FROM job j JOIN backup b ON b.id = j.backup WHERE j.account = ");
    query.push_bind(account.as_str().to_owned());
    if let Some(project) = &filter.project {
        query.push(" AND b.project = ").push_bind(project.as_str().to_owned());
    }
    if let Some(number) = filter.number {
        query.push(" AND j.number = ").push_bind(rows::signed(number));
    }
    if let Some(instance) = &filter.instance {
        query.push(" AND j.instance = ").push_bind(instance.as_str().to_owned());
    }
    if let Some(text) = &filter.instance_search {
        place::containing(&mut query, ["j.instance", "b.instance_name"], text);
    }
    query.push(tally::one_of("j.kind", filter.kinds.iter().map(|kind| kind.as_str())));
    let in_states = tally::in_job_states("j.state", &filter.states);
    query.push(match (filter.doubts_matter(), filter.states.contains(&JobState::Done)) {
        (false, _) => in_states,
        (true, true) => format!("{in_states} AND NOT {IN_DOUBT}"),
        (true, false) => format!(" AND ({IN_DOUBT} OR (1 = 1{in_states}))"),
    });
    if let Some(mode) = filter.mode {
        query.push(" AND (j.kind <> 'take_backup' OR b.mode = ").push_bind(mode.as_str()).push(")");
    }
    if let Some(since) = filter.since {
        query.push(format!(" AND {time}j.created_at >= ")).push_bind(micros(since));
    }
    if let Some(until) = filter.until {
        query.push(format!(" AND {time}j.created_at <= ")).push_bind(micros(until));
    }
    place::within(&mut query, "b.", &filter.place);
    query
}
