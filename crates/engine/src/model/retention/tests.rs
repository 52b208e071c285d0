use proptest::prelude::*;

use super::*;
use crate::model::{AccountId, Method, ScrubOutcome, Whole};

const NOW: &str = "2026-11-20T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// An automated, available backup that is so many hours old.
fn backup(hours: i64) -> Backup {
    let created_at = now() - jiff::SignedDuration::from_hours(hours);
    Backup {
        id: BackupId::mint(created_at),
        number: 1,
        account: AccountId::default(),
        instance: "i".parse().unwrap(),
        instance_name: "i".to_owned(),
        project: None,
        region: None,
        zone: None,
        replica_zone: None,
        state: BackupState::Available,
        mode: Mode::Automated,
        method: Method::Physical,
        name: None,
        remark: None,
        job: 1,
        attempt: 1,
        created_at,
        started_at: None,
        ended_at: None,
        expires_at: None,
        protected: false,
        server: None,
        failure: None,
        origin: None,
        last_drill: None,
        last_scrub: None,
        parts: Vec::new(),
    }
}

/// One a day at noon, newest first.
fn days(count: i64) -> Vec<Backup> {
    (0..count).map(|day| backup(day * 24)).collect()
}

fn kept(backups: &[Backup], rules: &Retention) -> Vec<usize> {
    let verdicts = retain(now(), backups, Some((rules, &TimeZone::UTC)));
    assert_eq!(verdicts.len(), backups.len());
    assert!(verdicts.iter().all(|verdict| !verdict.reasons.is_empty()));
    verdicts.iter().enumerate().filter(|(_, verdict)| verdict.keep).map(|(place, _)| place).collect()
}

