//! Which action a method and a path stand for.

use http::Method;

use crate::canonical::unescape;
use crate::vocabulary::{Fault, Request};

/// The vendor's service that an action belongs to: each writes its errors its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// DDS and `GeminiDB`, which share paths, ids and errors.
    Database,
    /// DCS, the plain managed Redis.
    Cache,
    /// IAM.
    Identity,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    ListApiVersion,
    ShowApiVersion,
    ListProjects,
    ListOwnProjects,
    ListDomains,
    IssueToken,
    IssueTemporaryKey,
    ShowDownloadLink,
    /// The same of RDS.
    ShowBackupFiles,
    ListBackups,
    /// The same of v3.1 and v4, which write times another way.
    ListBackupsNew,
    /// Of `GeminiDB`.
    CreateBack,
    /// Of DDS.
    CreateManualBackup,
    DeleteBackup,
    BatchDeleteBackup,
    StopBackup,
    ShowBackupPolicy,
    SetBackupPolicy,
    ListDownloadPolicy,
    SaveDownloadPolicy,
    UpdateDownloadPolicy,
    RestoreExistingInstance,
    RestoreInstance,
    CreateInstance,
    RestoreRedisData,
    RestoreRedisPitr,
    ShowRestorableList,
    ListRestoreTime,
    ListRestoreTimes,
    ListRedisPitrRestoreTime,
    ShowRedisPitrPolicy,
    SetRedisPitrPolicy,
    ShowRedisPitrInfo,
    ListInstances,
    ListJobs,
    CopyCacheInstance,
    ListCacheBackups,
    ListCacheBackupLinks,
    DeleteCacheBackup,
    RestoreCacheInstance,
    ListCacheRestores,
    ListCacheInstances,
    ShowCacheInstance,
    UpdateCacheInstance,
}

