//! Totals and pages of lists, which databases do not count, after histories that nobody thought of.

use std::collections::BTreeSet;

use super::*;
use crate::catalog::AttemptOutcome;
use crate::model::{
    BackupFilter, Failure, JobFilter, JobKind, JobState, ListedJob, NewJob, Number, Outcome, Page, Place,
    ScrubOutcome, Whole,
};

/// Histories, and steps of each.
const HISTORIES: u64 = 2;
const STEPS: i64 = 90;

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    let mut seen = BTreeSet::new();
    for seed in 1..=HISTORIES {
        let mut history = History::begin(fixture(open).await, seed).await;
        for second in 1..=STEPS {
            history.step(second).await;
            if second % 45 == 0 {
                seen.append(&mut history.check().await);
            }
        }
    }
    assert_eq!(seen.len(), 8, "each state was counted: {seen:?}");
}

/// What was done to a catalog.
struct History {
    catalog: Fixture,
    seed: u64,
    backups: Vec<(AccountId, BackupId)>,
    jobs: Vec<(AccountId, Number)>,
    held: Vec<Job>,
}

impl History {
    async fn begin(catalog: Fixture, seed: u64) -> Self {
        let third = Instance {
            project: Some(id("shop")),
            region: Some("south".to_owned()),
            zone: None,
            replica_zone: None,
            ..instance(acme(), "crs-3")
        };
        catalog.add_instance(&third).await.unwrap();
        Self { catalog, seed, backups: Vec::new(), jobs: Vec::new(), held: Vec::new() }
    }

