//! How long after an operator suspends an account its token still opens anything, and its sockets stay open.
#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use benches::Readings;
use dimensionos_core::auth::{HashCost, Password};
use dimensionos_core::payment::ServiceStatus;
use dimensionos_core::secret::BearerToken;
use dimensionos_core::users::Registration;
use dimensionos_core::{AccountId, Code, Context, Platform};
use dimensionos_graphql::config::Environment;
use dimensionos_graphql::serve::serve;
use dimensionos_graphql::{App, Calls, Engine, EngineOptions, SourceRate};
use dimensionos_store::testing;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;

const SUSPENSIONS: usize = 300;
const SOCKETS: usize = 100;

#[expect(clippy::disallowed_methods, reason = "a measurement reads the system's clock")]
fn now() -> Instant {
    Instant::now()
}

async fn set(platform: &Platform, account: AccountId, status: ServiceStatus) {
    let note = "measured".parse().expect("a note");
    platform.users().set_status(&Context::system(), account, status, note).await.expect("the status is set");
}

/// From the moment `set_status` is called, and from the moment it returns, to the end of the last operation that was
/// let through.
async fn operations(platform: &Platform, account: AccountId, token: &BearerToken) {
    let (mut from_call, mut from_return) = (Readings::default(), Readings::default());
    for _ in 0..SUSPENSIONS {
        set(platform, account, ServiceStatus::Active).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let asking = {
            let (platform, token, is_over) = (platform.clone(), token.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut last = now();
                while !is_over.load(Ordering::Acquire) {
                    let caller = platform.auth().caller(&token).await.expect("a caller");
                    let asked = platform.monitoring().metrics(&Context::new(caller), account).await;
                    match asked.map_err(|error| error.code()) {
                        Ok(_) => last = now(),
                        Err(Code::ServiceSuspended) => tokio::task::yield_now().await,
                        Err(other) => panic!("{other:?}"),
                    }
                }
                last
            })
        };
        tokio::time::sleep(Duration::from_millis(2)).await;
        let called = now();
        set(platform, account, ServiceStatus::Suspended).await;
        let returned = now();
        tokio::time::sleep(Duration::from_millis(3)).await;
        is_over.store(true, Ordering::Release);
        let last = asking.await.expect("the asking task ends");
        from_call.push(last.saturating_duration_since(called).as_secs_f64() * 1e3);
        from_return.push(last.saturating_duration_since(returned).as_secs_f64() * 1e3);
    }
    print("last operation after `set_status` was called", &from_call, "ms");
    print("last operation after `set_status` returned", &from_return, "ms");
}

async fn sockets(platform: &Platform, account: AccountId, token: &BearerToken) {
    set(platform, account, ServiceStatus::Active).await;
    let engine = Engine::new(platform.clone(), EngineOptions { calls: Calls::Free, ..EngineOptions::default() });
    let app = App::new(engine, Environment::Development, Vec::new());
    // What is measured is not how often one source may ask.
    let app = app.with_source_rate(SourceRate { per_second: 0, burst: 1 });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(app, listener, stop.clone()));
    let mut open = Vec::new();
    for _ in 0..SOCKETS {
        let mut request = format!("ws://{address}/graphql").into_client_request().expect("a request");
        let protocol = "graphql-transport-ws".parse().expect("a header");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("a socket");
        let init = serde_json::json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {}", token.expose()) } });
        let subscribe = serde_json::json!({ "id": "1", "type": "subscribe", "payload": { "query": "subscription { usage { at } }" } });
        for message in [init, subscribe] {
            socket.send(Message::text(message.to_string())).await.expect("sent");
            socket.next().await.expect("an answer").expect("a message");
        }
        open.push(socket);
    }
    let called = now();
    set(platform, account, ServiceStatus::Suspended).await;
    let closings = open.into_iter().map(|mut socket| async move {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(Some(frame)) = message {
                assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4403, "SERVICE_SUSPENDED"));
                return called.elapsed();
            }
        }
        panic!("closed without a reason")
    });
    let mut readings = Readings::default();
    for took in futures_util::future::join_all(closings).await {
        readings.push(took.as_secs_f64() * 1e3);
    }
    print("socket closed with 4403 SERVICE_SUSPENDED", &readings, "ms");
    stop.cancel();
    server.await.expect("the server ends").expect("and ends well");
}

fn print(what: &str, readings: &Readings, unit: &str) {
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| readings.quantile(share));
    println!("| {what} | {} | {p50:.3} {unit} | {p99:.3} {unit} | {max:.3} {unit} |", readings.len());
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (database, _folder) = testing::sqlite().await;
        let builder = Platform::builder(database).hash_cost(HashCost::for_tests());
        let platform = builder.open().await.expect("a platform");
        let password = Password::new("violet harbour kestrel 41").expect("a password");
        let registered = platform.users().register(&Context::anonymous(), Registration::new(None, password)).await;
        let registered = registered.expect("an account");
        let token = BearerToken::new(registered.tokens.access_token.expose());
        println!(
            "on SQLite, one process\n\n| from suspension | times | p50 | p99 | max |\n| --- | --- | --- | --- | --- |"
        );
        operations(&platform, registered.account.id, &token).await;
        sockets(&platform, registered.account.id, &token).await;
    });
}
