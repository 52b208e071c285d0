//! `keystow instance`: the servers that are backed up.

mod describe;

use clap::{Args, Subcommand};

use super::Context;
use super::login::LoginArgs;
use super::output::{confirm, moment};
use crate::api::{
    CaptureRequest, InstanceChangeRequest, InstanceList, InstanceRow, InstanceTestRow, NewInstanceRequest,
    TlsRequest,
};
use crate::failure::Failure;
use describe::{describe, describe_test, tabulate};

const URL_HELP: &str = "redis://[user:password@]host:port, redis-sentinel://host:port,…/service, \
    redis-cluster://host:port,…, each also as rediss… with TLS, or unix:///path";

const ADD_EXAMPLES: &str = "\
Examples:
  keystow instance add redis://10.2.0.11:6379 --id prod-cache --password-file pw
  keystow instance add rediss://cache.internal:6379 --tls-ca ca.pem --tls-cert client.pem --tls-key client.key
  keystow instance add redis-sentinel://10.2.0.21:26379,10.2.0.22:26379/main --id sessions --user backup --password-file pw
  keystow instance add redis-cluster://10.2.0.31:6379,10.2.0.32:6379 --parallel 2 --limit-rate 50M";

const SET_EXAMPLES: &str = "\
Examples:
  keystow instance set prod-cache --password-file new-pw     after the server got a new password
  keystow instance set prod-cache --url redis://10.2.0.12:6379 --password-file pw
  keystow instance set prod-cache --limit-rate 0 --prefer primary
  keystow instance set prod-cache --forget user,password

A new address or login is tried before it is kept.";

/// Verbs of `instance`.
#[derive(Debug, Subcommand)]
pub(crate) enum InstanceCommand {
    /// Add a server, or a set of servers, to back up
    #[command(after_help = ADD_EXAMPLES)]
    Add(Box<AddArgs>),
    /// Change where an instance is, how to sign in there and how it is captured
    #[command(after_help = SET_EXAMPLES)]
    Set(Box<SetArgs>),
    /// List the instances
    #[command(alias = "ls")]
    List(ListArgs),
    /// Show one instance
    #[command(
        after_help = "Examples:\n  keystow instance show prod-cache\n  keystow instance show prod-cache --json"
    )]
    Show(OneArgs),
    /// Connect to the instance now, and say what its server is
    #[command(after_help = "Example:\n  keystow instance test prod-cache")]
    Test(OneArgs),
    /// Remove an instance; its backups stay
    #[command(alias = "rm")]
    Delete(DeleteArgs),
}

/// Flags of `instance add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Such as <redis://host:6379> or <unix:///run/redis.sock>, with user:password@ where it must
    #[arg(help = URL_HELP)]
    url: String,
    /// Its id, such as the one it has at a cloud; minted if absent
    #[arg(long)]
    id: Option<String>,
    /// A person's name for it
    #[arg(long)]
    name: Option<String>,
    /// Region; without one it is visible in every region
    #[arg(long)]
    region: Option<String>,
    /// Zone
    #[arg(long)]
    zone: Option<String>,
    /// Zone of the replicas, if it spans two
    #[arg(long)]
    replica_zone: Option<String>,
    /// Account that owns it; the caller's own if absent
    #[arg(long)]
    account: Option<String>,
    /// Project that it is in
    #[arg(long)]
    project: Option<String>,
    /// Take backups by hand only, in place of one a day that is kept for 7 days
    #[arg(long)]
    no_policy: bool,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    capture: CaptureArgs,
}

/// Flags of `instance set`.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The instance's id
    instance: String,
    /// Where it is now
    #[arg(long)]
    url: Option<String>,
    /// What to keep no longer, separated by commas
    #[arg(long, value_delimiter = ',', value_parser = ["user", "password", "sentinel-user", "sentinel-password",
        "tls-ca", "tls-cert", "tls-server-name"])]
    forget: Vec<String>,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    capture: CaptureArgs,
}

/// How an instance is captured.
#[derive(Debug, Args)]
pub(crate) struct CaptureArgs {
    /// By replication, key by key, or as the source allows [auto unless set]
    #[arg(long, value_parser = ["auto", "physical", "logical"], help_heading = "Capturing")]
    method: Option<String>,
    /// Which server of a shard is asked first [replica unless set]
    #[arg(long, value_parser = ["replica", "primary"], help_heading = "Capturing")]
    prefer: Option<String>,
    /// What a doubt about the source's health does [refuse unless set]
    #[arg(long, value_parser = ["refuse", "warn"], help_heading = "Capturing")]
    checks: Option<String>,
    /// Most bytes a second from one server, such as 50M; 0 = no limit
    #[arg(long, value_name = "BYTES", value_parser = parse_size, help_heading = "Capturing")]
    limit_rate: Option<u64>,
    /// Most keys a second from one server when it is read key by key; 0 = no limit
    #[arg(long, value_name = "N", help_heading = "Capturing")]
    limit_keys: Option<u64>,
    /// Most shards at a time [4 unless set]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256), help_heading = "Capturing")]
    parallel: Option<u32>,
    /// Switch the source's rdbcompression off around its fork: less of its CPU, more bytes
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Capturing")]
    uncompressed: Option<bool>,
}