    /// A number below `most`; the same in every run.
    fn draw(&mut self, most: usize) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.seed >> 33).unwrap() % most
    }

    async fn step(&mut self, second: i64) {
        match self.draw(12) {
            0..=3 => self.ask(second).await,
            4..=6 => {
                if let Some(job) = self.catalog.claim(second).await {
                    self.held.push(job);
                }
            }
            7 | 8 => self.end_one(second).await,
            9 => self.adopt(second).await,
            10 => self.remove_or_judge(second).await,
            _ if self.draw(4) == 0 => {
                self.catalog.surrender_leases().await.unwrap();
            }
            _ if !self.jobs.is_empty() => {
                let drawn = self.draw(self.jobs.len());
                let (account, number) = self.jobs[drawn].clone();
                // One that has ended cannot be cancelled, which is another claim's concern.
                let _ = self.catalog.cancel_job(&account, number, at(second)).await;
            }
            _ => {}
        }
    }

    async fn ask(&mut self, second: i64) {
        let (account, name) = [(acme(), "crs-1"), (acme(), "crs-2"), (acme(), "crs-3"), (rival(), "crs-1")]
            [self.draw(4)]
        .clone();
        let mode = [Mode::Manual, Mode::Automated][self.draw(2)];
        let new = NewBackup { mode, ..order(account.clone(), name) };
        // Refused while another is under way.
        if let Ok(asked) = self.catalog.request_backup(BackupId::mint(at(second)), &new, at(second)).await {
            self.backups.push((account.clone(), asked.id));
            self.jobs.push((account, asked.job));
        }
    }

    /// Ends a job that was claimed some time ago; it may be somebody else's by now.
    async fn end_one(&mut self, second: i64) {
        if self.held.is_empty() {
            return;
        }
        let drawn = self.draw(self.held.len());
        let job = self.held.swap_remove(drawn);
        let outcome = self.draw(6);
        let failure = Failure { code: "X".to_owned(), message: "x".to_owned(), hint: None };
        let lease = job.lease();
        let _ = match (job.kind, outcome) {
            (_, 0) => self.catalog.fail_attempt(&lease, &AttemptOutcome::Failed(failure), at(second)).await,
            (_, 1) => self.catalog.fail_attempt(&lease, &AttemptOutcome::HandedBack, at(second)).await,
            (JobKind::TakeBackup, _) => {
                let sealed = self.sealed().await;
                self.catalog.seal_backup(&lease, &sealed, at(second)).await
            }
            (JobKind::Repair, _) => {
                let before = Whole { state: BackupState::Partial, failure: None, until: None };
                let found = ScrubOutcome {
                    at: at(second),
                    ok: outcome > 3,
                    bytes: 1,
                    took_ms: 1,
                    broken: Vec::new(),
                    failure: Some(failure),
                    before: Some(before),
                };
                let _ = self.catalog.record_outcome(&lease, &Outcome::Scrub(found)).await;
                self.catalog.finish_job(&lease, at(second)).await
            }
            _ => self.catalog.finish_job(&lease, at(second)).await,
        };
    }

    async fn sealed(&mut self) -> SealedBackup {
        use BackupState::{Available, Partial, Quarantined};
        let state = [Available, Available, Available, Partial, Quarantined][self.draw(5)];
        let count = u32::try_from(self.draw(4)).unwrap();
        let numbers = self.catalog.mint_numbers(count).await.unwrap();
        let sizes: Vec<_> = (0..count).map(|_| self.draw(1000) as u64).collect();
        let parts = (0..).zip(sizes).map(|(shard, size)| part(shard, size));
        SealedBackup { state, parts: numbers.into_iter().zip(parts).collect(), ..nothing() }
    }

    /// Takes in a copy of a backup that there is.
    async fn adopt(&mut self, second: i64) {
        if self.backups.is_empty() {
            return;
        }
        let drawn = self.draw(self.backups.len());
        let (account, like) = self.backups[drawn].clone();
        let like = self.catalog.row(&account, like).await;
        if like.state.is_active() {
            return;
        }
        let numbers = self.catalog.mint_numbers(10).await.unwrap();
        let mut parts = like.parts.clone();
        parts.iter_mut().zip(&numbers[2..]).for_each(|(part, number)| part.number = *number);
        let new =
            Backup { id: BackupId::mint(at(second)), number: numbers[0], job: numbers[1], parts, ..like };
        assert_eq!(self.catalog.adopt_backups(std::slice::from_ref(&new)).await.unwrap(), 1);
        self.backups.push((account, new.id));
    }

    async fn remove_or_judge(&mut self, second: i64) {
        if self.backups.is_empty() {
            return;
        }
        let drawn = self.draw(self.backups.len());
        let (account, id) = self.backups[drawn].clone();
        let added = if self.draw(2) == 0 {
            self.catalog.expire_backup(&account, id, at(second)).await.ok()
        } else {
            let instance = self.catalog.row(&account, id).await.instance;
            // A scrub would wait until nothing else is due, which is seldom here.
            let kind = JobKind::Repair;
            let new =
                NewJob { account: account.clone(), backup: id, instance, kind, order: None, target: None };
            self.catalog.request_job(&new, at(second)).await.ok().map(|job| job.number)
        };
        self.jobs.extend(added.map(|number| (account, number)));
    }

    /// Holds every list against the rows, read one by one; says which states these have.
    async fn check(&self) -> BTreeSet<&'static str> {
        let mut seen = BTreeSet::new();
        for account in [acme(), rival()] {
            let mut backups = Vec::new();
            for (_, id) in self.backups.iter().filter(|(owner, _)| *owner == account) {
                backups.push(self.catalog.row(&account, *id).await);
            }
            seen.extend(backups.iter().map(|backup| backup.state.as_str()));
            backups.sort_by_key(|backup| std::cmp::Reverse((backup.created_at, backup.number)));
            for filter in backup_filters() {
                self.check_backups(&account, &backups, filter).await;
            }
            for name in ["crs-1", "crs-2", "crs-3"] {
                let available = backups.iter().filter(|backup| {
                    backup.instance.as_str() == name && backup.state == BackupState::Available
                });
                let bytes: u64 =
                    available.flat_map(|backup| &backup.parts).map(|part| part.sealed.size_bytes).sum();
                assert_eq!(self.catalog.available_bytes(&account, &id(name)).await.unwrap(), bytes, "{name}");
            }
            self.check_jobs(&account, &backups).await;
        }
        seen
    }

    async fn check_backups(&self, account: &AccountId, all: &[Backup], filter: BackupFilter) {
        let mut expected: Vec<_> =
            all.iter().filter(|backup| fits(&filter, backup)).map(|backup| backup.id).collect();
        if filter.oldest_first {
            expected.reverse();
        }
        for (offset, limit) in [(0, 1000), (2, 3)] {
            let filter = BackupFilter { page: Page { offset, limit }, ..filter.clone() };
            let listed = self.catalog.backups(account, &filter).await.unwrap();
            let shown: Vec<_> = listed.rows.iter().map(|backup| backup.id).collect();
            assert_eq!(listed.total, expected.len() as u64, "{filter:?}");
            assert_eq!(shown, page_of(&expected, &filter.page), "{filter:?}");
        }
    }

    async fn check_jobs(&self, account: &AccountId, backups: &[Backup]) {
        let mut all = Vec::new();
        for (_, number) in self.jobs.iter().filter(|(owner, _)| owner == account) {
            let job = self.catalog.job(account, *number).await.unwrap().unwrap();
            let backup = backups.iter().find(|backup| backup.id == job.backup).unwrap();
            all.push((job, backup));
        }
        all.sort_by_key(|(job, _)| std::cmp::Reverse(job.number));
        for filter in job_filters() {
            let fitting = all.iter().filter(|(job, backup)| fits_job(&filter, job, backup));
            let expected: Vec<_> = fitting.map(|(job, _)| job.number).collect();
            for (offset, limit) in [(0, 1000), (2, 3)] {
                let filter = JobFilter { page: Page { offset, limit }, ..filter.clone() };
                let listed = self.catalog.jobs(account, &filter).await.unwrap();
                let shown: Vec<_> = listed.rows.iter().map(|row: &ListedJob| row.job.number).collect();
                assert_eq!(listed.total, expected.len() as u64, "{filter:?}");
                assert_eq!(shown, page_of(&expected, &filter.page), "{filter:?}");
            }
        }
    }
}

