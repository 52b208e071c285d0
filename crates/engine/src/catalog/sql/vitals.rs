//! How things stand, for whoever watches.

use sqlx::QueryBuilder;

use super::{Store, backup_copies, failed, rows};
use crate::error::Result;
use crate::model::{AccountId, CatalogVitals, ProjectId};

/// The newest available backup of each instance comes from the index by time, however many there are.
const INSTANCES: &str = "SELECT i.account, i.id, i.created_at, b.created_at AS good_at, \
     (SELECT CAST(SUM(p.size) AS BIGINT) FROM part p WHERE p.backup = b.id) AS good_bytes \
     FROM instance i LEFT JOIN backup b ON b.id = (SELECT c.id FROM backup c WHERE c.account = i.account \
     AND c.instance = i.id AND c.state = 'available' ORDER BY c.created_at DESC LIMIT 1) WHERE 1 = 1";

pub(super) async fn all(
    catalog: &Store,
    account: Option<&AccountId>,
    project: Option<&ProjectId>,
) -> Result<CatalogVitals> {
    let mut query = QueryBuilder::new(INSTANCES);
    if let Some(account) = account {
        query.push(" AND i.account = ").push_bind(account.as_str().to_owned());
    }
    if let Some(project) = project {
        query.push(" AND i.project = ").push_bind(project.as_str().to_owned());
    }
    query.push(" ORDER BY i.account, i.id");
    let instances = query.build().fetch_all(&catalog.reader).await.map_err(|error| failed(&error))?;
    let mut query = QueryBuilder::new(
        "SELECT j.kind, j.state, COUNT(*) AS jobs FROM job j WHERE j.state IN ('queued', 'running')",
    );
    if let Some(account) = account {
        query.push(" AND j.account = ").push_bind(account.as_str().to_owned());
    }
    if let Some(project) = project {
        query.push(" AND EXISTS (SELECT 1 FROM backup b WHERE b.id = j.backup AND b.project = ");
        query.push_bind(project.as_str().to_owned()).push(")");
    }
    query.push(" GROUP BY j.kind, j.state ORDER BY j.kind, j.state");
    let jobs = query.build().fetch_all(&catalog.reader).await.map_err(|error| failed(&error))?;
    Ok(CatalogVitals {
        instances: instances.iter().map(rows::vitals).collect::<Result<_>>()?,
        jobs: jobs.iter().map(rows::job_count).collect::<Result<_>>()?,
        copies: backup_copies::counts(catalog, account, project).await?,
    })
}