#[test]
fn each_rule_keeps_what_it_says() {
    let all = days(800);
    let none = Retention::default();
    assert_eq!(kept(&all, &none).len(), 800, "no rule, nothing goes");
    assert_eq!(kept(&all, &Retention { last: 3, ..none }), [0, 1, 2]);
    assert_eq!(kept(&all, &Retention { within: Span::days(7), ..none }), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(kept(&all, &Retention { daily: 2, ..none }), [0, 1]);
    // 20 November 2026 is a Friday: the weeks before end on Sundays.
    assert_eq!(kept(&all, &Retention { weekly: 3, ..none }), [0, 5, 12]);
    assert_eq!(kept(&all, &Retention { monthly: 3, ..none }), [0, 20, 51]);
    assert_eq!(kept(&all, &Retention { yearly: 3, ..none }), [0, 324, 689]);
    assert_eq!(
        kept(&all, &Retention { last: 1, weekly: 2, monthly: 2, ..none }),
        [0, 5, 20],
        "any rule keeps"
    );
    assert_eq!(kept(&all, &Retention { last: 1, minimum: 4, ..none }), [0, 1, 2, 3]);
}

#[test]
fn the_newest_of_a_day_is_kept_and_days_are_of_the_policys_zone() {
    // 12:00, 08:00 and 04:00 today, and 20:00 yesterday, in UTC.
    let all: Vec<Backup> = [0, 4, 8, 16].map(backup).into();
    let rules = Retention { daily: 5, ..Retention::default() };
    assert_eq!(kept(&all, &rules), [0, 3]);
    // In Tokyo, yesterday's is of this morning.
    let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
    let verdicts = retain(now(), &all, Some((&rules, &tokyo)));
    assert_eq!(verdicts.iter().map(|verdict| verdict.keep).collect::<Vec<_>>(), [true, false, false, false]);
    assert_eq!(verdicts[0].reasons[0], "daily 2026-11-20");
}

#[test]
fn the_last_good_one_stays_however_old() {
    let rules = Retention { within: Span::days(1), ..Retention::default() };
    let mut all = days(5);
    assert_eq!(kept(&all[2..], &rules), [0], "all are too old");
    all[0].state = BackupState::Failed;
    all[1].state = BackupState::Quarantined;
    assert_eq!(kept(&all, &rules), [0, 1, 2]);
}

#[test]
fn what_somebody_said_of_one_goes_before_what_is_said_of_all() {
    let mut all = days(4);
    all[1].expires_at = Some(now());
    all[2].expires_at = Some(now() + jiff::SignedDuration::from_hours(1));
    all[3].protected = true;
    all[3].expires_at = Some(now());
    let strict = Retention { last: 1, ..Retention::default() };
    assert_eq!(kept(&all, &strict), [0, 2, 3]);
    let without = retain(now(), &all, None);
    assert_eq!(without.iter().map(|verdict| verdict.keep).collect::<Vec<_>>(), [true, false, true, true]);
    // Nothing newer is good: even its own expiry waits.
    assert!(retain(now(), &all[1..2], None)[0].keep);
}

#[test]
fn backups_by_hand_stay_unless_the_policy_says_otherwise() {
    let mut all = days(3);
    all[2].mode = Mode::Manual;
    let rules = Retention { last: 1, ..Retention::default() };
    assert_eq!(kept(&all, &rules), [0, 2]);
    assert_eq!(kept(&all, &Retention { include_manual: true, ..rules }), [0]);
}

#[test]
fn what_is_not_good_goes_when_it_is_old_and_there_is_a_good_one_since() {
    let rules = Retention { within: Span::days(7), ..Retention::default() };
    for state in [BackupState::Partial, BackupState::Quarantined, BackupState::Damaged] {
        let mut all = days(20);
        all[8].state = state;
        all[2].state = state;
        assert_eq!(kept(&all, &rules), [0, 1, 2, 3, 4, 5, 6], "{state}");
        let alone: Vec<Backup> = all[8..].iter().filter(|backup| backup.state == state).cloned().collect();
        assert_eq!(kept(&alone, &rules), [0], "nothing good since: {state}");
    }
    let mut all = days(40);
    for backup in &mut all[1..] {
        backup.state = BackupState::Failed;
    }
    assert_eq!(kept(&all, &rules).len(), 7);
    assert_eq!(
        kept(&all, &Retention { last: 2, ..Retention::default() }).len(),
        30,
        "for 30 days without an age"
    );
}

#[test]
fn a_damaged_backup_is_given_time_from_when_it_was_first_found() {
    let rules = Retention { within: Span::days(7), ..Retention::default() };
    let days_ago = |days: i64| now() - jiff::SignedDuration::from_hours(24 * days);
    let mut all = days(20);
    for (place, until) in [(15, Some(days_ago(8))), (16, Some(days_ago(6))), (17, None)] {
        all[place].state = BackupState::Damaged;
        all[place].last_scrub = Some(ScrubOutcome {
            at: days_ago(1),
            ok: false,
            bytes: 1,
            took_ms: 1,
            broken: vec![0],
            failure: None,
            before: Some(Whole { state: BackupState::Available, failure: None, until }),
        });
    }
    assert_eq!(kept(&all, &rules), [0, 1, 2, 3, 4, 5, 6, 16, 17], "however often it was looked at since");
}

#[test]
fn an_expiry_is_told_where_age_alone_decides() {
    let rules = Retention { within: Span::days(7), ..Retention::default() };
    let one = backup(24);
    assert_eq!(rules.ends(&one), Some(now() + jiff::SignedDuration::from_hours(6 * 24)));
    assert_eq!(Retention { daily: 1, ..rules }.ends(&one), None);
    assert_eq!(rules.ends(&Backup { protected: true, ..one.clone() }), None);
    assert_eq!(rules.ends(&Backup { mode: Mode::Manual, ..one }), None);
}

const STATES: [BackupState; 8] = [
    BackupState::Available,
    BackupState::Available,
    BackupState::Available,
    BackupState::Partial,
    BackupState::Quarantined,
    BackupState::Failed,
    BackupState::Damaged,
    BackupState::Running,
];

prop_compose! {
    fn any_backup()(
        hours in 0i64..20_000,
        state in 0..STATES.len(),
        manual in proptest::bool::weighted(0.2),
        protected in proptest::bool::weighted(0.1),
        expiry in proptest::option::weighted(0.2, -2000i64..2000),
    ) -> Backup {
        Backup {
            state: STATES[state],
            mode: if manual { Mode::Manual } else { Mode::Automated },
            protected,
            expires_at: expiry.map(|hours| now() + jiff::SignedDuration::from_hours(hours)),
            ..backup(hours)
        }
    }
}

prop_compose! {
    fn any_rules()(
        last in 0u32..6, days in 0u32..40, daily in 0u32..9, weekly in 0u32..6, monthly in 0u32..6, yearly in 0u32..4,
        minimum in 1u32..5, include_manual in any::<bool>(),
    ) -> Retention {
        Retention { last, within: Span::days(days), daily, weekly, monthly, yearly, minimum, include_manual }
    }
}

fn remaining(at: Timestamp, all: &[Backup], rules: Option<&Retention>) -> Vec<Backup> {
    let utc = TimeZone::UTC;
    let verdicts = retain(at, all, rules.map(|rules| (rules, &utc)));
    all.iter().zip(verdicts).filter(|(_, verdict)| verdict.keep).map(|(backup, _)| backup.clone()).collect()
}

proptest! {
    #[test]
    fn what_matters_always_stays(
        all in proptest::collection::vec(any_backup(), 0..60),
        rules in proptest::option::of(any_rules()),
    ) {
        let left = remaining(now(), &all, rules.as_ref());
        let good = |list: &[Backup]| list.iter().filter(|one| one.state == BackupState::Available).count();
        let minimum = rules.map_or(1, |rules| rules.minimum as usize);
        prop_assert!(good(&left) >= minimum.min(good(&all)));
        for backup in &all {
            let stays = left.iter().any(|one| one.id == backup.id);
            let must = backup.protected || backup.state.is_active() || backup.expires_at.is_some_and(|end| end > now());
            prop_assert!(stays || !must);
        }
        let newest = all.iter().filter(|one| one.state == BackupState::Available).max_by_key(|one| one.created_at);
        if let Some(newest) = newest {
            prop_assert!(left.iter().any(|one| one.created_at == newest.created_at));
        }
    }

    #[test]
    fn a_second_run_finds_nothing_more(
        all in proptest::collection::vec(any_backup(), 0..60),
        rules in proptest::option::of(any_rules()),
    ) {
        let once = remaining(now(), &all, rules.as_ref());
        let twice = remaining(now(), &once, rules.as_ref());
        prop_assert_eq!(once.len(), twice.len());
    }

    #[test]
    fn time_brings_nothing_back_and_a_wider_rule_loses_nothing(
        all in proptest::collection::vec(any_backup(), 0..60),
        rules in any_rules(),
        hours in 0i64..5000,
    ) {
        let left = remaining(now(), &all, Some(&rules));
        let later = remaining(now() + jiff::SignedDuration::from_hours(hours), &all, Some(&rules));
        prop_assert!(later.iter().all(|one| left.iter().any(|other| other.id == one.id)));
        // Wider within the same rules: one that was not set before would no longer keep everything.
        let wider = Retention { last: rules.last + 2, minimum: rules.minimum + 1, ..rules };
        if !rules.keeps_everything() {
            let wide = remaining(now(), &all, Some(&wider));
            prop_assert!(left.iter().all(|one| wide.iter().any(|other| other.id == one.id)));
        }
    }
}
