//! Several servers on one PostgreSQL and one NATS, from outside.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dimensionos_store::testing::PostgresDatabase;
use futures_util::StreamExt;
use harness::live::Socket;
use harness::nats::{Nats, NatsServer};
use harness::{Client, Home, REPORT, Registered, Server};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Longer than anything that is waited for takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const KEYS: &str = "4f1d0e6c5b8a79283746556473829100aabbccddeeff00112233445566778899";
const ME: &str = "{ me { status metrics { activity { apiCallsPerHour } } } }";
const CALLS: &str = "subscription { usage(intervalMs: 100) { activity { apiCallsPerHour } } }";
const SET_STATUS: &str = "mutation($a: ID!, $s: ServiceStatus!) {
    setServiceStatus(account: $a, status: $s, reason: \"report 17\") { id } }";
const CONSUME: &str = "mutation($a: ID!) {
    consume(account: $a, resource: API_CALLS, amount: 1) { allowed used limit resetsAt } }";

/// Servers on one database, and what they share.
struct Replicas {
    homes: Vec<Home>,
    servers: Vec<Server>,
    agent: String,
    operator: String,
    ada: Registered,
    database: PostgresDatabase,
}

fn home(database: &PostgresDatabase, nats: Option<&str>) -> Home {
    let home = Home::new().with("DATABASE_URL", &database.url);
    let home =
        home.with("PEPPER", KEYS).with("SIGNING_KEY", KEYS).with("TOMBSTONE_KEY", KEYS).with("VOUCHER_KEY", KEYS);
    match nats {
        Some(url) => home.with("NATS_URL", url),
        None => home,
    }
}

impl Replicas {
    async fn start(count: usize, nats: &str) -> Option<Self> {
        Self::start_with(count, nats, "database").await
    }

    async fn start_with(count: usize, nats: &str, reports: &str) -> Option<Self> {
        let database = PostgresDatabase::create().await?;
        let homes = (0..count).map(|_| home(&database, Some(nats)).with("REPORTS", reports));
        let homes: Vec<Home> = homes.collect();
        let agent = homes[0].print(&["agent", "create", "--name", "web-1"]);
        let operator = homes[0].print(&["operator", "create", "--name", "ops"]);
        let servers: Vec<Server> = homes.iter().map(Home::serve).collect();
        let ada = servers[0].client().register("ada@example.org").await;
        Some(Self { homes, servers, agent, operator, ada, database })
    }

    fn client(&self, place: usize, token: &str) -> Client {
        self.servers[place].client().with_token(token)
    }

    async fn set_status(&self, place: usize, status: &str) {
        self.client(place, &self.operator).data(SET_STATUS, json!({ "a": self.ada.id, "s": status })).await;
    }

    async fn report(&self, place: usize, sequence: u64) {
        let answer = report(&self.client(place, &self.agent), &self.ada.id, 0, sequence).await;
        assert!(answer.is_some(), "{sequence}");
    }
}

