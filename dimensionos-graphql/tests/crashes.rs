//! The server is killed in the middle of reports, for real: nothing that was acknowledged is lost, and nothing counts
//! twice.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness::{Client, Home, REPORT};
use serde_json::{Value, json};

/// Kills, unless [`MORE`] says how many.
const KILLS: usize = 24;
/// For a longer run than a test should take: `DIMENSIONOS_TEST_KILLS=200 cargo test --release --test crashes`.
const MORE: &str = "DIMENSIONOS_TEST_KILLS";
const SOURCES: usize = 4;

/// A source that keeps reporting one call at a time, and sends each report again until it is acknowledged, as an agent
/// does.
async fn report_until_acknowledged(client: &Client, account: &str, source: usize, sequence: u64) -> bool {
    let sample = json!([{ "account": account, "apiCalls": 1, "bytesSent": sequence }]);
    let input = json!({ "input": { "source": format!("source-{source}"), "sequence": sequence, "samples": sample } });
    match client.try_ask(REPORT, input).await {
        Ok(answer) => answer["data"]["reportUsage"]["sequence"] == json!(sequence),
        Err(_) => false,
    }
}

const LIMIT: &str = "mutation($a: ID!, $r: Resource!) {
    setLimit(account: $a, resource: $r, limit: 4000, until: \"2999-01-01T00:00:00Z\") { id }
}";
const TAKERS_LIMIT: u64 = 4_000;
const CONSUME: &str = "mutation($a: ID!, $r: Resource!, $k: String) {
    consume(account: $a, resource: $r, amount: 1, key: $k) { allowed }
}";

/// Uses one unit and writes it down: under a key, again until it is acknowledged; or without one, and then no unit is
/// asked for twice. Says whether the server was there.
async fn consume_once(client: &Client, account: &str, ledger: &AtomicU64, has_key: bool) -> bool {
    let next = ledger.load(Ordering::SeqCst) + 1;
    let (resource, key) =
        if has_key { ("DATABASE_QUERIES", Some(format!("use {next}"))) } else { ("FILE_OPERATIONS", None) };
    let variables = json!({ "a": account, "r": resource, "k": key });
    let Ok(answer) = client.try_ask(CONSUME, variables).await else { return false };
    match answer["data"]["consume"]["allowed"].as_bool() {
        Some(true) => ledger.store(next, Ordering::SeqCst),
        // Refused by the limit: there is nothing more to use.
        Some(false) => tokio::time::sleep(Duration::from_millis(5)).await,
        None => return false,
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_counts_once_however_often_the_server_is_killed() {
    let home = Home::new();
    let mut server = home.serve();
    let token = home.print(&["agent", "create", "--name", "web-1"]);
    let ada = server.client().register("ada@example.org").await;
    // The sources' own ledger: the highest sequence each has had acknowledged.
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..SOURCES).map(|_| AtomicU64::new(0)).collect());

    let kills = std::env::var(MORE).ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let operator = server.client().with_token(&home.print(&["operator", "create", "--name", "ops"]));
    for resource in ["FILE_OPERATIONS", "DATABASE_QUERIES"] {
        let limit = json!({ "a": ada.id, "r": resource });
        operator.data(LIMIT, limit).await;
    }
    let (keyed, given) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));

    for round in 0..kills {
        let client = server.client().with_token(&token);
        let users: Vec<_> = [(&keyed, true), (&given, false)]
            .into_iter()
            .map(|(ledger, has_key)| {
                let (client, account, ledger) = (client.clone(), ada.id.clone(), Arc::clone(ledger));
                tokio::spawn(async move { while consume_once(&client, &account, &ledger, has_key).await {} })
            })
            .collect();
        let sources: Vec<_> = (0..SOURCES)
            .map(|source| {
                let (client, account, ledger) = (client.clone(), ada.id.clone(), Arc::clone(&acknowledged));
                tokio::spawn(async move {
                    loop {
                        let sequence = ledger[source].load(Ordering::SeqCst) + 1;
                        if !report_until_acknowledged(&client, &account, source, sequence).await {
                            return;
                        }
                        ledger[source].store(sequence, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        // Another moment of the work each time.
        tokio::time::sleep(Duration::from_millis(40 + 7 * (round as u64 % 11))).await;
        server.kill();
        for task in sources.into_iter().chain(users) {
            task.await.unwrap();
        }
        server = home.serve();
    }

    // Each source sends its last unacknowledged report once more: counted before the kill or not, it counts once.
    let client = server.client().with_token(&token);
    for (source, highest) in acknowledged.iter().enumerate() {
        let sequence = highest.load(Ordering::SeqCst) + 1;
        assert!(report_until_acknowledged(&client, &ada.id, source, sequence).await);
        highest.store(sequence, Ordering::SeqCst);
    }
    let highest: Vec<u64> = acknowledged.iter().map(|highest| highest.load(Ordering::SeqCst)).collect();
    let calls: u64 = highest.iter().sum();
    let bytes: u64 = highest.iter().map(|highest| highest * (highest + 1) / 2).sum();
    assert!(calls > kills as u64, "the sources got through: {highest:?}");
    // What was used under a key counts once, also where its answer was lost: it is asked for again.
    assert!(consume_once(&client, &ada.id, &keyed, true).await);
    let query = "{ me { usage { resources { resource total } } metrics { activity { apiCallsPerHour } } } }";
    let me = server.client().with_token(&ada.access).data(query, Value::Null).await["me"].clone();
    let total = |resource: &str| {
        let resources = me["usage"]["resources"].as_array().unwrap();
        resources.iter().find(|usage| usage["resource"] == resource).unwrap()["total"].as_u64().unwrap()
    };
    assert_eq!((total("API_CALLS"), total("BYTES_SENT")), (calls, bytes), "{highest:?}");
    assert_eq!(me["metrics"]["activity"]["apiCallsPerHour"], calls);
    let (keyed, given) = (keyed.load(Ordering::SeqCst), given.load(Ordering::SeqCst));
    assert_eq!(total("DATABASE_QUERIES"), keyed, "uses under keys");
    // And what is used in memory is never more than the limit, however often that memory was lost.
    assert!(given <= TAKERS_LIMIT, "{given} of {TAKERS_LIMIT} were given");
    println!(
        "{kills} kills: {calls} reports and {keyed} keyed uses acknowledged, none lost, none twice; {given} of {TAKERS_LIMIT} given"
    );
}

#[tokio::test]
async fn a_server_told_to_stop_makes_its_own_numbers_durable() {
    let home = Home::new();
    let server = home.serve();
    let token = home.print(&["agent", "create", "--name", "web-1"]);
    let ada = server.client().register("ada@example.org").await;
    assert!(report_until_acknowledged(&server.client().with_token(&token), &ada.id, 0, 1).await);
    assert_eq!(server.stop(), Some(0));
    assert!(!home.path().join("data/dimensionos.db-wal").exists(), "the log has been folded into the database");
}