fn page_of<T: Copy>(all: &[T], page: &Page) -> Vec<T> {
    let (skip, take) = (usize::try_from(page.offset).unwrap(), usize::try_from(page.limit).unwrap());
    all.iter().skip(skip).take(take).copied().collect()
}

fn places() -> Vec<Place> {
    let of = |region: &str| vec![region.to_owned()];
    vec![
        Place { regions: of("south"), ..Place::default() },
        Place { regions: vec!["north".to_owned(), "south".to_owned()], ..Place::default() },
        Place { beyond: of("north"), ..Place::default() },
        Place { zone: Some("north-1".to_owned()), ..Place::default() },
        Place { zone: Some("mars-1".to_owned()), ..Place::default() },
        Place { replica_zone: Some("north-2".to_owned()), spans_zones: true, ..Place::default() },
    ]
}

fn backup_filters() -> Vec<BackupFilter> {
    use BackupState::{Available, Damaged, Expired, Failed, Partial, Quarantined, Queued, Running};
    let all = BackupFilter::default;
    let mut filters = vec![
        all(),
        BackupFilter { oldest_first: true, ..all() },
        BackupFilter { instance: Some(id("crs-1")), ..all() },
        BackupFilter { instance: Some(id("crs-1")), states: vec![Available], ..all() },
        BackupFilter { instance: Some(id("crs-9")), ..all() },
        BackupFilter { project: Some(id("web")), ..all() },
        BackupFilter { project: Some(id("shop")), mode: Some(Mode::Manual), ..all() },
        BackupFilter { instance_search: Some("s-3".to_owned()), ..all() },
        BackupFilter { instance_search: Some("name of".to_owned()), mode: Some(Mode::Automated), ..all() },
        BackupFilter { since: Some(at(20)), until: Some(at(60)), ..all() },
        BackupFilter { since: Some(at(20)), until: Some(at(24)), oldest_first: true, ..all() },
        BackupFilter { instance: Some(id("crs-3")), until: Some(at(40)), ..all() },
    ];
    for states in [
        vec![Queued, Running],
        vec![Failed],
        vec![Damaged],
        vec![Failed, Partial, Quarantined, Damaged],
        vec![Available, Failed],
        vec![Expired],
    ] {
        filters.push(BackupFilter { states, ..all() });
    }
    filters.extend(places().into_iter().map(|place| BackupFilter { place, ..all() }));
    filters
}

