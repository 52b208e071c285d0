//! `keystow restore`: puts a backup into a server, after telling what that will do; or makes the files that a server
//! starts from.

mod describe;
mod files;

use std::io::IsTerminal;

use clap::{Args, ValueEnum};

use super::Context;
use super::input::FilterArgs;
use super::login::LoginArgs;
use super::output::confirm;
use super::wait::wait_for_job;
use crate::api::{JobRow, NewRestoreRequest, OutcomeRow, PlanRow, PrefixRow, RestoreStarted};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use describe::describe_plan;
pub(super) use describe::describe_restored;

const EXAMPLES: &str = "\
Examples:
  keystow restore 12 --to redis://10.2.0.12:6379 --dry-run
  keystow restore 12 --to redis://10.2.0.12:6379 --password-file pw
  keystow restore 12 --to prod-cache --wipe
  keystow restore 12 --to redis-cluster://10.2.0.31:6379,10.2.0.32:6379 --match 'user:*' --on-conflict replace
  keystow restore 12 --to staging --prefix user:=copy:user: --ttl shift
  keystow restore 12 --as files --to ./start

Nothing in the target changes before the plan was shown and, on a terminal, confirmed. Exit codes: 6 refused, 3 failed
after something was changed, 8 the target cannot be reached.";

/// Flags of `restore`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct RestoreArgs {
    /// The backup's id or number
    backup: String,
    /// Where to: a URL such as <redis://host:6379>, the id of an instance, or with --as files a folder
    #[arg(
        long,
        value_name = "URL|INSTANCE|DIR",
        help = "Where to: a server's URL, an instance's id, or with --as files a folder"
    )]
    to: String,
    /// How: by serving the backup as a primary, by commands, as files to start from, or what suits
    #[arg(long = "as", value_name = "METHOD", value_enum, default_value_t = As::Auto)]
    method: As,
    /// What a key that the target has already means
    #[arg(long, value_parser = ["fail", "replace", "skip"], default_value = "fail")]
    on_conflict: String,
    /// What becomes of expiries: they keep their moment, move by the backup's age, or go; or what has expired stays behind
    #[arg(long, value_parser = ["keep", "shift", "strip", "drop-expired"], default_value = "keep")]
    ttl: String,
    /// Throw away all that the target holds first
    #[arg(long)]
    wipe: bool,
    /// Also from a backup that is partial or quarantined
    #[arg(long)]
    accept_partial: bool,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Do not wait until it has ended
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// Keys that begin with FROM begin with TO instead
    #[arg(long, value_name = "FROM=TO", value_parser = parse_prefix, help_heading = "Keys")]
    prefix: Option<PrefixRow>,
    /// Leave the functions out
    #[arg(long, help_heading = "Keys")]
    without_functions: bool,
    #[command(flatten)]
    login: LoginArgs,
}

/// How a backup gets into a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum As {
    /// The fastest that target and choice allow
    Auto,
    /// The service serves the backup as a primary would, and the target follows
    Primary,
    /// By RESTORE commands
    Commands,
    /// As files that a server starts from
    Files,
}

/// Plans, asks, restores.
pub(super) async fn run(args: RestoreArgs, context: &Context) -> Result<(), Failure> {
    if args.method == As::Files {
        return files::run(args, context).await;
    }
    let (client, output) = (context.client()?, context.output);
    let (dry_run, yes, no_wait, wipe) = (args.dry_run, args.yes, args.no_wait, args.wipe);
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if wipe && !yes && !dry_run && !can_ask {
        return Err(Failure::usage("nobody can be asked whether the target may be wiped")
            .hint("say so with --yes, or look first with --dry-run"));
    }
    let mut request = args.into_request()?;
    request.dry_run = true;
    let planned: RestoreStarted = client.post(&["restores"], &request).await?;
    if dry_run {
        output.value(&planned, |planned| describe_plan(&planned.plan))?;
        return refusal(&planned.plan).map_or(Ok(()), Err);
    }
    if let Some(refusal) = refusal(&planned.plan) {
        return Err(refusal);
    }
    output.note(describe_plan(&planned.plan).trim_end());
    // As the service shows it: what was typed may hold a password.
    let target = planned.plan.target.url.clone();
    let question = match (wipe, planned.plan.target.keys) {
        (true, keys) if keys > 0 => format!("throw away {keys} keys at {target} and restore?"),
        _ => format!("restore into {target}?"),
    };
    confirm(&question, yes)?;
    request.dry_run = false;
    let started: RestoreStarted = client.post(&["restores"], &request).await?;
    let job = started.job.as_ref().map_or(0, |job| job.number);
    if no_wait {
        output.value(&started, |_| format!("job  {job}\n"))?;
        output.note(&format!("next: keystow job show {job}"));
        return Ok(());
    }
    finish(&client, started, job, &target, context).await
}

async fn finish(
    client: &Client,
    started: RestoreStarted,
    job: u64,
    target: &str,
    context: &Context,
) -> Result<(), Failure> {
    let output = context.output;
    let ended = wait_for_job(client, job, "the restore", target, output).await?;
    let done = RestoreStarted { plan: started.plan, job: Some(ended.clone()) };
    output.value(&done, |_| match &ended.outcome {
        Some(OutcomeRow::Restore(restored)) => describe_restored(restored),
        _ => String::new(),
    })?;
    judge(&ended)
}

