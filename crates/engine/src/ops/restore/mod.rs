//! Restores a backup into a server: first a plan, then a job.

mod as_primary;
mod attempt;
mod by_commands;
mod conflicts;
mod modules;
mod plan;
mod pour;
mod survey;
mod wanted;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::json;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use self::attempt::Attempt;
use self::plan::{Planning, refused};
use self::survey::{Reach, survey};
use super::audit::{Deed, shown_url};
use super::login::LoginSecrets;
use super::{Engine, Meter};
use crate::access::{Principal, Scope};
use crate::error::{Error, Kind, Result};
use crate::model::{
    Backup, BackupRef, Failure, InstanceId, Job, JobFilter, JobKind, JobState, KeyChoice, OnConflict, Order,
    Outcome, Page, RestoreMethod, RestoreOrder, RestoreOutcome, RestorePlan, Right, Secret, TtlPolicy,
};
use crate::redis::{Address, Login, RESTORE_RULE};

/// A backup up to this size is read for its plan, where only reading tells whether the target can hold it.
const READ_FOR_PLAN_BYTES: u64 = 64 * 1024 * 1024;

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
#[derive(Debug, Clone, Default)]
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

/// A request with all that it names looked up.
struct Resolved {
    backup: Backup,
    order: RestoreOrder,
    reach: Reach,
}

impl Engine {
    /// What a restore would do. Looks at the target, changes nothing.
    pub async fn plan_restore(&self, who: &Principal, wanted: &RestoreRequest) -> Result<RestorePlan> {
        let resolved = self.resolve(&who.with(Right::Operate)?, wanted).await?;
        self.plan(Arc::new(resolved)).await.map(|(plan, _)| plan)
    }

    /// Plans a restore and adds the job that does it. What the plan refuses is an error here.
    pub async fn request_restore(
        &self,
        who: &Principal,
        wanted: RestoreRequest,
    ) -> Result<(RestorePlan, Job)> {
        let target = match &wanted.target {
            Target::Instance(id) => json!({"instance": id}),
            Target::Server(login) => json!({"url": shown_url(&login.url), "user": login.username}),
        };
        let deed = Deed::new(Right::Operate, "restore.create", "backup", wanted.backup).with(json!({
            "target": target,
            "method": wanted.method,
            "on_conflict": wanted.on_conflict,
            "ttl": wanted.ttl,
            "choice": wanted.choice,
            "wipe": wanted.wipe,
            "accept_partial": wanted.accept_partial,
        }));
        self.audited(who, deed, self.add_restore(who, wanted)).await
    }

    async fn add_restore(&self, who: &Principal, wanted: RestoreRequest) -> Result<(RestorePlan, Job)> {
        let scope = who.with(Right::Operate)?;
        let resolved = Arc::new(self.resolve(&scope, &wanted).await?);
        let (plan, target) = self.plan(resolved.clone()).await?;
        if let Some(error) = refused(&plan) {
            return Err(error);
        }
        self.refuse_second(&scope, &resolved.order.url).await?;
        let order = Order::Restore(Box::new(resolved.order.clone()));
        let job = self.request_job(&resolved.backup, JobKind::Restore, Some(order), Some(target)).await?;
        Ok((plan, job))
    }

    /// Does one attempt of a restore job.
    pub(crate) async fn restore(
        &self,
        job: &Job,
        meter: &Arc<Meter>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let attempt = self.attempt(job, meter, cancel).await?;
        let started = self.clock.now();
        let work = tokio::task::spawn_blocking(move || {
            let mut outcome = attempt.earlier();
            let result = attempt.run(&mut outcome);
            (outcome, result)
        });
        let (mut outcome, result) =
            work.await.map_err(|error| Error::internal("the restore stopped", error))?;
        let took_ms = self.clock.now().duration_since(started).as_millis();
        outcome.took_ms += u64::try_from(took_ms).unwrap_or(0);
        outcome.complete = result.is_ok();
        let recorded = self.catalog.record_outcome(&job.lease(), &Outcome::Restore(outcome.clone())).await;
        result.map_err(|error| with_count(error, &outcome))?;
        recorded?;
        self.catalog.finish_job(&job.lease(), self.clock.now()).await
    }

