//! One shard of a backup: from a node into the repository, proven on the way.

mod import;
mod logical;
mod physical;
mod proof;
mod set;
mod uncompressed;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use keystow_rdb::{Fault, Report};
use tokio_util::sync::CancellationToken;

use super::meter::{Gauge, Meter};
use super::turns::Turns;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::crash::{CrashPoint, crash_point};
use crate::error::{Error, Kind, Result};
use crate::model::{CaptureMethod, Checks, Instance, Method, PartOrigin, Phase, ServerFacts, Slots};
use crate::redis::{Address, Choice, Connection, Login, Severity, Timeouts, look, probe, read_at_replica};
use crate::vault::codec::{PartWriter, Stored};
pub use import::ImportFile;
pub(super) use import::{Incoming, import_set};
use proof::Proven;
pub(crate) use set::TURN_LOST;
pub(super) use set::{CapturedSet, SetOrder};
use uncompressed::Uncompressed;
pub(super) use uncompressed::setting_of;

/// How often a node that is saving is looked at again, once a second, before it is taken for busy.
const PATIENCE_WITH_SAVING: u32 = 60;

/// Where an instance is, with all that it takes to get in.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) address: Address,
    pub(super) login: Login,
    pub(super) timeouts: Timeouts,
}

/// A shard that is to be captured.
pub(super) struct ShardOrder<'a> {
    pub(super) instance: &'a Instance,
    pub(super) source: &'a Source,
    /// Its slots; none unless it is of a cluster.
    pub(super) slots: Slots,
    /// A folder for what does not fit into memory.
    pub(super) spool: PathBuf,
    pub(super) catalog: &'a dyn Catalog,
    pub(super) turns: &'a Arc<Turns>,
    pub(super) clock: &'a Clock,
    /// Set once the node has forked for us.
    pub(super) forked: &'a AtomicBool,
}

/// A part that is safe in the repository.
pub(super) struct Captured {
    pub(super) stored: Stored,
    /// SHA-256 of the plain bytes, lower-case hex.
    pub(super) sha256: String,
    pub(super) report: Report,
    /// Why the validator cannot vouch for it; its checksum is right all the same.
    pub(super) doubt: Option<Fault>,
    pub(super) server: ServerFacts,
    pub(super) method: Method,
    /// Replication id and offset of the moment.
    pub(super) replication: Option<(String, i64)>,
    pub(super) origin: PartOrigin,
    pub(super) warnings: Vec<String>,
    /// What the source did not let us have.
    pub(super) missing: Option<Error>,
}

/// What came from a node, in the writer's hands.
struct Came {
    proven: Proven,
    method: Method,
    replication: Option<(String, i64)>,
    cut_at: Timestamp,
    missing: Option<Error>,
}

