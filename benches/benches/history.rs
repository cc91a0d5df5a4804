//! Three years of an account's usage by the day, among 10,000 accounts, beside the same rows selected by hand.
#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has failed")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the system's clock")]

#[expect(dead_code, reason = "shared with another bench, which uses the rest")]
mod durable;

use std::time::Instant;

use benches::Readings as Times;
use dimensionos_core::allocation::Resource;
use dimensionos_core::monitoring::Resolution;
use dimensionos_core::{Context, Timestamp};

use durable::{Engine, milliseconds};

const ACCOUNTS: usize = 10_000;
const DAYS: i64 = 1_096;
const DAY: i64 = 86_400_000;
const QUESTIONS: usize = 500;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let accounts = std::env::var("DIMENSIONOS_BENCH_ACCOUNTS").ok();
        let accounts = accounts.map_or(ACCOUNTS, |accounts| accounts.parse().expect("a number of accounts"));
        for mut engine in durable::engines().await {
            measure(&mut engine, accounts).await;
        }
    });
}

async fn measure(engine: &mut Engine, accounts: usize) {
    let (platform, ids) = durable::platform(engine, accounts).await;
    let end = platform.clock().now().as_millis() / DAY * DAY + DAY;
    let begin = end - DAYS * DAY;
    let start = Instant::now();
    fill(engine, begin).await;
    println!("{}: {accounts} accounts of {DAYS} days, filled in {:.0} s", engine.name, start.elapsed().as_secs_f64());

    let range = (Timestamp::from_millis(begin), Some(Timestamp::from_millis(end)));
    let context = Context::system();
    let (mut ours, mut floor) = (Times::default(), Times::default());
    for question in 0..QUESTIONS {
        // Other accounts each time, and other ones of ours and by hand, so that neither finds what the other read.
        let [one, other] = [0, 1].map(|side| ids[(question * 2 + side) * 7_919 % ids.len()]);
        let start = Instant::now();
        let points = platform.monitoring().history(&context, one, Resource::Ram, range, Resolution::Day).await;
        ours.push(milliseconds(start.elapsed()));
        assert_eq!(points.expect("a history").len(), usize::try_from(DAYS).expect("some days"));

        let start = Instant::now();
        let days = engine.beside.days(other, begin, end).await;
        floor.push(milliseconds(start.elapsed()));
        assert_eq!(days, usize::try_from(DAYS).expect("some days"));
    }
    println!("\n| {}: three years by the day | ours | the same rows by hand | ratio | target |", engine.name);
    println!("| --- | --- | --- | --- | --- |");
    for share in [0.5, 0.99] {
        let (ours, floor) = (ours.quantile(share), floor.quantile(share));
        println!("| p{:.0} | {ours:.2} ms | {floor:.2} ms | {:.2} | 5 ms |", share * 100.0, ours / floor);
    }
    platform.close().await.expect("an orderly end");
}

/// A row for each account and day, of eight figures.
async fn fill(engine: &mut Engine, begin: i64) {
    let days = match engine.name {
        "SQLite" => format!(
            "(WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {DAYS} - 1) \
             SELECT n FROM numbers)"
        ),
        _ => format!("(SELECT n FROM GENERATE_SERIES(0::bigint, {DAYS} - 1) AS numbers (n))"),
    };
    let own = &mut engine.beside;
    // An index made at the end is made by one sort.
    own.run("DROP INDEX usage_rollups_age".to_owned()).await;
    own.run(format!(
        "INSERT INTO usage_rollups (account_id, resolution, bucket_start, cpu_millicores_sum, cpu_millicores_count, \
         cpu_millicores_peak, ram_bytes_sum, ram_bytes_count, ram_bytes_peak, bytes_sent, api_calls) \
         SELECT id, 3, {begin} + n * {DAY}, 360000.0 + n, 1440, 900, 773094113280.0 + n, 1440, 536870912 + n, \
         8640000 + n, 4320 + n FROM (SELECT id FROM accounts ORDER BY id) AS ids CROSS JOIN {days} AS days"
    ))
    .await;
    own.run("CREATE INDEX usage_rollups_age ON usage_rollups (resolution, bucket_start)".to_owned()).await;
    if engine.name == "PostgreSQL" {
        own.run("VACUUM ANALYZE usage_rollups".to_owned()).await;
    }
}
