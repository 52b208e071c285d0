//! Conditions that several lists share.

use sqlx::QueryBuilder;

use super::{Db, POSITION};
use crate::model::Place;

/// The columns `region`, `zone` and `replica_zone` of the table with that prefix are within a part of the map.
/// Says the same as [`Place::holds`].
pub(super) fn within(query: &mut QueryBuilder<Db>, table: &str, place: &Place) {
    within_or_nowhere(query, table, place, ("IS NULL", "IS NOT NULL"));
}

/// The same of a tally, whose columns are empty where there is nothing.
pub(super) fn within_tally(query: &mut QueryBuilder<Db>, place: &Place) {
    within_or_nowhere(query, "", place, ("= ''", "<> ''"));
}

/// `absent` and `present` say of a column whether it holds something.
fn within_or_nowhere(
    query: &mut QueryBuilder<Db>,
    table: &str,
    place: &Place,
    (absent, present): (&str, &str),
) {
    if !place.regions.is_empty() {
        query.push(format!(" AND ({table}region {absent} OR {table}region IN ("));
        listed(query, &place.regions);
        query.push("))");
    }
    if !place.beyond.is_empty() {
        query.push(format!(" AND ({table}region {absent} OR {table}region NOT IN ("));
        listed(query, &place.beyond);
        query.push("))");
    }
    if let Some(zone) = &place.zone {
        query.push(format!(" AND ({table}zone {absent} OR {table}zone = ")).push_bind(zone.clone()).push(")");
    }
    if let Some(zone) = &place.replica_zone {
        query.push(format!(" AND {table}replica_zone = ")).push_bind(zone.clone());
    }
    if place.spans_zones {
        query.push(format!(" AND {table}replica_zone {present}"));
    }
}

fn listed(query: &mut QueryBuilder<Db>, values: &[String]) {
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value.clone());
    }
}

/// One of two columns contains a text.
pub(super) fn containing(query: &mut QueryBuilder<Db>, columns: [&str; 2], text: &str) {
    let [one, other] = columns;
    query.push(format!(" AND ({POSITION}({one}, ")).push_bind(text.to_owned());
    query.push(format!(") > 0 OR {POSITION}({other}, ")).push_bind(text.to_owned()).push(") > 0)");
}
