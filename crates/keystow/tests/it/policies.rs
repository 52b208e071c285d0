//! Policies, pruning and scrubs, as an operator meets them.

use serde_json::{Value, json};

use crate::lab::{Redis, Said, Server, until};

fn refused(said: &Said, exit: i32, code: &str) {
    assert_eq!(said.code, exit, "{said:?}");
    assert!(said.err.contains(&format!("error[{code}]")), "{said:?}");
}

fn available(server: &Server) -> Vec<Value> {
    let rows = server.json(&["backup", "list", "--state", "available"]);
    rows.as_array().unwrap().clone()
}

#[test]
fn an_instance_is_backed_up_from_the_start_and_its_policy_is_changed() {
    let (redis, server) = (Redis::start(&[]), Server::start());
    let body = json!({ "url": redis.url(), "id": "a" }).to_string();
    let added = server.api("POST", "/api/v1/instances", &body).json();
    assert_eq!(added["policy"]["keep"]["within"], "7d", "{added}");
    let next = added["policy"]["next_at"].as_str().unwrap();
    let shown = server.json(&["instance", "show", "a"]);
    assert_eq!(shown["policy"]["next_at"], next);
    // A person is told as well.
    let said = server.typed(&["instance", "add", &redis.url(), "--id", "b"]);
    assert!(said.out.contains("next backup") && said.err.contains("kept for 7 days"), "{said:?}");

    let row = server.json(&[
        "policy",
        "set",
        "a",
        "--cron",
        "30 3 * * *",
        "--cron",
        "0 15 * * 1-5",
        "--time-zone",
        "Asia/Shanghai",
        "--jitter",
        "10m",
        "--window",
        "22:00-06:00",
        "--window",
        "12:00-18:00",
        "--keep-daily",
        "7",
        "--drill-every",
        "30d",
    ]);
    assert_eq!((&row["version"], &row["drill_every"]), (&json!(2), &json!("30d")));
    assert_eq!(row["windows"], json!(["22:00-06:00", "12:00-18:00"]));
    assert_eq!(
        (&row["keep"]["within"], &row["keep"]["daily"]),
        (&json!("7d"), &json!(7)),
        "what is not named stays"
    );
    let coming = server.json(&["policy", "next", "-n", "5"]);
    let starts: Vec<&str> =
        coming.as_array().unwrap().iter().map(|row| row["start_at"].as_str().unwrap()).collect();
    assert!(starts.len() == 5 && starts.is_sorted(), "{coming}");
    assert_eq!(server.json(&["policy", "next", "b", "-n", "1"])[0]["instance"], "b");
    server.json(&["policy", "set", "a", "--pause"]);
    assert_eq!(server.json(&["policy", "next", "a"]), json!([]));
    let text = server.cli(&["policy", "show", "a"]).out;
    assert!(text.contains("paused; else 30 3 * * * and 0 15 * * 1-5 (Asia/Shanghai)"), "{text}");

    refused(&server.cli(&["policy", "set", "a", "--cron", "0 0 30 2 *"]), 2, "INVALID_VALUE");
    refused(&server.cli(&["policy", "set", "a", "--time-zone", "Mars"]), 2, "INVALID_VALUE");
    refused(&server.cli(&["policy", "set", "a", "--keep-within", "soon"]), 2, "INVALID_VALUE");
    refused(&server.cli(&["policy", "set", "a", "--version-seen", "2", "--resume"]), 6, "CONFLICT");
    refused(&server.cli(&["policy", "set", "c"]), 5, "INSTANCE_NOT_FOUND");
    assert_eq!(server.cli(&["policy", "delete", "a", "--yes"]).code, 0);
    refused(&server.cli(&["policy", "show", "a"]), 5, "POLICY_NOT_FOUND");
    let doctor = server.cli(&["doctor"]).out;
    assert!(doctor.contains("1 of 2 instances have one; keystow policy set gives one to a"), "{doctor}");
}

#[test]
fn what_a_dry_run_tells_is_what_goes_and_it_goes_by_itself_too() {
    let (redis, server) = (Redis::start(&[]), Server::start());
    server.backup_of(&redis, "a");
    let second = server.json(&["backup", "create", "a", "--wait"]);
    let third = server.json(&["backup", "create", "a", "--wait"]);
    let keep = ["--keep-within", "0", "--keep-last", "2", "--include-manual", "true", "--no-cron"];
    server.json(&[&["policy", "set", "a"], &keep[..]].concat());
    let left = [third["id"].clone(), second["id"].clone()];
    until("the oldest to go by itself", || {
        let now: Vec<Value> = available(&server).iter().map(|row| row["id"].clone()).collect();
        (now == left).then_some(())
    });
    let last: [&str; 5] = ["policy", "set", "a", "--keep-last", "1"];
    server.json(&["backup", "protect", second["id"].as_str().unwrap()]);
    server.json(&last);
    let dry = server.json(&["backup", "prune", "a", "--dry-run"]);
    let verdicts: Vec<_> =
        dry.as_array().unwrap().iter().map(|row| (&row["keep"], &row["reasons"][0])).collect();
    assert_eq!(verdicts, [(&json!(true), &json!("one of the last 1")), (&json!(true), &json!("protected"))]);
    let listed = server.cli(&["backup", "list"]).out;
    assert!(listed.contains("EXPIRES") && listed.contains("protected"), "{listed}");
    let said = server.cli(&["backup", "prune"]);
    assert!(said.err.contains("0 removed, 2 stay"), "{said:?}");
    refused(&server.cli(&["backup", "prune", "nothing"]), 5, "INSTANCE_NOT_FOUND");
}

#[test]
fn a_scrub_finds_a_flipped_bit_and_says_so_with_its_exit_code() {
    let (redis, server) = (Redis::start(&[]), Server::start());
    let backup = server.backup_of(&redis, "a");
    let id = backup["id"].as_str().unwrap();
    let good = server.json(&["backup", "scrub", id, "--wait"]);
    assert_eq!((&good["state"], &good["outcome"]["scrub"]["ok"]), (&json!("done"), &json!(true)));
    let repository = server.data.join("repository");
    let part = until("the part", || {
        let mut waiting = vec![repository.clone()];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    waiting.push(path);
                } else if path.to_string_lossy().ends_with("/0.rdb") {
                    return Some(path);
                }
            }
        }
        None
    });
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    refused(&server.cli(&["backup", "scrub", id, "--wait"]), 7, "OBJECT_DAMAGED");
    assert_eq!(server.json(&["backup", "show", id])["state"], "damaged");
    refused(&server.cli(&["link", "create", id]), 6, "BACKUP_NOT_AVAILABLE");
}
