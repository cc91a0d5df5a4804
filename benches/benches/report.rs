//! Reports made durable, on SQLite (WAL, `synchronous=FULL`) and PostgreSQL (fsync), each beside the same rows written
//! by hand through the plain driver in the same run, in turns.
#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has failed")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the system's clock")]

#[expect(dead_code, reason = "shared with another bench, which uses the rest")]
mod durable;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::Readings as Times;
use dimensionos_core::auth::Role;
use dimensionos_core::monitoring::{
    Bucket, Counter, Level, Readings, Report, Resolution, Rollup, Sample, SourceName, UsageRow,
};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::{AccountId, Context, Platform, Timestamp};

use durable::plain::Group;
use durable::{Engine, milliseconds};

const LONE_REPORTS: usize = 300;
const SOURCES: usize = 64;
const WAITING: usize = 256;
const SAMPLES: usize = 1_000;
const ROUNDS: usize = 5;

struct Setting {
    platform: Platform,
    accounts: Vec<AccountId>,
    agent: Context,
    /// Of each source.
    sequence: u64,
}

/// What every source reports, again and again.
struct Load {
    name: String,
    reports: Vec<Vec<(AccountId, Sample)>>,
    /// How often each source reports in one round.
    times: usize,
    target: &'static str,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let filter = std::env::var("DIMENSIONOS_BENCH_LOAD").unwrap_or_default();
        for mut engine in durable::engines().await {
            measure(&mut engine, &filter).await;
        }
    });
}

async fn measure(engine: &mut Engine, filter: &str) {
    let (platform, accounts) = durable::platform(engine, SOURCES * SAMPLES).await;
    let name = "bench".parse().expect("a good name");
    let key = platform.auth().create_key(&Context::system(), Role::Agent, name).await.expect("a new key");
    let caller = platform.auth().caller(&BearerToken::new(key.token.expose())).await.expect("its holder");
    let mut setting = Setting { agent: Context::new(caller), platform, accounts, sequence: 0 };

    println!("\n| {}: what | ours | the same rows by hand | ours, as a part of it | target |", engine.name);
    println!("| --- | --- | --- | --- | --- |");
    if "alone".contains(filter) {
        alone(&setting, engine).await;
    }
    if "cold".contains(filter) || "own".contains(filter) {
        arrive(&mut setting).await;
    }
    for load in loads(&setting).into_iter().filter(|load| load.name.contains(filter)) {
        flood(&mut setting, engine, load).await;
    }
    setting.platform.close().await.expect("an orderly end");
}

/// Eight figures, as an agent sends them.
fn sample(at: Timestamp) -> Sample {
    Sample::at(at)
        .with_level(Level::CpuMillicores, 250)
        .with_level(Level::RamBytes, 512 << 20)
        .with_level(Level::Connections, 12)
        .with_added(Counter::CpuMicroseconds, 250_000)
        .with_added(Counter::BytesSent, 6_000)
        .with_added(Counter::BytesReceived, 2_000)
        .with_added(Counter::DatabaseQueries, 7)
        .with_added(Counter::ApiCalls, 3)
}

fn loads(setting: &Setting) -> Vec<Load> {
    let (now, accounts) = (setting.platform.clock().now(), &setting.accounts);
    let each = |accounts: &[AccountId]| accounts.iter().map(|account| (*account, sample(now))).collect::<Vec<_>>();
    // A source that was cut off for a quarter of an hour.
    let seconds = |account: &AccountId| {
        let at = (0..SAMPLES as u64).rev().map(|second| now.before(Duration::from_secs(second)));
        at.map(|at| (*account, sample(at))).collect::<Vec<_>>()
    };
    let waiting = |count: usize| accounts[..count].iter().map(|account| each(&[*account])).collect();
    vec![
        Load {
            name: format!("samples/s, {SOURCES} sources, 1,000 samples of one account each"),
            reports: accounts[..SOURCES].iter().map(seconds).collect(),
            times: 20,
            target: "200,000/s SQLite, 100,000/s PostgreSQL",
        },
        Load {
            name: format!("samples/s, {SOURCES} sources, each of the same 1,000 accounts"),
            reports: vec![each(&accounts[..SAMPLES]); SOURCES],
            times: 15,
            target: "200,000/s SQLite, 100,000/s PostgreSQL",
        },
        Load {
            name: format!("samples/s, {SOURCES} sources, each of its own 1,000 accounts"),
            reports: accounts.chunks(SAMPLES).map(each).collect(),
            times: 1,
            target: "half of the floor",
        },
        Load {
            name: format!("reports/s, {WAITING} sources waiting, one sample each"),
            reports: waiting(WAITING),
            times: 40,
            target: "50,000/s",
        },
    ]
}