    /// Gives up a restore whose worker died in the middle: the target is let go, and gets its settings back.
    pub(crate) async fn abandon_restore(&self, job: &Job) -> Result<()> {
        let attempt = self.attempt(job, &Arc::default(), &CancellationToken::new()).await?;
        let tidied = tokio::task::spawn_blocking(move || {
            let mut outcome = attempt.earlier();
            let result = if outcome.changed { attempt.tidy_up(&mut outcome).map(|_| ()) } else { Ok(()) };
            (outcome, result)
        });
        let (outcome, result) =
            tidied.await.map_err(|error| Error::internal("giving a restore up stopped", error))?;
        self.catalog.record_outcome(&job.lease(), &Outcome::Restore(outcome)).await?;
        result
    }

    async fn attempt(&self, job: &Job, meter: &Arc<Meter>, cancel: &CancellationToken) -> Result<Attempt> {
        let Some(Order::Restore(order)) = &job.order else {
            return Err(Error::internal("a job says not where to restore to", job.number));
        };
        let backup = self.backup_of(job).await?;
        let reach = self.reach(&backup, order).await?;
        Ok(Attempt {
            store: self.parts.clone(),
            catalog: self.catalog.clone(),
            runtime: Handle::current(),
            job: job.clone(),
            backup,
            order: (**order).clone(),
            reach,
            advertise: self.settings.advertise.clone(),
            meter: meter.clone(),
            cancel: cancel.clone(),
            wrote: AtomicBool::new(false),
        })
    }

    /// Looks up what a request names, and seals its secrets.
    async fn resolve(&self, scope: &Scope, wanted: &RestoreRequest) -> Result<Resolved> {
        wanted::check(&wanted.choice)?;
        let backup = self.visible_backup(scope, wanted.backup).await?;
        self.parts.check_readable(&backup.parts).await?;
        let mut order = RestoreOrder {
            url: String::new(),
            instance: None,
            username: None,
            sealed_secrets: None,
            method: wanted.method,
            on_conflict: wanted.on_conflict,
            ttl: wanted.ttl,
            choice: wanted.choice.clone(),
            wipe: wanted.wipe,
            accept_partial: wanted.accept_partial,
        };
        match &wanted.target {
            Target::Instance(id) => {
                let instance = self.visible_instance(scope, id).await?;
                order.url.clone_from(&instance.url);
                order.instance = Some(id.clone());
            }
            Target::Server(login) => {
                let (address, username, secrets) = (**login).clone().read()?;
                order.url = address.to_string();
                order.username = username;
                order.sealed_secrets = secrets.seal(&self.sealer, &secrets_place(&backup))?;
            }
        }
        let reach = self.reach(&backup, &order).await?;
        Ok(Resolved { backup, order, reach })
    }

    /// How to reach the target of an order.
    async fn reach(&self, backup: &Backup, order: &RestoreOrder) -> Result<Reach> {
        let (address, login): (Address, Login) = if let Some(id) = &order.instance {
            let found = self.catalog.instance(&backup.account, id).await?;
            let instance = found.ok_or_else(|| {
                Error::new(Kind::NotFound, "INSTANCE_GONE", format!("the instance {id} was deleted"))
            })?;
            // The plan was made for another server, and nobody has agreed to change this one.
            if instance.url != order.url {
                let message =
                    format!("the instance {id} was at {} and is at {} now", order.url, instance.url);
                return Err(Error::new(Kind::Conflict, "RESTORE_TARGET_MOVED", message)
                    .hint("ask for the restore again, if it is to go there"));
            }
            (instance.url.parse()?, self.login_of(&instance)?)
        } else {
            let place = secrets_place(backup);
            let secrets = LoginSecrets::open(&self.sealer, &place, order.sealed_secrets.as_deref())?;
            (order.url.parse()?, secrets.into_login(order.username.clone()))
        };
        Ok(Reach { address, login, timeouts: self.settings.timeouts })
    }

