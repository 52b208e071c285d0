//! The command line: what can be typed, and which file does it.

mod access;
mod account;
mod audit;
mod backup;
mod catalog;
mod completions;
mod config;
mod copy;
mod diff;
mod doctor;
mod drill;
mod export;
mod fetch;
mod import;
mod input;
mod inspect;
mod instance;
mod job;
mod key;
mod link;
mod login;
mod new_file;
mod node;
mod offline;
mod output;
mod policy;
mod progress;
mod project;
mod relabel;
mod repository;
mod restore;
mod root_key;
mod secret;
mod serve;
mod sign;
mod snippet;
mod span;
mod stop;
mod verify;
mod wait;
mod webhook;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::client::{Client, ClientOptions};
use crate::failure::Failure;
use output::Output;

const AFTER_HELP: &str = "\
Examples:
  keystow serve
  keystow instance add redis://10.2.0.11:6379 --id prod-cache --password-file /run/secrets/redis
  keystow backup create prod-cache --wait
  keystow link create 0198f3c0-7b1e-7c0a-9d0e-3f1f6f0f2a11 --ttl 6h
  keystow fetch 0198f3c0-7b1e-7c0a-9d0e-3f1f6f0f2a11 -o dump.rdb
  keystow restore 0198f3c0-7b1e-7c0a-9d0e-3f1f6f0f2a11 --to redis://10.2.0.12:6379 --dry-run
  keystow drill 0198f3c0-7b1e-7c0a-9d0e-3f1f6f0f2a11
  keystow verify dump.rdb
  keystow inspect dump.rdb
  keystow export dump.rdb --format csv -o keys.csv

Environment of the client:
  KEYSTOW_SERVER                                         address of the service
  KEYSTOW_ACCESS_KEY_ID, KEYSTOW_ACCESS_KEY_SECRET       who calls
  KEYSTOW_SESSION_TOKEN                                  its session token, if it is temporary
  KEYSTOW_DATA_DIR                                       where admin.key is, if neither is set [./keystow-data]

Exit codes (take any other for a failure):
  0 ok         1 failure      2 usage         3 partial     4 auth                5 not found
  6 conflict   7 integrity    8 unreachable   9 no space   10 not initialised   130, 143 interrupted";

/// Self-hosted backups for Redis and Valkey
///
/// Takes backups over the replication protocol, proves each one while it is being taken, and hands out expiring
/// download links.
#[derive(Parser)]
#[command(name = "keystow", version, after_help = AFTER_HELP, propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    /// Print JSON: data to stdout, an error to stderr
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Print neither progress nor notes
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    #[command(flatten)]
    client: ClientOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service: native API, vendors' APIs, downloads and workers
    #[command(
        after_help = "Examples:\n  keystow serve\n  keystow serve --config /etc/keystow/keystow.toml\n\n\
        The first start makes the data directory, a root key and one admin key.\n\
        Every setting: keystow config show"
    )]
    Serve(serve::ServeArgs),
    /// The Redis and Valkey servers that are backed up
    #[command(subcommand, visible_alias = "instances")]
    Instance(instance::InstanceCommand),
    /// Take, list and remove backups
    #[command(subcommand, visible_alias = "backups")]
    Backup(backup::BackupCommand),
    /// When backups are taken by themselves, and how long they are kept
    #[command(subcommand, visible_alias = "policies")]
    Policy(policy::PolicyCommand),
    /// Expiring download links
    #[command(subcommand, visible_alias = "links")]
    Link(link::LinkCommand),
    /// Who is told by the service itself that something went wrong
    #[command(subcommand, visible_alias = "webhooks")]
    Webhook(webhook::WebhookCommand),
    /// Who was given links, and who downloaded what
    #[command(subcommand)]
    Access(access::AccessCommand),
    /// Who changed what
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Access keys
    #[command(subcommand, visible_alias = "keys")]
    Key(key::KeyCommand),
    /// Accounts, which own everything else
    #[command(subcommand, visible_alias = "accounts")]
    Account(account::AccountCommand),
    /// Projects, which group the instances of an account
    #[command(subcommand, visible_alias = "projects")]
    Project(project::ProjectCommand),
    /// Where the backups are, and who may decrypt them
    #[command(subcommand)]
    Repository(repository::RepositoryCommand),
    /// What the workers are doing
    #[command(subcommand, visible_alias = "jobs")]
    Job(job::JobCommand),
    /// The processes that serve the catalog
    #[command(subcommand, visible_alias = "nodes")]
    Node(node::NodeCommand),
    /// Download a backup: parallel, resumable, checked
    Fetch(fetch::FetchArgs),
    /// Take in RDB files that were made elsewhere
    Import(import::ImportArgs),
    /// Put a backup into a server, or make the files that a server starts from
    Restore(Box<restore::RestoreArgs>),
    /// Load a backup into a throw-away server, to know that it can be loaded
    Drill(drill::DrillArgs),
    /// Check every structure and checksum of an RDB file or a backup
    Verify(verify::VerifyArgs),
    /// Show what takes the space in an RDB file or a backup: types, prefixes, biggest keys, expiry
    Inspect(inspect::InspectArgs),
    /// Write the keys of an RDB file or a backup as JSON lines, commands, CSV or Parquet
    Export(export::ExportArgs),
    /// Write an RDB file or a backup anew for servers of another version
    Relabel(relabel::RelabelArgs),
    /// Compare the keys of two RDB files or backups
    Diff(diff::DiffArgs),
    /// Show how a vendor's signature of a request comes about
    Sign(sign::SignArgs),
    /// The catalog: copies of it, and a new one made from the repository
    #[command(subcommand)]
    Catalog(catalog::CatalogCommand),
    /// The root key, from which every other key is derived
    #[command(subcommand)]
    RootKey(root_key::RootKeyCommand),
    /// Look for what is wrong with the service and this client
    Doctor,
    /// Settings of the service
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a script that completes commands in a shell
    Completions(completions::CompletionsArgs),
}

