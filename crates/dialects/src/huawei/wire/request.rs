//! Which call each action is, and the client's half of it.

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::parameters::{bad, missing};
use super::{backups, dcs, iam, instances, jobs, links, policy, restore};
use crate::canonical::{header, percent_encode};
use crate::huawei::route::{Action, Route};
use crate::huawei::{sign, token};
use crate::vocabulary::{Call, Endpoint, Fault, Place, Request};

/// What an SDK that was told no project id sends in its place.
pub(in crate::huawei) const PLACEHOLDER: &str = "{project_id}";
/// First labels of the vendor's host names, `<service>.<region>.…`.
const SERVICES: [&str; 5] = ["dds", "gaussdb-nosql", "dcs", "rds", "iam"];

/// A request on its way to be a call.
pub(super) struct Asked<'a> {
    pub(super) request: &'a Request,
    pub(super) route: Route,
    pub(super) place: Place,
}

/// Reads what is asked for.
pub(in crate::huawei) fn decode(request: &Request, route: Route) -> Result<Call, Fault> {
    let project = (!route.project.is_empty()).then(|| route.project.clone());
    if let Some(project) = &project {
        // SDKs sign this header; whoever changed the path did not change it.
        let other = header(request, "x-project-id")?.is_some_and(|named| named != project);
        if other || project == PLACEHOLDER {
            return Err(Fault::NoSuchProject(project.clone()));
        }
    }
    let place = Place { project, ..Place::in_region(region(sign::host(request))) };
    let asked = Asked { request, route, place };
    let action = asked.route.action;
    match action {
        Action::ListProjects => iam::projects(&asked),
        Action::ListOwnProjects => iam::own_projects(&asked),
        Action::ListDomains => iam::domains(&asked),
        Action::IssueToken => Ok(Call::IssueToken(token::Login::read(request)?.asked)),
        Action::ShowDownloadLink => links::of_instance(&asked),
        Action::ShowBackupFiles => links::of_backup(&asked),
        Action::ListBackups | Action::ListBackupsNew => backups::list(&asked),
        Action::CreateBack => backups::create(&asked),
        Action::CreateManualBackup => backups::create_manual(&asked),
        Action::DeleteBackup => Ok(backups::delete(&asked)),
        Action::BatchDeleteBackup => backups::delete_several(&asked),
        Action::StopBackup => backups::stop(&asked),
        Action::ShowBackupPolicy => policy::show(&asked),
        Action::SetBackupPolicy => policy::set(&asked),
        Action::ListDownloadPolicy => policy::show_download(&asked),
        Action::SaveDownloadPolicy | Action::UpdateDownloadPolicy => policy::set_download(&asked),
        Action::RestoreExistingInstance => restore::existing(&asked),
        Action::RestoreInstance => restore::original(&asked),
        Action::ListRestoreTime => restore::periods(&asked),
        Action::ListRestoreTimes => restore::times_of_day(&asked),
        Action::ListInstances => instances::list(&asked),
        Action::ListJobs => jobs::list(&asked),
        Action::CopyCacheInstance => dcs::create(&asked),
        Action::ListCacheBackups => dcs::backups(&asked),
        Action::ListCacheBackupLinks => dcs::links(&asked),
        Action::DeleteCacheBackup => Ok(dcs::delete(&asked)),
        Action::RestoreCacheInstance => dcs::restore(&asked),
        Action::ListCacheRestores => dcs::restores(&asked),
        Action::ListCacheInstances => dcs::instances(&asked),
        Action::ShowCacheInstance => dcs::instance(&asked),
        Action::UpdateCacheInstance => dcs::update(&asked),
        // The first two are answered before; the others are not done here.
        Action::ListApiVersion
        | Action::ShowApiVersion
        | Action::IssueTemporaryKey
        | Action::CreateInstance
        | Action::RestoreRedisData
        | Action::RestoreRedisPitr
        | Action::ShowRestorableList
        | Action::ListRedisPitrRestoreTime
        | Action::ShowRedisPitrPolicy
        | Action::SetRedisPitrPolicy
        | Action::ShowRedisPitrInfo => Err(Fault::NotSupported(action.name().to_owned())),
    }
}