fn fits(filter: &BackupFilter, backup: &Backup) -> bool {
    let started = backup.started_at.unwrap_or(backup.created_at);
    let is_in_state = if filter.states.is_empty() {
        backup.state != BackupState::Expired
    } else {
        filter.states.contains(&backup.state)
    };
    is_in_state
        && filter.project.as_ref().is_none_or(|project| backup.project.as_ref() == Some(project))
        && filter.instance.as_ref().is_none_or(|instance| backup.instance == *instance)
        && filter
            .instance_search
            .as_ref()
            .is_none_or(|text| backup.instance.as_str().contains(text) || backup.instance_name.contains(text))
        && filter.mode.is_none_or(|mode| backup.mode == mode)
        && filter.since.is_none_or(|since| started >= since)
        && filter.until.is_none_or(|until| started <= until)
        && is_there(&filter.place, backup)
}

fn is_there(place: &Place, backup: &Backup) -> bool {
    place.holds(backup.region.as_deref(), backup.zone.as_deref(), backup.replica_zone.as_deref())
}

fn job_filters() -> Vec<JobFilter> {
    use JobKind::{RemoveBackup, Repair, Restore, TakeBackup};
    use JobState::{Cancelled, Done, Failed, Queued, Running};
    let all = JobFilter::default;
    let mut filters = vec![
        all(),
        JobFilter { instance: Some(id("crs-1")), ..all() },
        JobFilter { instance_search: Some("crs-3".to_owned()), kinds: vec![TakeBackup], ..all() },
        JobFilter { kinds: vec![TakeBackup, RemoveBackup, Restore], ..all() },
        JobFilter { kinds: vec![Repair], states: vec![Done], ..all() },
        JobFilter { states: vec![Queued, Running], ..all() },
        JobFilter { states: vec![Failed, Cancelled], mode: Some(Mode::Manual), ..all() },
        JobFilter { mode: Some(Mode::Automated), ..all() },
        JobFilter { kinds: vec![TakeBackup, RemoveBackup], mode: Some(Mode::Automated), ..all() },
        JobFilter { project: Some(id("shop")), ..all() },
        JobFilter { since: Some(at(20)), until: Some(at(60)), ..all() },
        JobFilter { instance: Some(id("crs-2")), since: Some(at(50)), ..all() },
    ];
    filters.extend(places().into_iter().map(|place| JobFilter { place, ..all() }));
    filters
}

fn fits_job(filter: &JobFilter, job: &Job, backup: &Backup) -> bool {
    (filter.kinds.is_empty() || filter.kinds.contains(&job.kind))
        && (filter.states.is_empty() || filter.states.contains(&job.state))
        && filter.project.as_ref().is_none_or(|project| backup.project.as_ref() == Some(project))
        && filter.instance.as_ref().is_none_or(|instance| job.instance == *instance)
        && filter
            .instance_search
            .as_ref()
            .is_none_or(|text| job.instance.as_str().contains(text) || backup.instance_name.contains(text))
        && filter.mode.is_none_or(|mode| job.kind != JobKind::TakeBackup || backup.mode == mode)
        && filter.since.is_none_or(|since| job.created_at >= since)
        && filter.until.is_none_or(|until| job.created_at <= until)
        && is_there(&filter.place, backup)
}

