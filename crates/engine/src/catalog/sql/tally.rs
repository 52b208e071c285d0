//! How much there is of what a list asks for. The tallies are rows of an instance each, however many backups and jobs it
//! has had: a list that asks for no more than they tell does not depend on that.

use sqlx::QueryBuilder;

use super::rows::{self, Columns};
use super::{Db, Store, failed, place};
use crate::error::Result;
use crate::model::{
    AccountId, BackupFilter, BackupState, InstanceId, JobFilter, JobState, Mode, Page, Place, ProjectId, Unit,
};

/// Rows that are put in order at once where their order is not that of an index.
const FEW: u64 = if cfg!(test) { 4 } else { 2_000 };

/// How many match, and how the page of them is best found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) total: u64,
    pub(super) way: Way,
}

/// A way to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Along the order of the list, until the page is full.
    InOrder,
    /// All that match, put in order then.
    Sorted,
    /// The same, of those instances alone that the tally names.
    OfInstances,
}

impl Count {
    /// A list that was counted one by one. What lies within a time may be far from where the list begins.
    pub(super) fn one_by_one(total: u64, within_a_time: bool) -> Self {
        Self { total, way: if within_a_time && total <= FEW { Way::Sorted } else { Way::InOrder } }
    }

    /// Of `all` rows, `total` match; the instances that they are of have `among` of them. Along the order one comes past
    /// as many others as there are to each that matches.
    fn told(total: u64, all: u64, among: u64, page: Page) -> Self {
        let wanted = u128::from(page.offset.saturating_add(page.limit).min(total));
        let passed = wanted * u128::from(all) / u128::from(total.max(1));
        let is_scattered = passed > u128::from(FEW) && passed / 2 > u128::from(among);
        Self { total, way: if is_scattered { Way::OfInstances } else { Way::InOrder } }
    }

    /// The part of a page that is there. No row after the last that matches is looked for.
    pub(super) fn on(self, page: Page) -> Page {
        Page { limit: page.limit.min(self.total.saturating_sub(page.offset)), ..page }
    }

    /// Before a column of the order: what keeps an index from giving it.
    pub(super) fn order(self) -> &'static str {
        if self.way == Way::InOrder { "" } else { "+" }
    }

    /// Before a time that is narrowed: what keeps an index from finding all within it, to be put in order then.
    pub(super) fn time(self) -> &'static str {
        if self.way == Way::InOrder { "+" } else { "" }
    }
}

/// What tallies tell apart.
pub(super) struct Kinds<'a> {
    /// The table.
    tally: &'static str,
    /// Its column of counts.
    counts: &'static str,
    project: Option<&'a ProjectId>,
    instance: Option<&'a InstanceId>,
    instance_search: Option<&'a String>,
    place: &'a Place,
    mode: Option<Mode>,
    /// What has that mode whatever else it has, followed by `OR`; empty = nothing.
    of_any_mode: &'static str,
    /// Conditions of the words in other columns.
    words: String,
    page: Page,
}

/// The kinds of backups that a list asks for, if tallies tell them.
pub(super) fn of_backups(filter: &BackupFilter) -> Option<Kinds<'_>> {
    let BackupFilter { search: None, backup: None, job: None, since: None, until: None, .. } = filter else {
        return None;
    };
    (filter.unit == Unit::Set && filter.copied_to.is_empty()).then(|| Kinds {
        tally: "backup_tally",
        counts: "backups",
        project: filter.project.as_ref(),
        instance: filter.instance.as_ref(),
        instance_search: filter.instance_search.as_ref(),
        place: &filter.place,
        mode: filter.mode,
        of_any_mode: "",
        words: in_states("state", &filter.states),
        page: filter.page,
    })
}

/// The kinds of jobs that a list asks for, if tallies tell them.
pub(super) fn of_jobs(filter: &JobFilter) -> Option<Kinds<'_>> {
    let JobFilter { number: None, since: None, until: None, .. } = filter else { return None };
    if filter.doubts_matter() {
        return None;
    }
    let kinds = filter.kinds.iter().map(|kind| kind.as_str());
    let states = filter.states.iter().map(|state| state.as_str());
    Some(Kinds {
        tally: "job_tally",
        counts: "jobs",
        project: filter.project.as_ref(),
        instance: filter.instance.as_ref(),
        instance_search: filter.instance_search.as_ref(),
        place: &filter.place,
        mode: filter.mode,
        of_any_mode: "kind <> 'take_backup' OR ",
        words: one_of("kind", kinds) + &one_of("state", states),
        page: filter.page,
    })
}