impl Action {
    /// The vendor's name, as its SDKs call the method.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ListApiVersion => "ListApiVersion",
            Self::ShowApiVersion => "ShowApiVersion",
            Self::ListProjects => "KeystoneListProjects",
            Self::ListOwnProjects => "KeystoneListAuthProjects",
            Self::ListDomains => "KeystoneListAuthDomains",
            Self::IssueToken => "KeystoneCreateUserTokenByPassword",
            Self::IssueTemporaryKey => "CreateTemporaryAccessKeyByToken",
            Self::ShowDownloadLink | Self::ShowBackupFiles => "ShowBackupDownloadLink",
            Self::ListBackups | Self::ListBackupsNew => "ListBackups",
            Self::CreateBack => "CreateBack",
            Self::CreateManualBackup => "CreateManualBackup",
            Self::DeleteBackup => "DeleteBackup",
            Self::BatchDeleteBackup => "BatchDeleteBackup",
            Self::StopBackup => "StopBackup",
            Self::ShowBackupPolicy => "ShowBackupPolicy",
            Self::SetBackupPolicy => "SetBackupPolicy",
            Self::ListDownloadPolicy => "ListBackupDownloadPolicy",
            Self::SaveDownloadPolicy => "SaveBackupDownloadPolicy",
            Self::UpdateDownloadPolicy => "UpdateBackupDownloadPolicy",
            Self::RestoreExistingInstance => "RestoreExistingInstance",
            Self::RestoreInstance | Self::RestoreCacheInstance => "RestoreInstance",
            Self::CreateInstance => "CreateInstance",
            Self::RestoreRedisData => "RestoreRedisData",
            Self::RestoreRedisPitr => "RestoreRedisPitr",
            Self::ShowRestorableList => "ShowRestorableList",
            Self::ListRestoreTime => "ListRestoreTime",
            Self::ListRestoreTimes => "ListRestoreTimes",
            Self::ListRedisPitrRestoreTime => "ListRedisPitrRestoreTime",
            Self::ShowRedisPitrPolicy => "ShowRedisPitrPolicy",
            Self::SetRedisPitrPolicy => "SetRedisPitrPolicy",
            Self::ShowRedisPitrInfo => "ShowRedisPitrInfo",
            Self::ListInstances | Self::ListCacheInstances => "ListInstances",
            Self::ListJobs => "ListJobs",
            Self::CopyCacheInstance => "CopyInstance",
            Self::ListCacheBackups => "ListBackupRecords",
            Self::ListCacheBackupLinks => "ListBackupFileLinks",
            Self::DeleteCacheBackup => "DeleteBackupFile",
            Self::ListCacheRestores => "ListRestoreRecords",
            Self::ShowCacheInstance => "ShowInstance",
            Self::UpdateCacheInstance => "UpdateInstance",
        }
    }

    /// Whether it removes backups.
    pub(super) fn deletes(self) -> bool {
        matches!(self, Self::DeleteBackup | Self::BatchDeleteBackup | Self::DeleteCacheBackup)
    }

    /// The service that it belongs to.
    pub(super) fn service(self) -> Service {
        match self {
            Self::ListProjects
            | Self::ListOwnProjects
            | Self::ListDomains
            | Self::IssueToken
            | Self::IssueTemporaryKey => Service::Identity,
            Self::CopyCacheInstance
            | Self::ListCacheBackups
            | Self::ListCacheBackupLinks
            | Self::DeleteCacheBackup
            | Self::RestoreCacheInstance
            | Self::ListCacheRestores
            | Self::ListCacheInstances
            | Self::ShowCacheInstance
            | Self::UpdateCacheInstance => Service::Cache,
            _ => Service::Database,
        }
    }
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// Every route; `{p}`, `{i}` and `{b}` stand for the ids of a project, an instance and a backup. Among
/// those that fit, the first counts: words stand before ids.
static TABLE: [(Method, &str, Action); 47] = [
    (GET, "/", Action::ListApiVersion),
    (GET, "/v3", Action::ShowApiVersion),
    (GET, "/v3/projects", Action::ListProjects),
    (GET, "/v3/auth/projects", Action::ListOwnProjects),
    (GET, "/v3/auth/domains", Action::ListDomains),
    (POST, "/v3/auth/tokens", Action::IssueToken),
    (POST, "/v3.0/OS-CREDENTIAL/securitytokens", Action::IssueTemporaryKey),
    (GET, "/v3/{p}/backups/download-file", Action::ShowDownloadLink),
    (GET, "/v3/{p}/backup-files", Action::ShowBackupFiles),
    (GET, "/v3/{p}/backups/download-policy", Action::ListDownloadPolicy),
    (POST, "/v3/{p}/backups/download-policy", Action::SaveDownloadPolicy),
    (PUT, "/v3/{p}/backups/download-policy", Action::UpdateDownloadPolicy),
    (GET, "/v3/{p}/backups", Action::ListBackups),
    (GET, "/v3.1/{p}/backups", Action::ListBackupsNew),
    (GET, "/v4/{p}/backups", Action::ListBackupsNew),
    (POST, "/v3/{p}/backups", Action::CreateManualBackup),
    (POST, "/v3/{p}/instances/{i}/backups", Action::CreateBack),
    (DELETE, "/v3/{p}/backups/{b}", Action::DeleteBackup),
    (DELETE, "/v3/{p}/instances/backups", Action::BatchDeleteBackup),
    (PUT, "/v3/{p}/backups/{b}", Action::StopBackup),
    (GET, "/v3/{p}/backups/{b}/restorable-instances", Action::ShowRestorableList),
    (GET, "/v3/{p}/instances/{i}/backups/policy", Action::ShowBackupPolicy),
    (GET, "/v3.1/{p}/instances/{i}/backups/policy", Action::ShowBackupPolicy),
    (PUT, "/v3/{p}/instances/{i}/backups/policy", Action::SetBackupPolicy),
    (PUT, "/v3.1/{p}/instances/{i}/backups/policy", Action::SetBackupPolicy),
    (POST, "/v3/{p}/instances/recovery", Action::RestoreInstance),
    (POST, "/v3/{p}/instances/{i}/recovery", Action::RestoreExistingInstance),
    (POST, "/v3/{p}/instances", Action::CreateInstance),
    (POST, "/v3/{p}/redis/instances/{i}/recovery", Action::RestoreRedisData),
    (PUT, "/v3/{p}/redis/instances/{i}/pitr", Action::RestoreRedisPitr),
    (GET, "/v3/{p}/redis/instances/{i}/pitr", Action::ShowRedisPitrInfo),
    (GET, "/v3/{p}/redis/instances/{i}/pitr/restorable-time-periods", Action::ListRedisPitrRestoreTime),
    (GET, "/v3/{p}/redis/instances/{i}/pitr/policy", Action::ShowRedisPitrPolicy),
    (PUT, "/v3/{p}/redis/instances/{i}/pitr/policy", Action::SetRedisPitrPolicy),
    (GET, "/v3/{p}/instances/{i}/backups/restorable-time-periods", Action::ListRestoreTime),
    (GET, "/v3/{p}/instances/{i}/restore-time", Action::ListRestoreTimes),
    (GET, "/v3/{p}/instances", Action::ListInstances),
    (GET, "/v3/{p}/jobs", Action::ListJobs),
    (POST, "/v2/{p}/instances/{i}/backups", Action::CopyCacheInstance),
    (GET, "/v2/{p}/instances/{i}/backups", Action::ListCacheBackups),
    (POST, "/v2/{p}/instances/{i}/backups/{b}/links", Action::ListCacheBackupLinks),
    (DELETE, "/v2/{p}/instances/{i}/backups/{b}", Action::DeleteCacheBackup),
    (POST, "/v2/{p}/instances/{i}/restores", Action::RestoreCacheInstance),
    (GET, "/v2/{p}/instances/{i}/restores", Action::ListCacheRestores),
    (GET, "/v2/{p}/instances", Action::ListCacheInstances),
    (GET, "/v2/{p}/instances/{i}", Action::ShowCacheInstance),
    (PUT, "/v2/{p}/instances/{i}", Action::UpdateCacheInstance),
];

