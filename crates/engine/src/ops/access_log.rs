//! The access log: who was given links, and who downloaded what. A request only leaves a note in memory; notes are
//! written into the catalog together, once a second.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::{Engine, IssuedLink, LinkOrder};
use crate::access::Principal;
use crate::clock::Clock;
use crate::error::Result;
use crate::links::LinkClaims;
use crate::model::{
    AccessFilter, AccessKind, AccessRecord, AccountId, Backup, BackupRef, InstanceId, Listed, Number, Right,
};

/// Notes kept until they are written. What comes on top is counted, and the count is kept.
const MOST_NOTES: usize = 16_384;

/// Notes that are not written yet.
pub(super) struct Journal {
    clock: Clock,
    notes: Mutex<Vec<Note>>,
    lost: AtomicU64,
    /// Downloads since the process started: done, broken, refused.
    downloads: [AtomicU64; 3],
    sent_bytes: AtomicU64,
}

/// What one request leaves: small, made without asking for memory where a download ends.
enum Note {
    Links(Box<AccessRecord>),
    Download(Download),
}

/// A download, or a refusal of one.
struct Download {
    at: Timestamp,
    claims: Arc<LinkClaims>,
    instance: Option<Arc<InstanceId>>,
    address: IpAddr,
    outcome: Outcome,
}

#[derive(Clone, Copy)]
enum Outcome {
    /// From, until, and how much of it was sent.
    Sent(u64, u64, u64),
    Refused(&'static str),
}

/// A transfer on its way. Dropped, it leaves its note.
pub struct DeliveryNote {
    journal: Arc<Journal>,
    claims: Arc<LinkClaims>,
    instance: Arc<InstanceId>,
    address: IpAddr,
    from: u64,
    until: u64,
    /// Bytes sent so far.
    pub sent: u64,
}

impl Drop for DeliveryNote {
    fn drop(&mut self) {
        let broken = self.sent != self.until - self.from;
        self.journal.downloads[usize::from(broken)].fetch_add(1, Ordering::Relaxed);
        self.journal.sent_bytes.fetch_add(self.sent, Ordering::Relaxed);
        self.journal.push(Note::Download(Download {
            at: self.journal.clock.now(),
            claims: self.claims.clone(),
            instance: Some(self.instance.clone()),
            address: self.address,
            outcome: Outcome::Sent(self.from, self.until, self.sent),
        }));
    }
}

impl Journal {
    /// Nothing noted yet.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            notes: Mutex::default(),
            lost: AtomicU64::new(0),
            downloads: Default::default(),
            sent_bytes: AtomicU64::new(0),
        }
    }

    fn push(&self, note: Note) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < MOST_NOTES {
            notes.push(note);
        } else {
            drop(notes);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// An API call was given these links to a backup.
    pub(super) fn note_links(
        &self,
        who: &Principal,
        backup: &Backup,
        order: &LinkOrder,
        links: &[IssuedLink],
        ends: Timestamp,
    ) {
        if links.is_empty() {
            return;
        }
        let mut parts: Vec<Number> = links.iter().map(|link| link.part).collect();
        parts.dedup();
        self.push(Note::Links(Box::new(AccessRecord {
            number: 0,
            at: self.clock.now(),
            kind: AccessKind::Links,
            account: backup.account.to_string(),
            access_key: who.key_id().to_owned(),
            address: who.address().map(|address| address.to_string()),
            via: who.via().to_owned(),
            backup: Some(backup.id),
            instance: Some(backup.instance.clone()),
            parts,
            networks: order.networks.clone(),
            link: links.first().filter(|_| links.len() == 1).and_then(|link| link.id.clone()),
            expires_at: Some(ends),
            range: None,
            sent_bytes: 0,
            // The store answers those by itself: their downloads are never seen here.
            outcome: if links.iter().any(|link| link.direct) { "given direct" } else { "given" }.to_owned(),
            requests: 1,
        })));
    }

    /// A link with a right signature delivered nothing.
    pub(super) fn note_refusal(&self, claims: &Arc<LinkClaims>, address: IpAddr, why: &'static str) {
        self.downloads[2].fetch_add(1, Ordering::Relaxed);
        self.push(Note::Download(Download {
            at: self.clock.now(),
            claims: claims.clone(),
            instance: None,
            address,
            outcome: Outcome::Refused(why),
        }));
    }

    /// The note of a transfer of those bytes.
    pub(super) fn note_delivery(
        self: &Arc<Self>,
        claims: &Arc<LinkClaims>,
        instance: &Arc<InstanceId>,
        address: IpAddr,
        from: u64,
        until: u64,
    ) -> DeliveryNote {
        let (claims, instance) = (claims.clone(), instance.clone());
        DeliveryNote { journal: self.clone(), claims, instance, address, from, until, sent: 0 }
    }

    /// Downloads since the process started (done, broken, refused), and the bytes that they sent.
    pub(super) fn counted(&self) -> ([u64; 3], u64) {
        (
            self.downloads.each_ref().map(|count| count.load(Ordering::Relaxed)),
            self.sent_bytes.load(Ordering::Relaxed),
        )
    }

    /// Notes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All notes so far, and how many there was no room for.
    fn take(&self) -> (Vec<Note>, u64) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut *notes), self.lost.swap(0, Ordering::Relaxed))
    }

    /// Takes back what could not be written, as far as there is room.
    fn give_back(&self, mut taken: Vec<Note>, mut lost: u64) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        taken.append(&mut notes);
        lost += taken.len().saturating_sub(MOST_NOTES) as u64;
        taken.truncate(MOST_NOTES);
        *notes = taken;
        self.lost.fetch_add(lost, Ordering::Relaxed);
    }
}

