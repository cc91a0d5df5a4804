//! What two hundred logins at once leave for everybody else, and how many of them get through.
#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use benches::Readings;
use dimensionos_core::auth::{HashCost, Password};
use dimensionos_core::users::{Identity, Registration};
use dimensionos_core::{Context, Platform};
use dimensionos_graphql::config::Environment;
use dimensionos_graphql::serve::serve;
use dimensionos_graphql::{App, Calls, Engine, EngineOptions, SourceRate};
use dimensionos_store::testing;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const COST: u32 = 12;
const CLIENTS: usize = 200;
/// How long each part is measured.
const STRETCH: Duration = Duration::from_secs(20);
/// The pause between two quick requests: they are a trickle beside the load, not a load.
const PAUSE: Duration = Duration::from_millis(10);
const PASSWORD: &str = "violet harbour kestrel 41";
const LOGIN: &str = "mutation { login(input: { identity: { email: \"ada@example.org\" }, password: \"violet harbour kestrel 41\" }) { account { id } } }";

#[expect(clippy::disallowed_methods, reason = "a measurement reads the system's clock")]
fn now() -> Instant {
    Instant::now()
}

/// How many hashes a second bcrypt itself reaches on every core.
fn bcrypt_alone() -> f64 {
    let hash = bcrypt::hash(PASSWORD, COST).expect("a hash");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let start = now();
    let done: u32 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = 0;
                    while start.elapsed() < STRETCH {
                        assert!(bcrypt::verify(PASSWORD, &hash).expect("a verdict"));
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker ends")).sum()
    });
    f64::from(done) / start.elapsed().as_secs_f64()
}

#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Client {
    async fn ask(&self, query: &str) -> Value {
        let mut request = self.http.post(&self.url).header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.body(json!({ "query": query }).to_string()).send().await.expect("an answer");
        serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON")
    }

    /// Asks one thing again and again, and reads how long each answer takes, in milliseconds.
    async fn read(&self, query: &str) -> Readings {
        let mut readings = Readings::default();
        let start = now();
        while start.elapsed() < STRETCH {
            let asked = now();
            let answer = self.ask(query).await;
            readings.push(asked.elapsed().as_secs_f64() * 1e3);
            assert!(answer.get("errors").is_none(), "{answer}");
            tokio::time::sleep(PAUSE).await;
        }
        readings
    }

    async fn both(&self) -> [Readings; 2] {
        let (tiers, me) = tokio::join!(self.read("{ tiers { tier } }"), self.read("{ me { id tier } }"));
        [tiers, me]
    }
}

/// Keeps signing in until told to stop; told to wait, it waits that long.
async fn sign_in_again_and_again(client: Client, done: Arc<AtomicU32>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let answer = client.ask(LOGIN).await;
        let refusal = &answer["errors"][0]["extensions"];
        match refusal["code"].as_str() {
            None => {
                done.fetch_add(1, Ordering::Relaxed);
            }
            Some("BUSY") => {
                let told = Duration::from_secs(refusal["retryAfterSeconds"].as_u64().expect("a wait"));
                let _ = tokio::time::timeout(told, stop.cancelled()).await;
            }
            Some(other) => panic!("{other}"),
        }
    }
}

async fn measure(floor: f64) {
    let (database, _folder) = testing::sqlite().await;
    let builder = Platform::builder(database).hash_cost(HashCost::new(COST).expect("a cost"));
    let platform = builder.open().await.expect("a platform");
    let identity = Identity::email("ada@example.org").expect("an address");
    let registration = Registration::new(Some(identity), Password::new(PASSWORD).expect("a password"));
    let registered = platform.users().register(&Context::anonymous(), registration).await.expect("an account");
    let engine = Engine::new(platform.clone(), EngineOptions { calls: Calls::Free, ..EngineOptions::default() });
    let app = App::new(engine, Environment::Development, Vec::new());
    // What is measured is not how often one source may ask.
    let app = app.with_source_rate(SourceRate { per_second: 0, burst: 1 });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/graphql", listener.local_addr().expect("an address"));
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(app, listener, stop.clone()));

    let anonymous = Client { http: reqwest::Client::new(), url, token: None };
    let other = platform
        .users()
        .register(&Context::anonymous(), Registration::new(None, Password::new(PASSWORD).expect("a password")))
        .await
        .expect("an account");
    drop(registered);
    let own = Client { token: Some(other.tokens.access_token.expose().to_owned()), ..anonymous.clone() };
    let idle = own.both().await;
    let done = Arc::new(AtomicU32::new(0));
    let over = CancellationToken::new();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(sign_in_again_and_again(anonymous.clone(), Arc::clone(&done), over.clone())))
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, start) = (done.load(Ordering::Relaxed), now());
    let loaded = own.both().await;
    let logins = f64::from(done.load(Ordering::Relaxed) - before) / start.elapsed().as_secs_f64();
    over.cancel();
    for client in clients {
        client.await.expect("a client ends");
    }
    println!(
        "| what | idle p50 | idle p99 | p99 with {CLIENTS} logins | ratio of p99 |\n| --- | --- | --- | --- | --- |"
    );
    for (what, (idle, loaded)) in ["tiers", "me"].iter().zip(idle.iter().zip(&loaded)) {
        let [p50, before, after] = [idle.quantile(0.5), idle.quantile(0.99), loaded.quantile(0.99)];
        println!("| `{what}` | {p50:.2} ms | {before:.2} ms | {after:.2} ms | {:.2} |", after / before);
    }
    println!("\nlogins: {logins:.2} a second; bcrypt alone on the same cores: {floor:.2}; ratio {:.3}", logins / floor);
    stop.cancel();
    server.await.expect("the server ends").expect("and ends well");
}

fn main() {
    let floor = bcrypt_alone();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(floor));
}
