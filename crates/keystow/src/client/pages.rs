//! Lists come in pages; the command line reads them through.

use std::collections::HashSet;

use serde::de::DeserializeOwned;

use super::Client;
use crate::api::{
    AccessList, AccessRow, AuditList, AuditRow, BackupList, BackupRow, InstanceList, InstanceRow, JobList,
    JobRow, LinkList, RememberedLinkRow, WebhookDeliveryList, WebhookDeliveryRow,
};
use crate::failure::Failure;

/// The most rows that the server gives at once.
const PAGE: usize = 1000;

/// One page of a list.
pub(crate) trait ListPage: DeserializeOwned {
    /// What is listed.
    type Row;
    /// All matches.
    fn total(&self) -> u64;
    /// The page's rows.
    fn into_rows(self) -> Vec<Self::Row>;
    /// What tells a row from the others.
    fn key(row: &Self::Row) -> String;
}

macro_rules! list_page {
    ($page:ty, $row:ty, $rows:ident, $key:ident) => {
        impl ListPage for $page {
            type Row = $row;

            fn total(&self) -> u64 {
                self.total
            }

            fn into_rows(self) -> Vec<Self::Row> {
                self.$rows
            }

            fn key(row: &Self::Row) -> String {
                row.$key.to_string()
            }
        }
    };
}

list_page!(InstanceList, InstanceRow, instances, id);
list_page!(BackupList, BackupRow, backups, id);
list_page!(LinkList, RememberedLinkRow, links, id);
list_page!(JobList, JobRow, jobs, number);
list_page!(AuditList, AuditRow, entries, sequence);
list_page!(AccessList, AccessRow, records, number);
list_page!(WebhookDeliveryList, WebhookDeliveryRow, deliveries, id);

impl Client {
    /// Reads a whole list, or its first `limit` rows.
    pub(crate) async fn list<P: ListPage>(
        &self,
        path: &[&str],
        filter: &[(&str, String)],
        limit: Option<usize>,
    ) -> Result<Vec<P::Row>, Failure> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut rows = Vec::new();
        // A row made while the pages are read pushes others onto the next page, where they come again.
        let mut seen = HashSet::new();
        let mut offset = 0;
        while rows.len() < limit {
            let mut parameters = filter.to_vec();
            parameters.push(("offset", offset.to_string()));
            parameters.push(("limit", PAGE.min(limit - rows.len()).to_string()));
            let page: P = self.query(path, &parameters).await?;
            let total = page.total();
            let got = page.into_rows();
            offset += got.len();
            if got.is_empty() {
                break;
            }
            rows.extend(got.into_iter().filter(|row| seen.insert(P::key(row))));
            if offset as u64 >= total {
                break;
            }
        }
        rows.truncate(limit);
        Ok(rows)
    }
}
