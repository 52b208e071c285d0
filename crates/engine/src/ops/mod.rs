//! What Keystow can do: one verb, one file, each an `impl Engine` block.

mod access_log;
mod accounts;
mod adopt_repository;
mod audit;
mod cancel_job;
mod capture;
mod catalog_copy;
mod check;
mod copies;
mod deliver;
mod drill;
mod event;
mod fire;
mod gates;
mod import;
mod instances;
mod jobs;
mod keyring;
mod keys;
mod knowledge;
mod list;
mod login;
mod manifest;
mod meter;
mod nodes;
mod notices;
mod part_reader;
mod parts;
mod policies;
mod promises;
mod prune;
mod read_back;
mod rebuild;
mod remove_backup;
mod repository;
mod request_backup;
mod restore;
mod restrict_links;
mod root_key;
mod scrub;
mod set_expiry;
mod set_instance;
mod settle_debts;
mod share_backup;
mod sign_in;
mod space;
mod sweep;
mod take_backup;
mod tokens;
mod turns;
mod upkeep;
mod vitals;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use crate::access::Sealer;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::links::LinkSigner;
use crate::model::{
    AccessKey, AuditChain, Instance, LinkRestriction, Number, Policy, RememberedLink, Throughput,
};
use crate::notify::Poster;
use crate::redis::Timeouts;
use crate::redis::programs::Programs;
use crate::vault::Vault;
use access_log::Journal;
use copies::Others;
use gates::Gates;
use jiff::Timestamp;
use keyring::{KeyRing, Node};
use knowledge::Knowledge;
use parts::Parts;
use promises::Promises;
use turns::Turns;

pub use access_log::DeliveryNote;
pub use capture::ImportFile;
pub(crate) use capture::TURN_LOST;
pub use check::{Finding, Health};
pub use copies::{CopySweeps, OtherRepository};
pub use deliver::{Deliverable, Delivery, DeliveryFault};
pub use drill::DRILLS;
pub use gates::Passage;
pub use import::{ImportOrder, Imported};
pub use instances::{InstanceAddress, InstanceTest, NewInstance};
pub use keyring::{Holder, HolderKind, KeyFacts};
pub use keys::{IssuedKey, NewKey};
pub use login::KeptLogin;
pub use meter::Meter;
pub use notices::NotifySettings;
pub use policies::{ComingBackup, PolicyChange, RetentionChange, no_policy};
pub use promises::Promised;
pub use prune::Pruned;
pub use read_back::Verify;
pub use rebuild::{CopyOf, Rebuilt, begin_rebuild, refuse_unfinished_rebuild};
pub use repository::{NewHolder, RepositoryFacts};
pub use request_backup::BackupOrder;
pub use restore::{NewLogin, RestoreRequest, Target};
pub use root_key::{Rotated, is_rotated_to, rotate_root_key, settle_root_key};
pub use set_instance::{CaptureChange, InstanceChange};
pub use share_backup::{IssuedLink, LinkOrder, MOST_RANGES};
pub use sweep::Swept;
pub(crate) use take_backup::TOPOLOGY_CHANGED;
pub use tokens::Token;
pub use vitals::{EndedJob, Tally, Vitals};
pub use webhooks::{IssuedWebhook, NewWebhook, TestedWebhook};

/// Everything that the verbs need.
pub struct Engine {
    catalog: Arc<dyn Catalog>,
    vault: Arc<dyn Vault>,
    clock: Clock,
    sealer: Sealer,
    signer: LinkSigner,
    /// The root key's own first; those of the keys that it replaced only check.
    manifest_keys: Vec<aws_lc_rs::hmac::Key>,
    /// Likewise.
    event_keys: Vec<aws_lc_rs::hmac::Key>,
    audit_chain: AuditChain,
    /// What was accessed, and is not in the catalog yet.
    journal: Arc<Journal>,
    tally: Tally,
    /// How many downloads may be under way, and how fast.
    gates: Gates,
    promises: Arc<Promises>,
    ring: Arc<KeyRing>,
    /// The bytes of parts, whatever is stored.
    parts: Parts,
    /// The repositories that hold copies.
    others: Arc<Others>,
    /// Server programs that drills may use.
    programs: Arc<Programs>,
    /// Tells webhooks.
    poster: Poster,
    settings: Settings,
    deliverables: Knowledge<Number, Deliverable>,
    /// Parts of copies, by the name of their repository.
    copied_parts: Knowledge<(Number, String), Deliverable>,
    keys: Knowledge<String, AccessKey>,
    links: Knowledge<String, RememberedLink>,
    /// Until when an access key's links are over, by its id.
    key_links: Knowledge<String, Option<Timestamp>>,
    restrictions: Knowledge<String, LinkRestriction>,
    instances: Knowledge<String, Instance>,
    /// Imports that may run at once.
    imports: Semaphore,
    /// Names this run of the process.
    node: String,
    /// Whether this node's clock is too far from the database's, or not known yet.
    clock_is_off: AtomicBool,
    /// How many nodes answer APIs.
    api_nodes: AtomicU32,
    /// Where this and other nodes wait for each other.
    turns: Arc<Turns>,
    policies: Knowledge<String, Option<Policy>>,
    /// Told when this node has written a job; others find it by looking.
    job_written: Notify,
}