impl Cli {
    /// A failure from before the command began, with that command's exit code.
    pub(crate) fn unable(&self, failure: Failure) -> Failure {
        if matches!(self.command, Command::Diff(_)) { diff::unlike_a_difference(failure) } else { failure }
    }
}

/// What every command of a client needs.
struct Context {
    output: Output,
    options: ClientOptions,
}

impl Context {
    fn client(&self) -> Result<Client, Failure> {
        Client::from_environment(&self.options)
    }
}

/// Does what was typed. Gives the exit code: a command may say something with it that is no failure.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let context = Context { output: Output { json: cli.json, quiet: cli.quiet }, options: cli.client };
    match cli.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Instance(command) => instance::run(command, &context).await,
        Command::Backup(command) => backup::run(command, &context).await,
        Command::Policy(command) => policy::run(command, &context).await,
        Command::Link(command) => link::run(command, &context).await,
        Command::Webhook(command) => webhook::run(command, &context).await,
        Command::Access(command) => access::run(command, &context).await,
        Command::Audit(command) => audit::run(command, &context).await,
        Command::Key(command) => key::run(command, &context).await,
        Command::Account(command) => account::run(command, &context).await,
        Command::Project(command) => project::run(command, &context).await,
        Command::Repository(command) => repository::run(command, &context).await,
        Command::Job(command) => job::run(command, &context).await,
        Command::Node(command) => node::run(command, &context).await,
        Command::Fetch(args) => fetch::run(args, &context).await,
        Command::Import(args) => import::run(args, &context).await,
        Command::Restore(args) => restore::run(*args, &context).await,
        Command::Drill(args) => drill::run(args, &context).await,
        Command::Verify(args) => verify::run(args, &context).await,
        Command::Inspect(args) => inspect::run(args, &context).await,
        Command::Export(args) => export::run(args, &context).await,
        Command::Relabel(args) => relabel::run(args, &context).await,
        Command::Diff(args) => return diff::run(args, &context).await,
        Command::Sign(args) => sign::run(&args, &context),
        Command::Catalog(command) => catalog::run(command, &context).await,
        Command::RootKey(command) => root_key::run(command, &context).await,
        Command::Doctor => doctor::run(&context).await,
        Command::Config(command) => config::run(&command, cli.json),
        Command::Completions(args) => completions::run(&args),
    }?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parses(words: &str) -> bool {
        Cli::try_parse_from(words.split_whitespace()).is_ok()
    }

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_operators_contract_parses() {
        for words in [
            "keystow serve --data-dir d --api 127.0.0.1:1 --download 127.0.0.1:2 --intranet 127.0.0.1:3 --insecure-http",
            "keystow instance add redis://h --id x --name n --region r --zone z --account a --project p --password-file f",
            "keystow instance ls --json",
            "keystow instances rm x",
            "keystow backup create x --wait --remark r --keep-days 7 --json",
            "keystow backup list --instance x --state available,failed --since 7d --until 2027-01-01T00:00:00Z",
            "keystow backup protect 12 --release",
            "keystow backup prune --dry-run --json",
            "keystow backup prune x",
            "keystow backup scrub 12 --wait",
            "keystow policy set x --cron 5 --cron 6 --time-zone Asia/Shanghai --jitter 10m --window 01:00-05:00 --pause",
            "keystow policy set x --keep-last 1 --keep-within 30d --keep-daily 7 --keep-weekly 4 --keep-monthly 12 \
             --keep-yearly 1 --keep-minimum 2 --verify-every 7d --drill-every 30d --resume --include-manual true",
            "keystow policy next -n 3",
            "keystow policy show x",
            "keystow policy delete x --yes",
            "keystow instance add redis://h --no-policy",
            "keystow link create b --ttl 6h --network both --ip 10.0.0.0/8 --ip 192.0.2.1 --once",
            "keystow link revoke --backup b",
            "keystow link revoke l-1",
            "keystow link revoke --key AK1",
            "keystow link show l-1 --json",
            "keystow link create b --downloads 3 --deny-ip 10.0.0.1 --rate 10M --connections 2",
            "keystow audit list --since 7d --until 2026-01-01T00:00:00Z --who AK --action backup --limit 5 --json",
            "keystow audit verify --noted 1:ab --json",
            "keystow access list --backup 1 --instance x --link l --key K --kind download --since 1h --limit 5",
            "keystow key create --id I --secret-file F --session-token-file T --role viewer --account A --project P --expires 7d",
        ] {
            assert!(parses(words), "{words}");
        }
    }

    #[test]
    fn more_of_the_operators_contract_parses() {
        for words in [
            "keystow repository show --json",
            "keystow repository recipients ls",
            "keystow repository recipients add age1x --name ann",
            "keystow repository recipients add age1x --name node-2 --node",
            "keystow repository recipients add --name safe --passphrase-file f",
            "keystow repository recipients remove ann",
            "keystow repository rotate-identity",
            "keystow job cancel 7",
            "keystow webhook add https://h/x --event backup.failed --event drill.failed --instance i --secret-file f --account a",
            "keystow webhooks ls --account a --json",
            "keystow webhook pause wh-1",
            "keystow webhook deliveries wh-1 --limit 5",
            "keystow webhook rm wh-1 --yes",
            "keystow node list --json",
            "keystow fetch http://h/f?x=1 -o f -j 8",
            "keystow restore b --to redis://h:1 --user u --password-file f --sentinel-user s --sentinel-password-file g",
            "keystow restore b --to rediss://h:1 --tls-ca a --tls-cert c --tls-key k --tls-server-name n --as commands",
            "keystow restore 7 --to prod --match a* --match b* --type hash --db 1 --db 2 --prefix a:=b: --without-functions",
            "keystow restore 7 --to prod --on-conflict skip --ttl drop-expired --wipe --accept-partial --yes --no-wait",
            "keystow restore 7 --to folder --as files --ttl strip --dry-run --json",
            "keystow drill 7 --program redis-7.0 --no-wait",
            "keystow instance add redis-cluster://h:1,h:2 --method auto --prefer replica --checks warn --limit-rate 50M \
             --limit-keys 100 --parallel 2 --uncompressed",
            "keystow instance set x --url redis://h --password-file f --forget tls-ca,user --limit-rate 0",
            "keystow verify -",
            "keystow inspect f --top 5 --prefix-separator / --prefix-depth 2 --slots --match a* --type hash --db 3",
            "keystow export f --format csv -o g --force --match a* --match b* --type zset --db 0",
            "keystow relabel - --to redis-7.2 -o f --force --without-functions --match a* --type set --db 1",
            "keystow diff a.rdb - --match user:* --type hash --db 0 --ignore-ttl --summary --temp-dir d --json",
            "keystow --json doctor",
            "keystow key create --allow-ip 10.0.0.0/8 --allow-ip 192.0.2.1",
            "keystow key rotate AK1 --grace 24h",
            "keystow catalog rebuild --config f --data-dir d --force --json",
            "keystow catalog copy",
            "keystow import a.rdb dir --instance x --cluster --taken-at 7d --remark r",
            "keystow root-key rotate --data-dir d --to env:NEW --end-links",
            "keystow root-key backup --to f",
            "keystow completions zsh",
        ] {
            assert!(parses(words), "{words}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            "keystow",
            "keystow link revoke",
            "keystow link revoke l-1 --backup b",
            "keystow link create b --ttl soon",
            "keystow link create b --once --downloads 2",
            "keystow link create b --downloads 0",
            "keystow audit",
            "keystow access list --kind anything",
            "keystow link create b --network moon",
            "keystow key create --session-token-file T",
            "keystow fetch u -j 0",
            "keystow repository recipients add --name x",
            "keystow repository recipients add age1x --passphrase-file f --name x",
            "keystow backup create",
            "keystow policy set x --pause --resume",
            "keystow policy set x --keep-minimum 0",
            "keystow policy set x --cron 5 --no-cron",
            "keystow inspect f --top 0",
            "keystow inspect f --type number",
            "keystow export f --format xml",
            "keystow export f --force",
            "keystow relabel dump.rdb",
            "keystow relabel dump.rdb --to redis-9000",
            "keystow import a.rdb",
            "keystow import --instance x",
            "keystow root-key backup",
            "keystow root-key rotate --to nowhere",
            "keystow restore 7",
            "keystow restore 7 --to x --on-conflict merge",
            "keystow restore 7 --to x --prefix a",
            "keystow restore 7 --to x --as magic",
            "keystow instance set x --forget everything",
            "keystow instance add redis://h --limit-rate fast",
            "keystow drill",
            "keystow diff a.rdb",
            "keystow diff a.rdb b.rdb --type tree",
        ] {
            assert!(!parses(words), "{words}");
        }
    }

    #[test]
    fn a_flag_of_all_commands_and_of_serve_reaches_both() {
        let cli = Cli::try_parse_from(["keystow", "serve", "--insecure-http"]).unwrap();
        assert!(matches!(cli.command, Command::Serve(args) if args.insecure_http));
    }
}
