//! What servers do by themselves: which of them does it, what is told of it, and that another goes on where it is killed.

mod harness;

use std::time::Duration;

use dimensionos_store::testing::PostgresDatabase;
use harness::http::page;
use harness::{Home, Server};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long the jobs may lie still where the server that does them dies.
const TAKEOVER: Duration = Duration::from_secs(30);
const JOBS: &str = "{ jobs { name intervalSeconds lastRun { startedAt endedAt outcome fault done } lastSuccessAt } }";

/// A figure of `/metrics`; absent where there is none yet.
async fn figure(server: &Server, name: &str) -> Option<f64> {
    let text = page(server, "/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("dimensionos_{name} ")))?;
    line.parse().ok()
}

async fn is_holder(server: &Server) -> bool {
    figure(server, "job_lease_held").await == Some(1.0)
}

/// Asks until it is so, for as long as it may take.
async fn until(what: &str, within: Duration, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(within, asking).await.is_ok(), "not within {within:?}: {what}");
}

#[tokio::test]
async fn another_server_goes_on_with_the_jobs_where_the_one_that_does_them_is_killed() {
    let Some(database) = PostgresDatabase::create().await else { return };
    let homes = [0, 1].map(|_| Home::new().with("DATABASE_URL", &database.url));
    let serve = |home: &Home| home.serve_with(&["serve", "--allow-stale"]).0;
    let one = serve(&homes[0]);
    until("the first takes the jobs", TAKEOVER, async || is_holder(&one).await).await;
    let other = serve(&homes[1]);
    let operator = homes[1].print(&["operator", "create", "--name", "ops"]);
    let operator = other.client().with_token(&operator);
    // Long enough for the other to have asked for them too.
    until("the other has seen them", TAKEOVER, async || {
        figure(&other, "job_last_run_timestamp_seconds{job=\"PURGE\"}").await.is_some()
    })
    .await;
    assert_eq!((is_holder(&one).await, is_holder(&other).await), (true, false));
    let first = operator.data(JOBS, Value::Null).await["jobs"][0].clone();
    assert_eq!(first["lastRun"]["outcome"], "OK", "{first}");

    one.kill();
    let killed = Instant::now();
    until("the other takes the jobs", TAKEOVER, async || is_holder(&other).await).await;
    println!("the jobs went on {:.1} s after their server was killed", killed.elapsed().as_secs_f64());
    // And gives them back where it is told to stop: a third has them without waiting for anything to run off.
    let third = serve(&homes[0]);
    assert!(!is_holder(&third).await);
    assert_eq!(other.stop(), Some(0));
    let stopped = Instant::now();
    until("the third takes the jobs", TAKEOVER, async || is_holder(&third).await).await;
    println!("and {:.1} s after one was told to stop", stopped.elapsed().as_secs_f64());
}

#[tokio::test]
async fn what_was_done_is_told_to_operators_and_in_figures() {
    let home = Home::new();
    let fault = home.run(&["operator", "jobs"]);
    assert_eq!(fault.status.code(), Some(1), "there is no database");
    assert!(home.files().is_empty(), "looking makes nothing");
    home.print(&["db", "init"]);
    let printed = home.print(&["operator", "jobs"]);
    assert!(printed.contains("never") && printed.contains("no server"), "{printed}");

    let server = home.serve();
    let client = server.client();
    let operator = client.with_token(&home.print(&["operator", "create", "--name", "ops"]));
    let agent = client.with_token(&home.print(&["agent", "create", "--name", "a"]));
    let ada = client.register("ada@example.org").await;
    for (other, code) in [(&client, "UNAUTHENTICATED"), (&ada.client, "FORBIDDEN"), (&agent, "FORBIDDEN")] {
        assert_eq!(other.code(JOBS, Value::Null).await, code);
    }
    let success = "job_last_success_timestamp_seconds{job=\"PURGE\"}";
    until("a job has run", TAKEOVER, async || figure(&server, success).await.is_some()).await;
    let job = operator.data(JOBS, Value::Null).await["jobs"][0].clone();
    assert_eq!((&job["name"], &job["intervalSeconds"]), (&json!("PURGE"), &json!(3_600)));
    let run = &job["lastRun"];
    assert_eq!((&run["outcome"], &run["fault"], &run["done"]), (&json!("OK"), &Value::Null, &json!(0)));
    assert_eq!(run["endedAt"], job["lastSuccessAt"]);
    let at: dimensionos_core::Timestamp = run["endedAt"].as_str().unwrap().parse().unwrap();
    let told = figure(&server, success).await.unwrap();
    assert!((told - at.since(dimensionos_core::Timestamp::EPOCH).as_secs_f64()).abs() < 0.001, "{told} is {at}");
    for (name, value) in [("outcome=\"OK\"", 1.0), ("outcome=\"FAILED\"", 0.0)] {
        assert_eq!(figure(&server, &format!("job_last_outcome{{job=\"PURGE\",{name}}}")).await, Some(value));
    }
    assert!(figure(&server, "job_last_duration_seconds{job=\"PURGE\"}").await.is_some());
    let text = page(&server, "/metrics").await.text;
    let figures = [
        "job_last_run_timestamp_seconds",
        "job_last_success_timestamp_seconds",
        "job_last_duration_seconds",
        "job_last_outcome",
        "job_lease_held",
    ];
    for figure in figures {
        for line in ["HELP", "TYPE"] {
            assert_eq!(text.matches(&format!("# {line} dimensionos_{figure} ")).count(), 1, "{line} {figure}: {text}");
        }
    }
    let printed = home.print(&["operator", "jobs"]);
    for told in ["PURGE", "OK", run["startedAt"].as_str().unwrap(), "a server does them, at least until"] {
        assert!(printed.contains(told), "{told}: {printed}");
    }
    println!("{printed}");
}