impl Kinds<'_> {
    /// Counts them.
    pub(super) async fn count(&self, catalog: &Store, account: &AccountId) -> Result<Count> {
        let mut query = QueryBuilder::new(
            "SELECT CAST(COALESCE(SUM(hits), 0) AS BIGINT) AS total, \
             CAST(COALESCE(SUM(of_all), 0) AS BIGINT) AS of_all, \
             CAST(COALESCE(SUM(CASE WHEN hits > 0 THEN of_all ELSE 0 END), 0) AS BIGINT) AS among ",
        );
        let counts = self.counts;
        query.push(format!("FROM (SELECT SUM({counts}) AS of_all, SUM(CASE WHEN 1 = 1"));
        self.matching(&mut query);
        query.push(format!(" THEN {counts} ELSE 0 END) AS hits FROM {} WHERE account = ", self.tally));
        query.push_bind(account.as_str().to_owned());
        if let Some(instance) = self.instance {
            query.push(" AND instance = ").push_bind(instance.as_str().to_owned());
        }
        query.push(" GROUP BY instance) AS of_instances");
        let row = query.build().fetch_one(&catalog.reader).await.map_err(|error| failed(&error))?;
        let column = |name: &str| Ok(rows::number(row.integer(name)?.unwrap_or(0).max(0)));
        Ok(Count::told(column("total")?, column("of_all")?, column("among")?, self.page))
    }

    /// The column holds one of the instances that have what is asked for.
    pub(super) fn of_instances(&self, query: &mut QueryBuilder<Db>, column: &str, account: &AccountId) {
        query.push(format!(" AND {column} IN (SELECT instance FROM {} WHERE account = ", self.tally));
        query.push_bind(account.as_str().to_owned());
        query.push(format!(" AND {} > 0", self.counts));
        self.matching(query);
        query.push(")");
    }

    fn matching(&self, query: &mut QueryBuilder<Db>) {
        if let Some(project) = self.project {
            query.push(" AND project = ").push_bind(project.as_str().to_owned());
        }
        if let Some(text) = self.instance_search {
            place::containing(query, ["instance", "instance_name"], text);
        }
        if let Some(mode) = self.mode {
            query.push(format!(" AND ({}mode = ", self.of_any_mode)).push_bind(mode.as_str()).push(")");
        }
        query.push(&self.words);
        place::within_tally(query, self.place);
    }
}

/// A backup's state is one of these; no states = any but `expired`. What is asked for of the few that went wrong is
/// looked for among them alone.
pub(super) fn in_states(column: &str, states: &[BackupState]) -> String {
    if states.is_empty() {
        return format!(" AND {column} <> 'expired'");
    }
    let is_many = |state: &BackupState| matches!(state, BackupState::Available | BackupState::Expired);
    let among = if states.iter().any(is_many) {
        String::new()
    } else {
        format!(" AND {column} NOT IN ('available', 'expired')")
    };
    among + &one_of(column, states.iter().map(|state| state.as_str()))
}

/// A job's state is one of these; no states = any. What is asked for of those that are not done is looked for among
/// them alone.
pub(super) fn in_job_states(column: &str, states: &[JobState]) -> String {
    let among = if states.is_empty() || states.contains(&JobState::Done) {
        String::new()
    } else {
        format!(" AND {column} <> 'done'")
    };
    among + &one_of(column, states.iter().map(|state| state.as_str()))
}

/// A column has one of these words of ours; no words = any.
pub(super) fn one_of(column: &str, words: impl ExactSizeIterator<Item = &'static str>) -> String {
    if words.len() == 0 {
        return String::new();
    }
    let quoted: Vec<_> = words.map(|word| format!("'{word}'")).collect();
    format!(" AND {column} IN ({})", quoted.join(", "))
}

/// The bytes of all available backups of an instance.
pub(super) async fn available_bytes(
    catalog: &Store,
    account: &AccountId,
    instance: &InstanceId,
) -> Result<u64> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM backup_tally \
         WHERE account = $1 AND instance = $2 AND state = 'available'",
    )
    .bind(account.as_str())
    .bind(instance.as_str())
    .fetch_one(&catalog.reader)
    .await
    .map_err(|error| failed(&error))?;
    Ok(rows::number(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_the_shorter_way() {
        let page = Page { offset: 0, limit: 30 };
        let way = |total, all, among| Count::told(total, all, among, page).way;
        assert_eq!(way(1_000_000, 1_000_000, 1_000_000), Way::InOrder);
        assert_eq!(way(500_000, 1_000_000, 500_000), Way::InOrder, "every other row is one");
        assert_eq!(way(50, 1_000_000, 5_000), Way::OfInstances);
        assert_eq!(way(50, 1_000_000, 1_000_000), Way::InOrder, "each instance has one of them");
        assert_eq!(way(0, 0, 0), Way::InOrder);
    }

    #[test]
    fn a_page_ends_where_the_list_does() {
        let count = Count { total: 10, way: Way::InOrder };
        let on = |offset, limit| count.on(Page { offset, limit }).limit;
        assert_eq!((on(0, 30), on(4, 3), on(8, 30), on(10, 30), on(u64::MAX, 30)), (10, 3, 2, 0, 0));
    }
}