/// Whether a restore that has ended did what was asked for.
fn judge(ended: &JobRow) -> Result<(), Failure> {
    if ended.state == "done" {
        return Ok(());
    }
    let mut failure = match &ended.failure {
        Some(note) => Failure::from(note.clone()),
        None => Failure::new(Exit::Failure, "CANCELLED", format!("the restore was {}", ended.state)),
    };
    if let Some(OutcomeRow::Restore(restored)) = &ended.outcome
        && restored.changed
    {
        failure.exit = Exit::Partial;
    }
    Err(failure)
}

/// Why a plan cannot be done: the first reason decides the exit code, all are told.
fn refusal(plan: &PlanRow) -> Option<Failure> {
    let first = plan.refusals.first()?;
    let mut failure = Failure::from(first.clone());
    if failure.exit == Exit::Failure {
        failure.exit = Exit::Conflict;
    }
    if plan.refusals.len() > 1 {
        let others: Vec<&str> = plan.refusals[1..].iter().map(|note| note.message.as_str()).collect();
        failure.cause = Some(format!("also: {}", others.join("; ")));
    }
    Some(failure)
}

impl RestoreArgs {
    fn into_request(self) -> Result<NewRestoreRequest, Failure> {
        let is_url = self.to.contains("://");
        if !is_url && !self.login.is_empty() {
            return Err(Failure::usage("an instance is reached with the login that is kept for it")
                .hint("leave user, password and certificates out, or give the target's URL"));
        }
        let login = self.login.read()?;
        Ok(NewRestoreRequest {
            backup: self.backup,
            to: is_url.then(|| self.to.clone()),
            instance: (!is_url).then_some(self.to),
            username: login.username,
            password: login.password,
            sentinel_username: login.sentinel_username,
            sentinel_password: login.sentinel_password,
            tls: login.tls,
            method: match self.method {
                As::Auto | As::Files => None,
                As::Primary => Some("primary".to_owned()),
                As::Commands => Some("commands".to_owned()),
            },
            on_conflict: Some(self.on_conflict),
            ttl: Some(self.ttl),
            types: self.filter.kinds.iter().map(|kind| kind.name().to_owned()).collect(),
            patterns: self.filter.names,
            databases: self.filter.databases,
            prefix: self.prefix,
            without_functions: self.without_functions,
            wipe: self.wipe,
            accept_partial: self.accept_partial,
            dry_run: self.dry_run,
        })
    }
}

/// Reads `FROM=TO`. The first sign of equality divides.
fn parse_prefix(text: &str) -> Result<PrefixRow, String> {
    let (from, to) = text.split_once('=').ok_or("write it as FROM=TO, such as user:=copy:user:")?;
    Ok(PrefixRow { from: from.to_owned(), to: to.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: &str, code: Option<&str>, changed: Option<bool>) -> JobRow {
        let outcome = changed.map(|changed| {
            serde_json::json!({ "restore": {
                "method": "commands", "changed": changed, "complete": false, "restored": 5, "skipped": 0, "left_out": 0,
                "with_expiry": 0, "expired": 0, "functions": 0, "keys_before": 0, "keys_after": 5, "took_ms": 1,
                "warnings": [],
            }})
        });
        serde_json::from_value(serde_json::json!({
            "number": 1, "kind": "restore", "state": state, "backup": "b", "instance": "i", "attempt": 1,
            "progress": { "phase": "restoring", "bytes": 0, "total_bytes": null, "keys": 0 },
            "cancel_requested": false, "created_at": "2026-11-21T19:02:03Z", "started_at": null, "ended_at": null,
            "failure": code.map(|code| serde_json::json!({ "code": code, "message": "m", "hint": null })),
            "outcome": outcome,
        }))
        .unwrap()
    }

    #[test]
    fn the_end_of_a_restore_decides_the_exit_code() {
        assert!(judge(&job("done", None, Some(true))).is_ok());
        for (state, code, changed, exit) in [
            ("failed", Some("RESTORE_CONFLICT"), None, Exit::Conflict),
            ("failed", Some("SOURCE_UNREACHABLE"), Some(false), Exit::Unreachable),
            ("failed", Some("TARGET_FULL"), Some(true), Exit::Partial),
            ("failed", Some("SOURCE_LOST"), Some(true), Exit::Partial),
            ("failed", Some("SOMETHING"), None, Exit::Failure),
            ("cancelled", None, Some(true), Exit::Partial),
            ("cancelled", None, None, Exit::Failure),
        ] {
            assert_eq!(
                judge(&job(state, code, changed)).unwrap_err().exit,
                exit,
                "{state} {code:?} {changed:?}"
            );
        }
    }

    #[test]
    fn a_prefix_is_divided_at_the_first_sign() {
        let parts = |text: &str| parse_prefix(text).map(|prefix| (prefix.from, prefix.to));
        assert_eq!(parts("user:=copy:user:"), Ok(("user:".to_owned(), "copy:user:".to_owned())));
        assert_eq!(parts("=x"), Ok((String::new(), "x".to_owned())));
        assert_eq!(parts("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(parts("a").is_err());
    }
}