/// Rows of a catalog before there were tallies by place: three backups with parts and jobs, one without.
pub(in crate::catalog) const ROWS: &[&str] = &[
    "INSERT INTO account (id, name, created_at) VALUES ('acme', 'acme', 0)",
    "INSERT INTO backup (id, number, account, instance, instance_name, region, state, mode, method, job, created_at) \
     VALUES ('b-1', 1, 'acme', 'r-1', 'one', NULL, 'available', 'manual', 'physical', 9, 0), \
     ('b-2', 2, 'acme', 'r-1', 'one', NULL, 'available', 'manual', 'physical', 9, 0), \
     ('b-3', 3, 'acme', 'r-2', 'two', 'north', 'failed', 'automated', 'physical', 9, 0), \
     ('b-4', 4, 'acme', 'r-2', 'two', 'north', 'expired', 'automated', 'physical', 9, 0)",
    "INSERT INTO part (number, backup, shard, size) VALUES (11, 'b-1', 0, 100), (12, 'b-1', 1, 200), \
     (13, 'b-2', 0, 400), (14, 'b-3', 0, 800)",
    "INSERT INTO job (number, account, kind, backup, instance, state, not_before, created_at) VALUES \
     (21, 'acme', 'take_backup', 'b-1', 'r-1', 'done', 0, 0), (22, 'acme', 'scrub', 'b-1', 'r-1', 'queued', 0, 0), \
     (23, 'acme', 'take_backup', 'b-3', 'r-2', 'failed', 0, 0)",
];

/// Changes of those rows, also such as the catalog's calls never make.
pub(in crate::catalog) const CHANGES: &[&str] = &[
    "UPDATE part SET size = size + 7",
    "UPDATE part SET backup = 'b-2', shard = 5 WHERE number = 12",
    "UPDATE backup SET state = 'damaged' WHERE number < 4",
    "UPDATE job SET state = 'running' WHERE state = 'queued'",
    "UPDATE job SET state = 'done', attempt = 2",
    "DELETE FROM job WHERE number = 21",
    "DELETE FROM job",
    "UPDATE backup SET instance_name = 'new', region = 'south', project = NULL WHERE instance = 'r-1'",
    "DELETE FROM part WHERE number = 11",
    "DELETE FROM backup WHERE id = 'b-1'",
    "DELETE FROM part",
    "DELETE FROM backup",
];

/// Kinds of backups or jobs of which a tally says something else than the rows.
pub(in crate::catalog) const DISAGREEMENTS: &str = "WITH \
    fresh AS (SELECT account, instance, instance_name, COALESCE(project, '') AS project, \
        COALESCE(region, '') AS region, COALESCE(zone, '') AS zone, COALESCE(replica_zone, '') AS replica_zone, mode, \
        state, COUNT(*) AS backups, \
        CAST(COALESCE(SUM((SELECT SUM(size) FROM part WHERE part.backup = backup.id)), 0) AS BIGINT) AS bytes \
        FROM backup GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9), \
    kept AS (SELECT * FROM backup_tally WHERE backups <> 0 OR bytes <> 0), \
    fresh_jobs AS (SELECT j.account, j.instance, b.instance_name, COALESCE(b.project, '') AS project, \
        COALESCE(b.region, '') AS region, COALESCE(b.zone, '') AS zone, COALESCE(b.replica_zone, '') AS replica_zone, \
        b.mode, j.kind, j.state, COUNT(*) AS jobs \
        FROM job j JOIN backup b ON b.id = j.backup GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), \
    kept_jobs AS (SELECT * FROM job_tally WHERE jobs <> 0) \
    SELECT (SELECT COUNT(*) FROM (SELECT * FROM fresh EXCEPT SELECT * FROM kept) AS a) \
    + (SELECT COUNT(*) FROM (SELECT * FROM kept EXCEPT SELECT * FROM fresh) AS b) \
    + (SELECT COUNT(*) FROM (SELECT * FROM fresh_jobs EXCEPT SELECT * FROM kept_jobs) AS c) \
    + (SELECT COUNT(*) FROM (SELECT * FROM kept_jobs EXCEPT SELECT * FROM fresh_jobs) AS d)";