/// Flags of `instance list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those whose id or name contains this
    #[arg(long)]
    search: Option<String>,
    /// At most so many
    #[arg(long)]
    limit: Option<usize>,
}

/// Which instance.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// The instance's id
    instance: String,
}

/// Flags of `instance delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The instance's id
    instance: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs a verb.
pub(super) async fn run(command: InstanceCommand, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, context.output);
    match command {
        InstanceCommand::Add(args) => {
            let row: InstanceRow = client.post(&["instances"], &(*args).into_request()?).await?;
            output.value(&row, describe)?;
            match row.policy.as_ref().and_then(|policy| policy.next_at.as_deref()) {
                Some(at) => output.note(&format!(
                    "a backup is taken every day, first at {}, and kept for 7 days; change that with: keystow policy set {}",
                    moment(at),
                    row.id
                )),
                None => output.note("no backup is taken by itself"),
            }
            output.note(&format!("next: keystow backup create {} --wait", row.id));
        }
        InstanceCommand::Set(args) => {
            let instance = args.instance.clone();
            let row: InstanceRow = client.patch(&["instances", &instance], &(*args).into_request()?).await?;
            output.value(&row, describe)?;
        }
        InstanceCommand::List(args) => {
            let filter: Vec<_> = args.search.map(|search| ("search", search)).into_iter().collect();
            let rows = client.list::<InstanceList>(&["instances"], &filter, args.limit).await?;
            output.value(&rows, |rows| tabulate(rows))?;
        }
        InstanceCommand::Show(args) => {
            let row = client.get(&["instances", &args.instance]).await?;
            output.value(&row, describe)?;
        }
        InstanceCommand::Test(args) => {
            let found: InstanceTestRow = client.act(&["instances", &args.instance, "test"]).await?;
            output.value(&found, |found| describe_test(&args.instance, found))?;
        }
        InstanceCommand::Delete(args) => {
            confirm(&format!("remove instance {}? its backups stay", args.instance), args.yes)?;
            client.delete_quietly(&["instances", &args.instance]).await?;
            output.note(&format!("removed {}", args.instance));
        }
    }
    Ok(())
}

impl AddArgs {
    fn into_request(self) -> Result<NewInstanceRequest, Failure> {
        let login = self.login.read()?;
        Ok(NewInstanceRequest {
            url: self.url,
            id: self.id,
            name: self.name,
            username: login.username,
            password: login.password,
            sentinel_username: login.sentinel_username,
            sentinel_password: login.sentinel_password,
            tls: login.tls,
            capture: self.capture.into(),
            region: self.region,
            zone: self.zone,
            replica_zone: self.replica_zone,
            account: self.account,
            project: self.project,
            no_policy: self.no_policy,
        })
    }
}

impl SetArgs {
    fn into_request(self) -> Result<InstanceChangeRequest, Failure> {
        let capture: CaptureRequest = self.capture.into();
        if self.url.is_none() && self.forget.is_empty() && self.login.is_empty() && capture.is_empty() {
            return Err(Failure::usage("nothing is to be different").hint("see: keystow instance set --help"));
        }
        let login = self.login.read()?;
        // An empty text takes away what was kept.
        let forget = |what: &str, given: Option<String>| {
            let forgotten = self.forget.iter().any(|word| word == what);
            given.or_else(|| forgotten.then(String::new))
        };
        Ok(InstanceChangeRequest {
            url: self.url,
            username: forget("user", login.username),
            password: forget("password", login.password),
            sentinel_username: forget("sentinel-user", login.sentinel_username),
            sentinel_password: forget("sentinel-password", login.sentinel_password),
            tls: TlsRequest {
                ca: forget("tls-ca", login.tls.ca),
                certificate: forget("tls-cert", login.tls.certificate),
                key: forget("tls-cert", login.tls.key),
                server_name: forget("tls-server-name", login.tls.server_name),
            },
            capture,
        })
    }
}

impl From<CaptureArgs> for CaptureRequest {
    fn from(args: CaptureArgs) -> Self {
        Self {
            method: args.method,
            prefer: args.prefer,
            checks: args.checks,
            bytes_per_second: args.limit_rate,
            keys_per_second: args.limit_keys,
            parallel: args.parallel,
            uncompressed: args.uncompressed,
        }
    }
}

/// Reads a number of bytes: `50M`, `512K`, `1G`, `0`.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a number of bytes such as 512K, 50M or 1G");
    let (digits, shift) = match text.trim_end_matches("iB").trim_end_matches(['B', 'b']) {
        text if text.ends_with(['k', 'K']) => (&text[..text.len() - 1], 10),
        text if text.ends_with(['m', 'M']) => (&text[..text.len() - 1], 20),
        text if text.ends_with(['g', 'G']) => (&text[..text.len() - 1], 30),
        text => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in
            [("0", 0), ("4096", 4096), ("512K", 512 << 10), ("50M", 50 << 20), ("1GiB", 1 << 30)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "1.5M", "-1", "99999999999G", "5T", "é"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
