//! The server that is watched, and what records for it.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dimensionos_core::auth::{HashCost, Password};
use dimensionos_core::monitoring::{Counter, Level, Meter, Sample};
use dimensionos_core::users::Registration;
use dimensionos_core::{Clock, Context, Platform, SystemClock};
use dimensionos_graphql::config::Environment;
use dimensionos_graphql::serve::serve;
use dimensionos_graphql::{App, Engine, EngineOptions};
use dimensionos_store::testing;
use tokio_util::sync::CancellationToken;

use crate::figures::microseconds;

/// A second is cut into so many parts, in each of which as many accounts change.
pub(crate) const PARTS: usize = 100;

pub(crate) fn run(accounts: usize) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (database, _folder) = testing::sqlite().await;
        let builder = Platform::builder(database).hash_cost(HashCost::for_tests());
        let platform = builder.open().await.expect("a platform");
        let (mut meters, mut tokens) = (Vec::new(), Vec::new());
        for _ in 0..accounts {
            let password = Password::new("violet harbour kestrel 41").expect("a password");
            let registered = platform.users().register(&Context::anonymous(), Registration::new(None, password)).await;
            let registered = registered.expect("an account");
            let meter = platform.monitoring().meter(&Context::system(), registered.account.id).await.expect("a meter");
            record(&meter);
            meters.push(meter);
            tokens.push(registered.tokens.access_token.expose().to_owned());
        }
        platform.monitoring().flush().await.expect("flushed");
        let app =
            App::new(Engine::new(platform.clone(), EngineOptions::default()), Environment::Production, Vec::new());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        tokens.iter().for_each(|token| println!("{token}"));
        drop(tokens);
        std::io::stdout().flush().expect("said");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(app, listener, stop.clone()));
        let last = obey(meters.len(), move |number| record(&meters[number])).await;
        println!("{}", last.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        stop.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(2), serving).await;
    });
    // Half of ten thousand sockets are still being closed; nothing of it is measured.
    std::process::exit(0);
}

fn record(meter: &Meter) -> u64 {
    let now = microseconds();
    let sample = Sample::at(SystemClock.now()).with_level(Level::Connections, now).with_added(Counter::BytesSent, 1);
    meter.record(&sample.with_level(Level::CpuMillicores, now % 1_000).with_level(Level::RamBytes, now % (1 << 30)));
    now
}

/// Records for each once a second, spread over it, from the word to begin to the word to rest; then waits for the word
/// to stop.
pub(crate) async fn obey(accounts: usize, record: impl Fn(usize) -> u64 + Send + 'static) -> Vec<u64> {
    let records = Arc::new(AtomicBool::new(false));
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let words = Arc::clone(&records);
    std::thread::spawn(move || {
        for word in std::io::stdin().lock().lines().map_while(Result::ok) {
            match word.as_str() {
                "record" => words.store(true, Ordering::Release),
                "rest" => words.store(false, Ordering::Release),
                _ => break,
            }
        }
        let _ = stop.send(());
    });
    let recording = tokio::spawn(async move {
        let mut last = vec![0; accounts];
        let parts = u32::try_from(PARTS).unwrap_or(1);
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / parts);
        let mut stopped = stopped;
        for part in (0..PARTS).cycle() {
            tokio::select! { _ = ticks.tick() => {} _ = &mut stopped => break }
            if records.load(Ordering::Acquire) {
                (part..accounts).step_by(PARTS).for_each(|number| last[number] = record(number));
            }
        }
        last
    });
    recording.await.expect("the recorder ends")
}
