use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::model::Schedule;

fn policy(lines: &[&str], zone: &str) -> Policy {
    Policy {
        schedules: lines.iter().map(|cron| Schedule { cron: (*cron).to_owned() }).collect(),
        time_zone: zone.to_owned(),
        ..Policy::default()
    }
}

fn calendar(lines: &[&str], zone: &str) -> Calendar {
    Calendar::of(&policy(lines, zone), "acme/i").unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Every fire from one moment (not in it) to another.
fn fires(calendar: &Calendar, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let mut found = Vec::new();
    let mut after = from;
    while let Some(next) = calendar.next(after).filter(|next| next.fire <= to) {
        assert!(next.fire > after, "fires go on in time");
        found.push(next.fire);
        after = next.fire;
    }
    found
}

#[test]
fn a_skipped_time_fires_right_after_the_gap_and_a_repeated_one_once() {
    let berlin = calendar(&["30 2 * * *"], "Europe/Berlin");
    // 29 March 2026, 02:00 to 03:00 is skipped; 25 October, it comes twice.
    let spring = fires(&berlin, at("2026-03-28T12:00:00Z"), at("2026-03-30T12:00:00Z"));
    assert_eq!(spring, [at("2026-03-29T01:00:00Z"), at("2026-03-30T00:30:00Z")]);
    let autumn = fires(&berlin, at("2026-10-24T12:00:00Z"), at("2026-10-26T12:00:00Z"));
    assert_eq!(autumn, [at("2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z")]);
}

#[test]
fn several_times_in_a_gap_are_one_fire() {
    let york = calendar(&["*/20 * * * *"], "America/New_York");
    let spring = fires(&york, at("2026-03-08T06:30:00Z"), at("2026-03-08T07:40:00Z"));
    let expected =
        ["2026-03-08T06:40:00Z", "2026-03-08T07:00:00Z", "2026-03-08T07:20:00Z", "2026-03-08T07:40:00Z"];
    assert_eq!(spring, expected.map(at));
    // In the second hour of 1 o'clock nothing fires; 2 o'clock is the next.
    let autumn = fires(&york, at("2026-11-01T05:30:00Z"), at("2026-11-01T07:00:00Z"));
    assert_eq!(autumn, [at("2026-11-01T05:40:00Z"), at("2026-11-01T07:00:00Z")]);
}

#[test]
fn a_leap_day_fires_in_leap_years_only() {
    let leap = calendar(&["0 12 29 2 *"], "Asia/Shanghai");
    let found = fires(&leap, at("2026-01-01T00:00:00Z"), at("2033-01-01T00:00:00Z"));
    assert_eq!(found, [at("2028-02-29T04:00:00Z"), at("2032-02-29T04:00:00Z")]);
}

#[test]
fn lines_that_make_no_sense_are_refused() {
    for line in [
        "",
        "* * * *",
        "* * * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "60 * * * *",
        "0 24 * * *",
        "@daily",
        "x y z 1 2",
        "0 0 * * 8",
        "é * * * *",
        "0 0 0 * *",
    ] {
        let error = Calendar::of(&policy(&[line], "UTC"), "i").err().unwrap_or_else(|| panic!("{line}"));
        assert_eq!((error.code, error.message.contains("cron line")), ("INVALID_VALUE", true), "{line}");
    }
    assert!(Calendar::of(&policy(&["0 3 * * *"], "Mars/Olympus"), "i").is_err());
    assert!(Calendar::of(&policy(&["0 3 * * *"], ""), "i").is_err());
    let long = "0,".repeat(100) + "1 * * * *";
    assert!(Calendar::of(&policy(&[&long], "UTC"), "i").is_err());
    assert!(Calendar::of(&policy(&["0 3 * * *"; 25], "UTC"), "i").is_err());
}

#[test]
fn lines_that_people_write_are_read() {
    for line in [
        "0 3 * * *",
        "*/5 * * * *",
        "15 2,14 * * MON-FRI",
        "0 4 1 JAN *",
        "0 5 L * *",
        "0 5 * * SUN#1",
        "59 23 31 12 7",
    ] {
        assert!(Calendar::of(&policy(&[line], "Asia/Shanghai"), "i").is_ok(), "{line}");
    }
}

#[test]
fn several_lines_fire_at_the_earliest_and_only_once_where_they_meet() {
    let both = calendar(&["0 3 * * *", "0 3,15 * * *"], "UTC");
    let found = fires(&both, at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z"));
    assert_eq!(found, [at("2026-01-01T03:00:00Z"), at("2026-01-01T15:00:00Z")]);
}

#[test]
fn windows_are_read_and_hold_what_they_say() {
    for text in
        ["", "01:00", "1:00-2:00", "24:00-01:00", "03:00-03:00", "01:60-02:00", "01:00-24:01", "01:00-00:00"]
    {
        assert!(text.parse::<Window>().is_err(), "{text}");
    }
    let night: Window = "22:00-04:00".parse().unwrap();
    let held: Vec<u16> =
        [0, 239, 240, 1319, 1320, 1439].into_iter().filter(|minute| night.holds(*minute)).collect();
    assert_eq!(held, [0, 239, 1320, 1439]);
    let all: Window = "00:00-24:00".parse().unwrap();
    assert_eq!((all.to_string(), all.holds(1439)), ("00:00-24:00".to_owned(), true));
}

#[test]
fn a_fire_outside_every_window_starts_when_the_next_one_opens() {
    let mut wanted = policy(&["0 12 * * *"], "Europe/Berlin");
    wanted.windows = vec!["01:00-05:00".parse().unwrap(), "22:00-23:00".parse().unwrap()];
    let calendar = Calendar::of(&wanted, "i").unwrap();
    let next = calendar.next(at("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(next, Planned { fire: at("2026-01-01T11:00:00Z"), start: at("2026-01-01T21:00:00Z") });
    assert_eq!(calendar.in_window(at("2026-01-01T22:30:00Z")), at("2026-01-02T00:00:00Z"));
    // 2 o'clock does not exist on that day: the window opens when the gap ends.
    wanted.windows = vec!["02:00-02:30".parse().unwrap()];
    let calendar = Calendar::of(&wanted, "i").unwrap();
    assert_eq!(calendar.in_window(at("2026-03-28T12:00:00Z")), at("2026-03-29T01:00:00Z"));
}

#[test]
fn jitter_is_the_instances_own_and_spreads() {
    let mut wanted = policy(&["0 3 * * *"], "UTC");
    wanted.jitter = Span::minutes(10);
    let start = |seed: &str| {
        let next = Calendar::of(&wanted, seed).unwrap().next(at("2026-01-01T00:00:00Z")).unwrap();
        next.start.duration_since(next.fire).as_secs()
    };
    assert_eq!(start("a/1"), start("a/1"));
    let delays: BTreeSet<i64> = (0..200).map(|number| start(&format!("a/{number}"))).collect();
    assert!(
        delays.len() > 120 && *delays.last().unwrap() <= 600 && *delays.first().unwrap() < 30,
        "{delays:?}"
    );
    wanted.jitter = Span::hours(13);
    assert!(Calendar::of(&wanted, "i").is_err());
}

#[test]
fn instances_of_the_usual_policy_are_spread_over_the_day() {
    let account = "default".parse().unwrap();
    let mut hours = [0; 24];
    for number in 0..480 {
        let instance = format!("redis-{number}").parse().unwrap();
        let calendar = Policy::usual(&account, &instance).check(&account, &instance).unwrap();
        let first = calendar.next(at("2026-01-01T00:00:00Z")).unwrap().start;
        hours[usize::try_from(first.to_zoned(TimeZone::UTC).hour()).unwrap()] += 1;
    }
    assert!(hours.iter().all(|count| (5..=45).contains(count)), "{hours:?}");
}

#[test]
fn a_long_rest_of_a_busy_line_is_counted_up_to_a_limit_and_ends_at_the_last_fire() {
    let busy = calendar(&["* * * * *"], "UTC");
    let due = busy.due(at("2020-01-01T00:00:00Z"), at("2026-06-01T12:00:30Z"));
    assert_eq!(due.last, at("2026-06-01T12:00:00Z"));
    assert_eq!(due.next.unwrap().fire, at("2026-06-01T12:01:00Z"));
    assert!(due.missed >= MOST_COUNTED);
    let yearly = calendar(&["0 0 1 1 *"], "UTC");
    let due = yearly.due(at("2020-01-01T00:00:00Z"), at("2026-06-01T12:00:30Z"));
    assert_eq!((due.last, due.missed), (at("2026-01-01T00:00:00Z"), 6));
}

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Asia/Shanghai",
    "Africa/Cairo",
    "America/Santiago",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Day by day, with nothing of the calendar but the rule: a wall clock time is one moment.
    #[test]
    fn a_year_has_each_fire_once(zone in 0..ZONES.len(), hour in 0i8..24, minute in 0i8..60, year in 2024i16..2030) {
        let name = ZONES[zone];
        let tz = TimeZone::get(name).unwrap();
        let line = format!("{minute} {hour} * * *");
        let calendar = calendar(&[&line], name);
        let first = date(year, 1, 1);
        let from = tz.to_timestamp(first.at(0, 0, 0, 0)).unwrap() - 1.second();
        let to = tz.to_timestamp(date(year + 1, 1, 1).at(0, 0, 0, 0)).unwrap() - 1.second();
        let found = fires(&calendar, from, to);
        let days = usize::try_from(first.days_in_year()).unwrap();
        prop_assert_eq!(found.len(), days);
        for (fire, day) in found.iter().zip(0..) {
            let civil = (first + day.days()).at(hour, minute, 0, 0);
            let earlier = tz.to_ambiguous_timestamp(civil).earlier().unwrap();
            let later = tz.to_ambiguous_timestamp(civil).later().unwrap();
            let shown = tz.to_datetime(*fire);
            if shown == civil {
                prop_assert_eq!(*fire, earlier.min(later), "the first of two");
            } else {
                // Skipped: the clock jumped over it to what is shown.
                prop_assert!(shown > civil);
                prop_assert!(tz.to_datetime(*fire - 1.second()) < civil, "right after the gap");
            }
        }
    }

    /// What a scheduler does that looks at odd moments: no fire twice, and none lost.
    #[test]
    fn whoever_looks_at_odd_moments_finds_each_fire_once(
        zone in 0..ZONES.len(),
        step in 1i8..30,
        pauses in proptest::collection::vec(1i64..200_000, 1..60),
    ) {
        let calendar = calendar(&[&format!("*/{step} */3 * * *")], ZONES[zone]);
        let start = at("2026-02-20T00:00:00Z");
        let mut next = calendar.next(start).unwrap();
        let (mut now, mut count) = (start, 0);
        for pause in pauses {
            now += pause.seconds();
            if next.start <= now {
                let due = calendar.due(next.fire, now);
                prop_assert!(due.missed < MOST_COUNTED);
                count += 1 + due.missed as usize;
                prop_assert!(due.last <= now && due.last >= next.fire);
                next = due.next.unwrap();
            }
            prop_assert!(next.start > now);
        }
        prop_assert_eq!(count, fires(&calendar, start, now).len());
    }

    #[test]
    fn a_line_is_refused_or_followed_but_never_panics(line in "[0-9*/,LW#? -]{0,24}", text in "\\PC{0,20}") {
        for line in [line, text] {
            if let Ok(calendar) = Calendar::of(&policy(&[&line], "Europe/Berlin"), "i") {
                prop_assert!(calendar.next(at("2026-01-01T00:00:00Z")).is_some());
            }
        }
    }
}