impl ShardOrder<'_> {
    /// Captures the shard from one of its nodes. Blocks. Seals only what ended properly and was read to the same
    /// byte with the right checksum.
    pub(super) fn capture(
        &self,
        choice: &Choice,
        create: &dyn Fn() -> Result<PartWriter>,
        meter: &Meter,
        cancel: &CancellationToken,
    ) -> Result<Captured> {
        let gauge = Gauge::new(meter);
        let captured = self.capture_counted(choice, create, &gauge, cancel);
        if captured.is_err() {
            gauge.take_back();
        }
        captured
    }

    fn capture_counted(
        &self,
        choice: &Choice,
        create: &dyn Fn() -> Result<PartWriter>,
        gauge: &Gauge<'_>,
        cancel: &CancellationToken,
    ) -> Result<Captured> {
        gauge.enter(Phase::Connecting);
        let mut connection = self.connect(choice, cancel)?;
        let server = probe(&mut connection)?;
        crash_point(CrashPoint::SourceConnected);
        let mut warnings = self.check_health(&mut connection)?;
        let (came, writer) = self.bring(choice, connection, &server, create, gauge, cancel, &mut warnings)?;
        if came.proven.strays > 0 {
            warnings.push(format!(
                "{} holds {} keys outside of its slots, as while slots are moved; a restore leaves them out",
                choice.node, came.proven.strays
            ));
        }
        gauge.enter(Phase::Sealing);
        crash_point(CrashPoint::BytesArrived);
        let stored = writer.finish()?;
        crash_point(CrashPoint::PartSealed);
        Ok(Captured {
            stored,
            sha256: came.proven.sha256,
            report: came.proven.report,
            doubt: came.proven.doubt,
            server,
            method: came.method,
            replication: came.replication,
            origin: PartOrigin {
                node: choice.node.to_string(),
                primary: choice.primary,
                why: choice.why.clone(),
                slots: self.slots.clone(),
                cut_at: came.cut_at,
            },
            warnings,
            missing: came.missing,
        })
    }

    fn connect(&self, choice: &Choice, cancel: &CancellationToken) -> Result<Connection> {
        Connection::open(&choice.node, &self.source.login, self.source.timeouts, cancel.clone())
    }

    /// Looks whether a snapshot would do the node harm. What is not refused is to be told.
    fn check_health(&self, connection: &mut Connection) -> Result<Vec<String>> {
        let mut advice = look(connection)?.advice();
        for _ in 0..PATIENCE_WITH_SAVING {
            if !advice.iter().any(|advice| advice.code == "SOURCE_SAVING") {
                break;
            }
            connection.pause(std::time::Duration::from_secs(1));
            advice = look(connection)?.advice();
        }
        let refusal = advice.iter().find(|advice| advice.severity == Severity::Refuse);
        if let Some(refusal) = refusal.filter(|_| self.instance.capture.checks == Checks::Refuse) {
            return Err(Error::new(Kind::Unreachable, refusal.code, refusal.text.clone()).hint(
                "mend it and try again, or let the instance only be warned of it: keystow instance set --checks warn",
            ));
        }
        Ok(advice.into_iter().map(|advice| advice.text).collect())
    }

    /// Brings the data the way that the instance's options and the node allow.
    #[expect(clippy::too_many_arguments, reason = "each is one thing of this one step")]
    fn bring(
        &self,
        choice: &Choice,
        connection: Connection,
        server: &ServerFacts,
        create: &dyn Fn() -> Result<PartWriter>,
        gauge: &Gauge<'_>,
        cancel: &CancellationToken,
        warnings: &mut Vec<String>,
    ) -> Result<(Came, PartWriter)> {
        let method = self.instance.capture.method;
        if method == CaptureMethod::Logical {
            return self.by_keys(choice, connection, server, create, gauge, warnings);
        }
        match self.by_replication(choice, connection, create, gauge, warnings) {
            Err(error) if method == CaptureMethod::Auto && hides_replication(&error) => {
                warnings.push(format!(
                    "taken key by key, each at its own moment, because replication is refused: {error}"
                ));
                let connection = self.connect(choice, cancel)?;
                let by_keys = self.by_keys(choice, connection, server, create, gauge, warnings);
                // Where neither is allowed, the better way is the one to allow.
                by_keys.map_err(|other| if hides_replication(&other) { error } else { other })
            }
            result => result,
        }
    }

    fn by_replication(
        &self,
        choice: &Choice,
        connection: Connection,
        create: &dyn Fn() -> Result<PartWriter>,
        gauge: &Gauge<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<(Came, PartWriter)> {
        let options = &self.instance.capture;
        let uncompressed = if options.uncompressed {
            // To put it back is the last that is left out when somebody asks to stop.
            let own = self.connect(choice, &CancellationToken::new())?;
            Uncompressed::switch(own, self.catalog, self.turns, self.instance)?
        } else {
            None
        };
        let limit = options.bytes_per_second;
        let (taken, writer) = physical::take(connection, uncompressed, limit, self, create, gauge)?;
        if !taken.rdb_only {
            warnings.push(format!(
                "{} does not know rdb-only: it queued its writes for us meanwhile, and counted us as a replica",
                choice.node
            ));
        }
        let came = Came {
            proven: taken.proven,
            method: Method::Physical,
            replication: Some(taken.replication),
            cut_at: taken.cut_at,
            missing: None,
        };
        Ok((came, writer))
    }

    fn by_keys(
        &self,
        choice: &Choice,
        mut connection: Connection,
        server: &ServerFacts,
        create: &dyn Fn() -> Result<PartWriter>,
        gauge: &Gauge<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<(Came, PartWriter)> {
        if !self.slots.is_empty() && !choice.primary {
            read_at_replica(&mut connection)?;
        }
        let cut_at = self.clock.now();
        let order = logical::Order {
            server,
            keys_per_second: self.instance.capture.keys_per_second,
            slots: &self.slots,
            spool: &self.spool,
            clock: self.clock,
        };
        let (read, writer) = logical::read(connection, &order, create, gauge)?;
        warnings.extend(read.warnings);
        let came = Came {
            proven: read.proven,
            method: Method::Logical,
            replication: None,
            cut_at,
            missing: read.missing,
        };
        Ok((came, writer))
    }
}

/// Whether a node refuses replication for good: it does not know it, or does not let this user.
fn hides_replication(error: &Error) -> bool {
    matches!(error.code, "SOURCE_NO_PSYNC" | "SOURCE_DENIED")
}