impl Engine {
    /// Writes down what was accessed since the last time; says how many records that were. What cannot be written is
    /// kept for the next time.
    pub async fn write_access_log(&self) -> Result<usize> {
        let (notes, lost) = self.journal.take();
        let mut records = merged(&notes);
        if lost > 0 {
            tracing::warn!(lost, "the access log lacks some records: there were too many in a second");
            records.push(loss(lost, self.clock.now()));
        }
        if records.is_empty() {
            return Ok(0);
        }
        match self.catalog.record_access(&records).await {
            Ok(()) => Ok(records.len()),
            Err(error) => {
                self.journal.give_back(notes, lost);
                Err(error)
            }
        }
    }

    /// Removes records that are older than that, some at a time; says whether more are left.
    pub async fn prune_access_log(&self, keep: std::time::Duration) -> Result<bool> {
        let now = self.clock.now();
        let before = now.checked_sub(keep).unwrap_or(Timestamp::MIN);
        Ok(self.catalog.prune_access(before).await? > 0)
    }

    /// Records of the access log, newest first, of one backup if it is named. A key that is bound to a project sees those
    /// of its project only. The last second or two may be missing.
    pub async fn access_log(
        &self,
        who: &Principal,
        filter: AccessFilter,
        backup: Option<BackupRef>,
    ) -> Result<Listed<AccessRecord>> {
        let scope = who.with_in(Right::Operate, filter.account.as_ref())?;
        let filter = match backup {
            Some(which) => {
                AccessFilter { backup: Some(self.visible_backup(&scope, which).await?.id), ..filter }
            }
            None => filter,
        };
        let project = scope.project.or(filter.project.clone());
        self.catalog.access_log(&scope.account, &AccessFilter { project, ..filter }).await
    }
}

/// The records of the notes: like downloads are one with a count, so that a client that asks for the same again and
/// again costs one row a second.
fn merged(notes: &[Note]) -> Vec<AccessRecord> {
    type Likeness<'a> = (usize, IpAddr, Option<(u64, u64, bool)>, &'a str);
    let mut records: Vec<AccessRecord> = Vec::new();
    let mut seen: HashMap<Likeness<'_>, usize> = HashMap::new();
    for note in notes {
        let download = match note {
            Note::Links(record) => {
                records.push((**record).clone());
                continue;
            }
            Note::Download(download) => download,
        };
        let (range, sent, outcome) = match download.outcome {
            Outcome::Sent(from, until, sent) => {
                let whole = sent == until - from;
                (Some((from, until, whole)), sent, if whole { "done" } else { "broken" })
            }
            Outcome::Refused(why) => (None, 0, why),
        };
        // The notes hold the claims, so that an address stands for one link.
        let likeness = (Arc::as_ptr(&download.claims).addr(), download.address, range, outcome);
        if let Some(record) = seen.get(&likeness).and_then(|&at| records.get_mut(at)) {
            record.requests += 1;
            record.sent_bytes += sent;
            record.at = record.at.max(download.at);
            continue;
        }
        seen.insert(likeness, records.len());
        records.push(AccessRecord {
            range: range.map(|(from, until, _)| (from, until)),
            sent_bytes: sent,
            outcome: if range.is_some() { outcome.to_owned() } else { format!("refused: {outcome}") },
            ..record(download)
        });
    }
    records
}

fn record(download: &Download) -> AccessRecord {
    let claims = &download.claims;
    AccessRecord {
        number: 0,
        at: download.at,
        kind: AccessKind::Download,
        account: claims.account.to_string(),
        access_key: claims.access_key.clone(),
        address: Some(download.address.to_string()),
        via: "download".to_owned(),
        backup: Some(claims.backup),
        instance: download.instance.as_deref().cloned(),
        parts: vec![claims.part],
        networks: vec![claims.network],
        link: claims.remembered.clone(),
        expires_at: Some(claims.expires_at),
        range: None,
        sent_bytes: 0,
        outcome: String::new(),
        requests: 1,
    }
}

/// The record of those that there was no room for. It is nobody's in particular, so that the first account has it.
fn loss(lost: u64, now: Timestamp) -> AccessRecord {
    AccessRecord {
        number: 0,
        at: now,
        kind: AccessKind::Lost,
        account: AccountId::default().to_string(),
        access_key: String::new(),
        address: None,
        via: String::new(),
        backup: None,
        instance: None,
        parts: Vec::new(),
        networks: Vec::new(),
        link: None,
        expires_at: None,
        range: None,
        sent_bytes: 0,
        outcome: "not kept".to_owned(),
        requests: lost,
    }
}