    /// The plan, and what tells its target from every other one.
    async fn plan(&self, resolved: Arc<Resolved>) -> Result<(RestorePlan, String)> {
        let attempt_parts = (self.parts.clone(), Handle::current(), self.clock.now());
        let planning = tokio::task::spawn_blocking(move || {
            let Resolved { backup, order, reach } = &*resolved;
            let cancel = CancellationToken::new();
            let survey = survey(reach, &cancel)?;
            let planning =
                Planning { backup, order, address: &reach.address, survey: &survey, goes_on: false };
            let mut plan = planning.plan();
            let readable = plan.refusals.is_empty() && backup.size_bytes() <= READ_FOR_PLAN_BYTES;
            if readable && planning.needs_trial(plan.method) {
                let (store, runtime, now) = attempt_parts;
                let parts =
                    wanted::Parts { store: &store, runtime: &runtime, backup, order, now, cancel: &cancel };
                if let Err(error) = parts.try_all(plan.method, survey.format(), &cancel) {
                    plan.refusals.push(Failure::from(&error));
                }
            }
            Ok((plan, survey.identity().unwrap_or_else(|| order.url.clone())))
        });
        planning.await.unwrap_or_else(|error| Err(Error::internal("planning stopped", error)))
    }

    /// Two restores into one target would undo each other. The catalog refuses a second one too; here it is refused
    /// by its address, so that it is also found where the target was started anew since, and says so more plainly.
    async fn refuse_second(&self, scope: &Scope, url: &str) -> Result<()> {
        let filter = JobFilter {
            kinds: vec![JobKind::Restore],
            states: vec![JobState::Queued, JobState::Running],
            page: Page::default(),
            ..JobFilter::default()
        };
        let jobs = self.catalog.jobs(&scope.account, &filter).await?;
        let same = jobs
            .rows
            .iter()
            .find(|listed| matches!(&listed.job.order, Some(Order::Restore(order)) if order.url == url));
        match same {
            None => Ok(()),
            Some(listed) => Err(Error::new(
                Kind::Conflict,
                "CONFLICT",
                format!("the job {} restores to {url} already", listed.job.number),
            )
            .hint("wait for it, or cancel it with: keystow job cancel")),
        }
    }
}

/// Where the secrets of a target are sealed for.
fn secrets_place(backup: &Backup) -> String {
    format!("restore/{}/{}", backup.account, backup.id)
}

/// Says how much is in the target after a failure.
fn with_count(mut error: Error, outcome: &RestoreOutcome) -> Error {
    if outcome.changed && outcome.method == RestoreMethod::Commands && error.kind != Kind::Cancelled {
        let count = format!("{} keys are in the target", outcome.restored);
        error.cause = Some(match error.cause {
            Some(cause) => format!("{cause}; {count}"),
            None => count,
        });
        if error.hint.is_none() {
            error.hint = Some("restore again with --on-conflict replace".into());
        }
    }
    error
}

/// The same error, of a target instead of a source.
pub(super) fn at_target(error: Error) -> Error {
    let code = match error.code {
        "SOURCE_UNREACHABLE" => "TARGET_UNREACHABLE",
        "SOURCE_SILENT" => "TARGET_SILENT",
        "SOURCE_LOST" | "SOURCE_CLOSED" => "TARGET_LOST",
        "SOURCE_NOT_REDIS" => "TARGET_NOT_REDIS",
        "SOURCE_TLS" => "TARGET_TLS",
        "SOURCE_AUTH" => "TARGET_AUTH",
        "SOURCE_DENIED" | "SOURCE_NO_PSYNC" => "TARGET_DENIED",
        "SOURCE_LOADING" | "SOURCE_BUSY" | "SOURCE_REPLICA_STALE" => "TARGET_BUSY",
        "SOURCE_REFUSED" => "TARGET_REFUSED",
        _ => return error,
    };
    let hint = match code {
        "TARGET_AUTH" => Some("give user and password with the URL or with --password-file".into()),
        "TARGET_DENIED" => Some(RESTORE_RULE.into()),
        "TARGET_BUSY" => Some("look at the target's state, then try again".into()),
        _ => error.hint,
    };
    Error { code, hint, ..error }
}