/// The group that a round's reports are, folded: what is left to write.
fn folded(reports: &[Vec<(AccountId, Sample)>]) -> Group {
    let mut usage: BTreeMap<(AccountId, Resolution, Bucket), Rollup> = BTreeMap::new();
    let mut readings: BTreeMap<AccountId, Readings> = BTreeMap::new();
    for (account, sample) in reports.iter().flatten() {
        for resolution in Resolution::ALL {
            let bucket = Bucket::holding(sample.taken_at(), resolution);
            usage.entry((*account, resolution, bucket)).or_default().add(sample);
        }
        readings.entry(*account).or_default().add(sample);
    }
    let row = |((account, resolution, bucket), rollup)| UsageRow { account, resolution, bucket, rollup };
    Group {
        usage: usage.into_iter().map(row).collect(),
        readings: readings.into_iter().collect(),
        sources: (0..reports.len()).map(|source| format!("source-{source}")).collect(),
    }
}

fn source(number: usize) -> SourceName {
    format!("source-{number}").parse().expect("a good name")
}

async fn alone(setting: &Setting, engine: &mut Engine) {
    let (mut ours, mut floor) = (Times::default(), Times::default());
    let account = setting.accounts[0];
    for sequence in 1..=LONE_REPORTS as u64 {
        let sample = sample(setting.platform.clock().now());
        let source = "alone".parse().expect("a good name");
        let report = Report { source, sequence, samples: vec![(account, sample)], signals: Vec::new() };
        let start = Instant::now();
        setting.platform.monitoring().report(&setting.agent, report).await.expect("a receipt");
        ours.push(milliseconds(start.elapsed()));

        let row = folded(&[vec![(account, sample)]]).usage[0];
        let start = Instant::now();
        engine.floor.commit_one(&row).await;
        floor.push(milliseconds(start.elapsed()));
    }
    for share in [0.5, 0.99] {
        let (ours, floor) = (ours.quantile(share), floor.quantile(share));
        let ratio = ours / floor;
        println!(
            "| one report of one sample, alone, p{:.0} (floor: one commit of one row) | {ours:.2} ms | {floor:.2} ms \
             | {ratio:.2} times | 2 times |",
            share * 100.0
        );
    }
}

/// Accounts that are not in memory: their past is read when they are first reported of.
async fn arrive(setting: &mut Setting) {
    let now = setting.platform.clock().now();
    let start = Instant::now();
    for (number, accounts) in setting.accounts.chunks(SAMPLES).enumerate() {
        let samples = accounts.iter().map(|account| (*account, sample(now))).collect();
        let report = Report { source: source(number), sequence: 1, samples, signals: Vec::new() };
        setting.platform.monitoring().report(&setting.agent, report).await.expect("a receipt");
    }
    setting.sequence = 1;
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let each = start.elapsed().as_secs_f64() * 1e6 / setting.accounts.len() as f64;
    println!("| first report of 1,000 accounts that are not in memory, µs an account | {each:.0} | | | |");
}

async fn flood(setting: &mut Setting, engine: &mut Engine, load: Load) {
    let samples = load.reports.iter().map(Vec::len).sum::<usize>() * load.times;
    let group = folded(&load.reports);
    let reports = Arc::new(load.reports);
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let rate = |time: Duration| samples as f64 / time.as_secs_f64();
    let (mut ours, mut floor, mut ratios) = (Times::default(), Times::default(), Times::default());
    for round in 0..=ROUNDS {
        let start = Instant::now();
        round_of_reports(setting, &reports, load.times).await;
        let our_rate = rate(start.elapsed());

        let start = Instant::now();
        for _ in 0..load.times {
            engine.floor.commit(&group, setting.sequence).await;
        }
        let floor_rate = rate(start.elapsed());
        // The first is to get warm.
        if round > 0 {
            ours.push(our_rate);
            floor.push(floor_rate);
            ratios.push(our_rate / floor_rate);
        }
    }
    println!(
        "| {} ({} rows a transaction) | {:.0} | {:.0} | {:.2} ({:.2}–{:.2}) | {} |",
        load.name,
        group.usage.len() + group.readings.len() + group.sources.len(),
        ours.quantile(0.5),
        floor.quantile(0.5),
        ratios.quantile(0.5),
        ratios.quantile(0.0),
        ratios.quantile(1.0),
        load.target,
    );
}

async fn round_of_reports(setting: &mut Setting, reports: &Arc<Vec<Vec<(AccountId, Sample)>>>, times: usize) {
    let first = setting.sequence + 1;
    setting.sequence += times as u64;
    let last = setting.sequence;
    let sources = (0..reports.len()).map(|number| {
        let (platform, agent, reports) = (setting.platform.clone(), setting.agent.clone(), Arc::clone(reports));
        tokio::spawn(async move {
            for sequence in first..=last {
                let report =
                    Report { source: source(number), sequence, samples: reports[number].clone(), signals: Vec::new() };
                platform.monitoring().report(&agent, report).await.expect("a receipt");
            }
        })
    });
    for source in sources.collect::<Vec<_>>() {
        source.await.expect("a source that reported all it had");
    }
}