/// The region of a host name such as `dds.cn-north-4.myhuaweicloud.com`. No other part of a request
/// names one.
fn region(host: &str) -> Option<String> {
    let mut labels = host.split('.');
    let (service, region) = (labels.next()?, labels.next()?);
    let mut parts = region.split('-');
    let (area, direction, number) = (parts.next()?, parts.next()?, parts.next()?);
    let letters = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let shaped = area.len() == 2 && letters(area) && letters(direction) && digits && parts.next().is_none();
    (SERVICES.contains(&service) && shaped && labels.next().is_some()).then(|| region.to_owned())
}

/// A call as the vendor takes it, not yet signed.
pub(in crate::huawei) struct Unsigned {
    pub(in crate::huawei) request: Request,
    pub(in crate::huawei) project: String,
}

/// What of a call goes where. The path stands behind the project's id.
pub(super) struct Writing {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

impl Writing {
    pub(super) fn get(path: &str, query: Vec<(&'static str, String)>) -> Self {
        Self { method: Method::GET, path: path.to_owned(), query, body: None }
    }
}

/// Writes a call.
pub(in crate::huawei) fn ask(call: &Call, endpoint: &Endpoint) -> Result<Unsigned, Fault> {
    let (place, writing) = match call {
        Call::ListInstances(list) => (&list.place, instances::ask(list)?),
        Call::ListBackups(list) => (&list.place, backups::ask_list(list)?),
        Call::CreateBackup(create) => (&create.place, backups::ask_create(create)?),
        Call::DeleteBackups(delete) => (&delete.place, backups::ask_delete(delete)?),
        Call::LinkBackup(link) => (&link.place, links::ask(link)?),
        Call::ListJobs(list) => (&list.place, jobs::ask(list)?),
        Call::ListShards(_)
        | Call::ListRegions
        | Call::ListProjects(_)
        | Call::ShowAccount
        | Call::StopBackup(_)
        | Call::SetExpiry(_)
        | Call::ExportBackup(_)
        | Call::ShowPolicy(_)
        | Call::SetPolicy(_)
        | Call::Restore(_)
        | Call::ShowRestriction(_)
        | Call::SetRestriction(_)
        | Call::IssueToken(_) => return Err(Fault::NotSupported("this call".to_owned())),
    };
    let project = project(place, endpoint)?;
    let Writing { method, path, query, body } = writing;
    let pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
    let mark = if pairs.is_empty() { "" } else { "?" };
    let target = format!(
        "{}://{}/v3/{}{path}{mark}{}",
        endpoint.scheme,
        endpoint.authority,
        in_path("project_id", project)?,
        pairs.join("&")
    );
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let request = http::Request::builder().method(method).uri(target).body(body);
    let request = request.map_err(|_| bad("endpoint", "not fit for a request"))?;
    Ok(Unsigned { request, project: project.to_owned() })
}

/// The project of a call. The region is in the endpoint's host name, and nothing tells a zone.
fn project<'a>(place: &'a Place, endpoint: &Endpoint) -> Result<&'a str, Fault> {
    if place.region.as_ref().is_some_and(|region| *region != endpoint.region) {
        return Err(bad("region", "is chosen by the endpoint at this vendor"));
    }
    if place.zone.is_some() || place.replica_zone.is_some() || place.spans_zones {
        return Err(bad("zone", "this vendor cannot ask by it"));
    }
    place.project.as_deref().ok_or_else(|| missing("project_id"))
}

/// An id as a part of a path.
pub(super) fn in_path(name: &str, id: &str) -> Result<String, Fault> {
    if id.is_empty() || id.contains(['/', '%']) {
        return Err(bad(name, "not fit for a request"));
    }
    Ok(percent_encode(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_vendors_host_names_tell_a_region() {
        assert_eq!(region("dds.cn-north-4.myhuaweicloud.com").as_deref(), Some("cn-north-4"));
        assert_eq!(
            region("gaussdb-nosql.ap-southeast-1.keystow.test:8443").as_deref(),
            Some("ap-southeast-1")
        );
        for host in [
            "",
            "127.0.0.1:7360",
            "dcs.keystow.test",
            "dcs.cn-north-4",
            "dcs.backup-host-1.test",
            "files.cn-north-4.keystow.test",
            "[::1]:80",
        ] {
            assert_eq!(region(host), None, "{host}");
        }
    }
}
