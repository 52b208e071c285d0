//! Restores a backup into a server: first a plan, then a job.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Engine, Meter};
use crate::access::Principal;
use crate::error::{Error, Result};
use crate::model::{
    BackupRef, InstanceId, Job, KeyChoice, OnConflict, RestoreMethod, RestorePlan, Secret, TtlPolicy,
};

/// A restore that somebody asks for.
#[derive(Debug)]
pub struct RestoreRequest {
    /// The backup.
    pub backup: BackupRef,
    /// Where to.
    pub target: Target,
    /// How.
    pub method: RestoreMethod,
    /// What a key that the target has already means.
    pub on_conflict: OnConflict,
    /// What becomes of expiries.
    pub ttl: TtlPolicy,
    /// Which keys.
    pub choice: KeyChoice,
    /// Whether all that the target holds may be thrown away first.
    pub wipe: bool,
    /// Whether a backup that is not `available` may be used.
    pub accept_partial: bool,
}

/// Where a restore goes to.
#[derive(Debug)]
pub enum Target {
    /// A registered instance of the caller's account, reached as its backups are.
    Instance(InstanceId),
    /// Any server.
    Server(Box<NewLogin>),
}

/// How to reach a server that is not registered, or is about to be.
#[derive(Debug, Default)]
pub struct NewLogin {
    /// Where it is; may carry user and password.
    pub url: String,
    /// User, if the URL does not carry it.
    pub username: Option<String>,
    /// Password, if the URL does not carry it.
    pub password: Option<Secret>,
    /// Sentinel's own user.
    pub sentinel_username: Option<String>,
    /// Sentinel's own password.
    pub sentinel_password: Option<Secret>,
    /// Certificates of the authorities to trust, PEM; the usual ones if absent.
    pub tls_ca: Option<String>,
    /// Client certificate with its chain, PEM.
    pub tls_certificate: Option<String>,
    /// Its key, PEM.
    pub tls_key: Option<Secret>,
    /// The name that the server's certificate must bear, if it is not the host's.
    pub tls_server_name: Option<String>,
}

impl Engine {
    /// What a restore would do. Looks at the target, changes nothing.
    pub async fn plan_restore(&self, _who: &Principal, _wanted: &RestoreRequest) -> Result<RestorePlan> {
        Err(Error::invalid("restores are not built yet"))
    }

    /// Plans a restore and adds the job that does it. What the plan refuses is an error here.
    pub async fn request_restore(
        &self,
        _who: &Principal,
        _wanted: RestoreRequest,
    ) -> Result<(RestorePlan, Job)> {
        Err(Error::invalid("restores are not built yet"))
    }

    /// Does one attempt of a restore job.
    pub(crate) async fn restore(
        &self,
        _job: &Job,
        _meter: &Arc<Meter>,
        _cancel: &CancellationToken,
    ) -> Result<()> {
        Err(Error::invalid("restores are not built yet"))
    }
}