/// Reports one call; what was acknowledged, if anything was.
async fn report(client: &Client, account: &str, source: usize, sequence: u64) -> Option<Value> {
    let input = json!({
        "source": format!("source-{source}"),
        "sequence": sequence,
        "samples": [{ "account": account, "apiCalls": 1, "bytesSent": sequence }],
    });
    let answer = client.try_ask(REPORT, json!({ "input": input })).await.ok()?;
    answer["data"]["reportUsage"].is_object().then(|| answer["data"]["reportUsage"].clone())
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn who_would_not_learn_what_others_change_is_refused_unless_told_otherwise() {
    let Some(database) = PostgresDatabase::create().await else { return };
    let Some(nats) = Nats::find() else { return };
    let [alone, other, connected] = [None, None, Some(nats.url.as_str())].map(|nats| home(&database, nats));
    let first = alone.serve();
    for refused in [&other, &connected] {
        let output = refused.run(&["serve"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("serves from this database"), "{told}");
    }
    let (stale, _) = other.serve_with(&["serve", "--allow-stale"]);
    stale.kill();
    // The place of one that was killed is free at once.
    first.kill();
    let replica = connected.serve();
    assert_eq!(alone.run(&["serve"]).status.code(), Some(1));
    let second = home(&database, Some(&nats.url)).serve();
    drop((replica, second));
    alone.serve();
}

#[tokio::test]
async fn a_suspension_on_one_is_refused_and_closes_sockets_on_the_other_with_nats_and_without() {
    let Some(mut nats) = NatsServer::start(&[]) else { return };
    let Some(replicas) = Replicas::start(2, &nats.url).await else { return };
    let holder = replicas.client(1, &replicas.ada.access);
    for is_away in [false, true] {
        if is_away {
            nats.stop();
        }
        let mut socket = Socket::of(&replicas.servers[1], Some(&replicas.ada.access)).await;
        socket.start("1", CALLS).await;
        assert_eq!(socket.hear().await["type"], "next");
        replicas.set_status(0, "SUSPENDED").await;
        eventually("it is refused", async || {
            holder.ask(ME, Value::Null).await["errors"][0]["extensions"]["code"] == "SERVICE_SUSPENDED"
        })
        .await;
        let closed = async {
            while let Some(Ok(message)) = socket.0.next().await {
                if message.is_close() {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.unwrap();
        replicas.set_status(0, "ACTIVE").await;
        eventually("it is let in again", async || holder.ask(ME, Value::Null).await.get("errors").is_none()).await;
    }
}

#[tokio::test]
async fn what_is_reported_to_one_is_seen_live_on_the_other() {
    let Some(mut nats) = NatsServer::start(&[]) else { return };
    let Some(replicas) = Replicas::start(2, &nats.url).await else { return };
    let mut socket = Socket::of(&replicas.servers[1], Some(&replicas.ada.access)).await;
    socket.start("1", CALLS).await;
    let mut shown = 0;
    for sequence in 1..=30_u64 {
        match sequence {
            11 => nats.stop(),
            21 => nats.start_again(),
            _ => {}
        }
        // The agent moves between the two.
        replicas.report(usize::from(sequence % 3 == 0), sequence).await;
        while shown < sequence {
            let message = socket.hear().await;
            shown = message["payload"]["data"]["usage"]["activity"]["apiCallsPerHour"].as_u64().unwrap();
        }
        assert_eq!(shown, sequence, "never more than was reported");
    }
    // And whoever asks is told the same everywhere.
    for place in [0, 1] {
        let me = replicas.client(place, &replicas.ada.access).data(ME, Value::Null).await;
        assert_eq!(me["me"]["metrics"]["activity"]["apiCallsPerHour"], 30);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_thousand_takers_on_three_servers_get_a_thousand() {
    let Some(nats) = Nats::find() else { return };
    let Some(replicas) = Replicas::start(3, &nats.url).await else { return };
    let given = Arc::new(AtomicU64::new(0));
    let waiting: Vec<_> = (0..60_usize)
        .map(|worker| {
            let client = replicas.client(worker % 3, &replicas.agent);
            let (account, given) = (replicas.ada.id.clone(), Arc::clone(&given));
            tokio::spawn(async move {
                for _ in 0..50 {
                    let answer = loop {
                        let answer = client.ask(CONSUME, json!({ "a": account })).await;
                        if answer["errors"][0]["extensions"]["code"] != "BUSY" {
                            break answer["data"]["consume"].clone();
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    };
                    if answer["allowed"] == true {
                        given.fetch_add(1, Ordering::SeqCst);
                    } else {
                        assert_eq!(answer["limit"], 1_000, "{answer}");
                        assert!(answer["resetsAt"].is_string(), "{answer}");
                    }
                }
            })
        })
        .collect();
    for worker in waiting {
        worker.await.unwrap();
    }
    // What lies with one server while another refuses is there for whoever asks that one.
    let mut total = given.load(Ordering::SeqCst);
    assert!(total <= 1_000, "{total}");
    for place in 0..3 {
        let client = replicas.client(place, &replicas.agent);
        while client.data(CONSUME, json!({ "a": replicas.ada.id })).await["consume"]["allowed"] == true {
            total += 1;
        }
    }
    assert_eq!(total, 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_count_once_wherever_they_are_sent_and_whoever_is_killed() {
    const SOURCES: usize = 6;
    let Some(mut nats) = NatsServer::start(&[]) else { return };
    let Some(mut replicas) = Replicas::start(3, &nats.url).await else { return };
    let addresses: Arc<std::sync::Mutex<Vec<Client>>> =
        Arc::new(std::sync::Mutex::new((0..3).map(|place| replicas.client(place, &replicas.agent)).collect()));
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..SOURCES).map(|_| AtomicU64::new(0)).collect());
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sources: Vec<_> = (0..SOURCES)
        .map(|source| {
            let (addresses, ledger) = (Arc::clone(&addresses), Arc::clone(&acknowledged));
            let (is_over, account) = (Arc::clone(&is_over), replicas.ada.id.clone());
            tokio::spawn(async move {
                // To another one with every try, so that what one has not answered another is asked.
                let mut tries = source;
                loop {
                    let sequence = ledger[source].load(Ordering::SeqCst) + 1;
                    tries += 1;
                    let client = addresses.lock().unwrap()[tries % 3].clone();
                    if report(&client, &account, source, sequence).await.is_some() {
                        ledger[source].store(sequence, Ordering::SeqCst);
                        if is_over.load(Ordering::SeqCst) {
                            return;
                        }
                    } else {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            })
        })
        .collect();
    for round in 0..9_usize {
        tokio::time::sleep(Duration::from_millis(150 + 40 * (round as u64 % 4))).await;
        match round {
            3 => nats.stop(),
            6 => nats.start_again(),
            _ => {}
        }
        let place = round % 3;
        replicas.servers.remove(place).kill();
        replicas.servers.insert(place, replicas.homes[place].serve());
        addresses.lock().unwrap()[place] = replicas.client(place, &replicas.agent);
    }
    is_over.store(true, Ordering::SeqCst);
    for source in sources {
        source.await.unwrap();
    }
    let highest: Vec<u64> = acknowledged.iter().map(|highest| highest.load(Ordering::SeqCst)).collect();
    let calls: u64 = highest.iter().sum();
    let bytes: u64 = highest.iter().map(|highest| highest * (highest + 1) / 2).sum();
    assert!(calls > 50, "the sources got through: {highest:?}");
    let query = "{ me { usage { resources { resource total } } } }";
    for place in 0..3 {
        let me = replicas.client(place, &replicas.ada.access).data(query, Value::Null).await["me"].clone();
        let resources = me["usage"]["resources"].as_array().unwrap();
        let total = |resource: &str| {
            resources.iter().find(|usage| usage["resource"] == resource).unwrap()["total"].as_u64().unwrap()
        };
        assert_eq!((total("API_CALLS"), total("BYTES_SENT")), (calls, bytes), "{highest:?}");
    }
    // Those in memory come to the same.
    for place in 0..3 {
        let client = replicas.client(place, &replicas.ada.access);
        eventually("all of it is shown", async || {
            client.data(ME, Value::Null).await["me"]["metrics"]["activity"]["apiCallsPerHour"] == calls
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_stream_reports_are_acknowledged_while_the_database_is_away() {
    const SOURCES: usize = 4;
    let Some(nats) = NatsServer::start(&["--jetstream"]) else { return };
    let Some(mut replicas) = Replicas::start_with(2, &nats.url, "stream").await else { return };
    let account = replicas.ada.id.clone();
    let send = async |replicas: &Replicas, source: usize, sequence: u64| {
        let client = replicas.client((source + usize::try_from(sequence).unwrap()) % 2, &replicas.agent);
        let end = Instant::now() + PATIENCE;
        while report(&client, &account, source, sequence).await.is_none() {
            assert!(Instant::now() < end, "{source} {sequence}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let all = async |replicas: &Replicas, sequences: std::ops::RangeInclusive<u64>| {
        for sequence in sequences {
            for source in 0..SOURCES {
                send(replicas, source, sequence).await;
                // Some of them twice, as an agent does that heard nothing.
                if (sequence + source as u64).is_multiple_of(5) {
                    send(replicas, source, sequence).await;
                }
            }
        }
    };
    // Thirty reports of each, and what comes with them.
    let (mut calls, mut bytes) = (SOURCES as u64 * 30, SOURCES as u64 * 465);
    all(&replicas, 1..=10).await;
    replicas.database.away().await;
    all(&replicas, 11..=25).await;
    // What one of them had before it was killed is in the stream.
    replicas.servers.remove(0).kill();
    replicas.database.back().await;
    replicas.servers.insert(0, replicas.homes[0].serve());
    all(&replicas, 26..=30).await;
    // A source of which every other sequence is missing is refused in the end, and holds up nobody who shares its lane.
    let bob = replicas.servers[0].client().register("bob@example.org").await;
    for place in 0..80 {
        let client = replicas.client(place % 2, &replicas.agent);
        assert!(report(&client, &bob.id, 999, 2 * place as u64 + 1).await.is_some(), "{place}");
    }
    for source in 100..250 {
        send(&replicas, source, 1).await;
        (calls, bytes) = (calls + 1, bytes + 1);
    }
    let query = "{ me { usage { resources { resource total } } } }";
    for place in 0..2 {
        let client = replicas.client(place, &replicas.ada.access);
        eventually("all of it is counted, once", async || {
            let answer = client.ask(query, Value::Null).await;
            let resources = answer["data"]["me"]["usage"]["resources"].as_array().cloned().unwrap_or_default();
            let total = |resource: &str| {
                let found = resources.iter().find(|usage| usage["resource"] == resource);
                found.and_then(|usage| usage["total"].as_u64()).unwrap_or_default()
            };
            assert!(total("API_CALLS") <= calls, "nothing counts twice");
            (total("API_CALLS"), total("BYTES_SENT")) == (calls, bytes)
        })
        .await;
    }
    // What is not there is refused where that is known.
    let nobody = report(&replicas.client(1, &replicas.agent), "acc_00000000000000000000000001", 0, 31).await;
    assert!(nobody.is_none());
}