/// What an operator may set about the verbs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Base URL of public links, without a slash at the end.
    pub public_url: String,
    /// Base URL of intranet links, without a slash at the end.
    pub intranet_url: String,
    /// Longest life of a link.
    pub longest_link: Duration,
    /// Limits on waiting for a source.
    pub timeouts: Timeouts,
    /// How long servers that were lost are looked for behind Sentinel and in a cluster: time for a fail-over.
    pub fail_over: Duration,
    /// A folder for work that does not fit into memory. It must exist.
    pub work_dir: PathBuf,
    /// Name or address under which the target of a restore finds this host; that of the connection to it if absent.
    pub advertise: Option<String>,
    /// How fast one client may download, and how much at once.
    pub client: Throughput,
    /// How drills are done.
    pub drill: DrillSettings,
    /// Bytes of the repository that backups leave free, where the store tells how many are.
    pub reserve_bytes: u64,
    /// How fast a scrub reads; `None` = as fast as it can.
    pub scrub_bytes_per_second: Option<u64>,
    /// How parts are stored.
    pub repository: RepositorySettings,
    /// What webhooks are told.
    pub notify: NotifySettings,
}

/// What an operator may set about the bytes of parts.
#[derive(Debug, Clone, Default)]
pub struct RepositorySettings {
    /// Compress new ones.
    pub compress: bool,
    /// Encrypt new ones.
    pub encrypt: bool,
    /// How they are proven once they are stored; by reading back where they are encoded or remote if `None`.
    pub verify: Option<Verify>,
    /// Whether the repository is beyond this host.
    pub remote: bool,
    /// The file with this node's identity, made at the first encrypted start; `None` = it only takes backups.
    pub identity_file: Option<PathBuf>,
}

/// What an operator may set about drills.
#[derive(Debug, Clone)]
pub struct DrillSettings {
    /// Folder with server programs.
    pub folder: Option<PathBuf>,
    /// The folders of the PATH, where server programs may be as well.
    pub search: Vec<PathBuf>,
    /// Longest time that one server gets to load one part.
    pub timeout: Duration,
}

/// Keys and links known at once.
const MOST_KNOWN: usize = 10_000;
/// Parts known at once. Each holds a file open, and a process may open 1,024 by default.
const MOST_OPEN: usize = 256;
/// Parts of copies known at once.
const MOST_COPIES_OPEN: usize = 64;

impl Engine {
    /// Puts the rooms together.
    pub fn new(
        catalog: Arc<dyn Catalog>,
        vault: Arc<dyn Vault>,
        clock: Clock,
        root: &crate::access::RootKey,
        settings: Settings,
    ) -> crate::error::Result<Self> {
        let hmac_keys = |purpose| {
            let keys = root.derive_all(purpose);
            let key = |bytes: &zeroize::Zeroizing<[u8; 32]>| {
                aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, bytes.as_slice())
            };
            keys.iter().map(key).collect::<Vec<_>>()
        };
        let replaced: Vec<_> = root.derive_all("audit/1").iter().skip(1).map(|key| **key).collect();
        let node = Node::load(settings.repository.identity_file.as_ref(), settings.repository.encrypt)?;
        let ring = Arc::new(KeyRing::new(vault.clone(), hmac_keys("keys/1"), node));
        let run = uuid::Uuid::new_v4().simple().to_string();
        let clock_is_off = AtomicBool::new(catalog.is_shared());
        let turns = Arc::new(Turns::new(catalog.clone(), clock.clone(), run.clone()));
        Ok(Self {
            catalog,
            parts: Parts::new(vault.clone(), ring.clone()),
            others: Arc::default(),
            ring,
            vault,
            sealer: Sealer::new(root)?,
            signer: LinkSigner::new(root.generation(), root.link_keys(clock.now())),
            manifest_keys: hmac_keys("manifest/1"),
            event_keys: hmac_keys("event/1"),
            audit_chain: AuditChain::new(&root.derive("audit/1"), &replaced),
            journal: Arc::new(Journal::new(clock.clone())),
            gates: Gates::new(settings.client),
            promises: Arc::default(),
            tally: Tally::default(),
            programs: Arc::new(Programs::new(settings.drill.folder.clone(), settings.drill.search.clone())),
            poster: Poster::new(&settings.notify.deny),
            settings,
            clock,
            deliverables: Knowledge::new(MOST_OPEN),
            copied_parts: Knowledge::new(MOST_COPIES_OPEN),
            keys: Knowledge::new(MOST_KNOWN),
            links: Knowledge::new(MOST_KNOWN),
            key_links: Knowledge::new(MOST_KNOWN),
            restrictions: Knowledge::new(MOST_KNOWN),
            instances: Knowledge::new(MOST_KNOWN),
            imports: Semaphore::new(import::AT_ONCE),
            turns,
            node: run,
            clock_is_off,
            api_nodes: AtomicU32::new(1),
            policies: Knowledge::new(MOST_KNOWN),
            job_written: Notify::new(),
        })
    }

    /// The facts, for the worker.
    pub(crate) fn catalog(&self) -> &dyn Catalog {
        &*self.catalog
    }

    /// Waits until this node writes a job.
    pub(crate) async fn job_written(&self) {
        self.job_written.notified().await;
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}
