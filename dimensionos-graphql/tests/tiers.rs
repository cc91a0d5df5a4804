//! Tiers that are changed by the command line while a server runs.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use std::path::PathBuf;
use std::time::Duration;

use dimensionos_core::{Clock, SystemClock};
use harness::{Home, REPORT};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_hours(24);
/// How long a server may take to read what was changed, three times over.
const TAKEN_UP: Duration = Duration::from_secs(30);

fn write(home: &Home, change: &Value) -> PathBuf {
    let path = home.path().join("tier.json");
    std::fs::write(&path, change.to_string()).unwrap();
    path
}

#[tokio::test]
async fn a_change_is_planned_then_applied_and_taken_up_by_a_server_that_runs() {
    let home = Home::new();
    let (server, _printed) = home.serve_with(&["serve", "--test-clock"]);
    let client = server.client();
    let agent = client.with_token(&home.print(&["agent", "create", "--name", "a"]));
    let (ada, bob) = (client.register("ada@example.org").await, client.register("bob@example.org").await);
    let samples = json!([
        { "account": ada.id, "apiCalls": 700, "storageBytes": 9_000_000_000_u64 },
        { "account": bob.id, "apiCalls": 3, "storageBytes": 7_000_000_000_u64 },
    ]);
    agent.data(REPORT, json!({ "input": { "sequence": 1, "samples": samples } })).await;

    let path = write(&home, &json!({ "tier": "FREE", "apiCallsPerHour": 600, "storageGigabytes": 6, "trialDays": 14 }));
    let from = SystemClock.now().after(DAY).to_string();
    let arguments = |command| ["operator", "tiers", command, "--file", path.to_str().unwrap(), "--from", &from];
    let before = home.print(&["operator", "tiers", "list"]);
    assert_eq!((before.lines().count(), before.matches("in force").count()), (5, 4), "{before}");
    let plan = home.print(&arguments("plan"));
    for told in [
        format!("FREE: version 2 from {from}, after version 1"),
        "  storageGigabytes: 10 -> 6\n  apiCallsPerHour: 1000 -> 600\n  trialDays: 30 -> 14\naccounts on FREE: 2\n"
            .to_owned(),
        format!("  {}  9000000000\n  {}  7000000000\n", ada.id, bob.id),
        "STORAGE: its limit falls from 10000000000 to 6000000000; accounts past that now: 2".to_owned(),
        "API_CALLS: its limit falls from 1000 to 600; accounts past that now: 1".to_owned(),
    ] {
        assert!(plan.contains(&told), "{told}: {plan}");
    }
    assert!(plan.ends_with(&format!("\n  {}  700", ada.id)), "{plan}");
    assert_eq!(home.print(&["operator", "tiers", "list"]), before, "a plan is no change");
    assert_eq!(home.run(&arguments("apply")).status.code(), Some(2), "it has to be meant");
    assert_eq!(home.print(&["operator", "tiers", "list"]), before);

    let applied = home.print(&[&arguments("apply")[..], &["--yes"]].concat());
    assert_eq!(applied, format!("{plan}\napplied: version 2 of FREE"));
    let after = home.print(&["operator", "tiers", "list"]);
    assert!(after.contains("upcoming") && after.contains(&from), "{after}");
    let calls = async || {
        let tiers = client.data("{ tiers { tier apiCallsPerHour } }", Value::Null).await;
        tiers["tiers"][0]["apiCallsPerHour"].as_u64().unwrap()
    };
    assert_eq!(calls().await, 1_000);
    let day_and_more = json!({ "advanceSeconds": 90_000 });
    let moved = client.http.post(server.url("/development/clock")).header("content-type", "application/json");
    assert_eq!(moved.body(day_and_more.to_string()).send().await.unwrap().status(), 200);
    let taken_up = async {
        while calls().await != 600 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(TAKEN_UP, taken_up).await.is_ok(), "not taken up");
}

#[test]
fn what_cannot_be_meant_is_refused_and_changes_nothing() {
    let home = Home::new();
    let right = json!({ "tier": "PRO", "cpuMillicores": 1 });
    let path = write(&home, &right);
    let day = SystemClock.now().after(DAY).to_string();
    let command = |home: &Home, from: &str| {
        let arguments = ["operator", "tiers", "apply", "--file", path.to_str().unwrap(), "--from", from, "--yes"];
        let output = home.run(&arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, line) = command(&home, &day);
    assert_eq!((code, line.lines().count()), (Some(1), 1), "there is no database: {line}");
    assert!(!home.path().join("data").exists(), "and none is made");
    home.print(&["db", "init"]);
    let before = home.print(&["operator", "tiers", "list"]);
    for wrong in [
        &["operator", "tiers"][..],
        &["operator", "tiers", "plan"],
        &["operator", "tiers", "plan", "--from", &day],
        &["operator", "tiers", "plan", "--file", "tier.json"],
        &["operator", "tiers", "plan", "--file", "tier.json", "--from", "tomorrow"],
        &["operator", "tiers", "plan", "--file", "tier.json", "--from", &day, "--yes"],
    ] {
        assert_eq!(home.run(wrong).status.code(), Some(2), "{wrong:?}");
    }
    for (change, told) in [
        (json!({ "tier": "PRO", "cpuCores": 1 }), "cpuCores"),
        (json!({ "cpuMillicores": 1 }), "tier"),
        (json!({ "tier": "GOLD", "cpuMillicores": 1 }), "FREE, STARTER, PRO or ENTERPRISE"),
        (json!({ "tier": "PRO", "database": "ORACLE" }), "POSTGRESQL_CLUSTER"),
        (json!({ "tier": "PRO", "cpuMillicores": -1 }), "cpuMillicores"),
        (json!({ "tier": "PRO", "cpuMillicores": 0 }), "cpuMillicores"),
        (json!({ "tier": "PRO", "trialDays": 3 }), "trialDays"),
        (json!({ "tier": "PRO" }), "changes nothing"),
        (json!("PRO"), "tier.json"),
    ] {
        write(&home, &change);
        let (code, line) = command(&home, &day);
        assert!(code == Some(1) && line.lines().count() == 1, "{change}: {line}");
        // serde names the type of a wrong figure and not its field.
        assert!(line.contains(told) || line.contains("invalid value"), "{change}: {line}");
    }
    write(&home, &right);
    for soon in [SystemClock.now().to_string(), "2026-01-01".to_owned()] {
        let (code, line) = command(&home, &soon);
        assert!(code == Some(1) && line.contains("from: less than 60 seconds ahead"), "{line}");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(command(&home, &day).0, Some(1), "no file");
    assert_eq!(home.print(&["operator", "tiers", "list"]), before);
    assert!(!home.print(&["operator", "create", "--name", "ops"]).is_empty());
}