/// An action and the ids in its path; an id that the path does not have is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) action: Action,
    pub(super) project: String,
    pub(super) instance: String,
    pub(super) backup: String,
}

impl Route {
    /// The route of a request.
    pub(super) fn of(request: &Request) -> Result<Self, Fault> {
        let mut segments = segments(request.uri().path())?;
        // The signature does not tell a path from the same one with a slash at its end.
        if segments.len() > 2 && segments.last().is_some_and(String::is_empty) {
            segments.pop();
        }
        let mut fitting = TABLE.iter().filter(|(method, ..)| method == request.method());
        fitting.find_map(|(_, pattern, action)| fit(*action, pattern, &segments)).ok_or_else(|| {
            let path: String = request.uri().path().chars().take(200).collect();
            Fault::UnknownAction(format!("{} {path}", request.method()))
        })
    }
}

fn fit(action: Action, pattern: &str, segments: &[String]) -> Option<Route> {
    let mut route = Route { action, project: String::new(), instance: String::new(), backup: String::new() };
    let mut wanted = pattern.split('/');
    for segment in segments {
        let slot = match wanted.next()? {
            "{p}" => &mut route.project,
            "{i}" => &mut route.instance,
            "{b}" => &mut route.backup,
            word if word == segment => continue,
            _ => return None,
        };
        if segment.is_empty() {
            return None;
        }
        slot.clone_from(segment);
    }
    wanted.next().is_none().then_some(route)
}

/// The parts of a path, decoded. A part that holds a slash or a percent sign is refused: the vendor's
/// signature does not tell `a%2Fb` from `a/b`, and some clients escape a path twice before they sign it.
pub(super) fn segments(path: &str) -> Result<Vec<String>, Fault> {
    let decoded = path.split('/').map(|part| unescape(part.as_bytes()));
    let good = decoded.map(|part| part.filter(|part| !part.contains(['/', '%'])));
    good.collect::<Option<_>>().ok_or_else(|| Fault::MalformedRequest("the path is badly encoded".to_owned()))
}
