//! One reading of each collector, beside one read of `/proc/self/stat`, which is the least that any reading costs.
#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has failed")]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use dimensionos_core::Timestamp;
use dimensionos_core::monitoring::Sample;
use dimensionos_core::monitoring::collectors::{Cgroup, Collector, Directory, Host, ProcessTree};
use dimensionos_store::collectors::DatabaseCollector;
use dimensionos_store::testing::PostgresDatabase;
use sea_orm::ConnectionTrait;
use tempfile::TempDir;

/// A shell with so many children that sleep.
struct Tree(Child);

impl Tree {
    fn of(children: usize) -> Self {
        let script =
            format!("i=0; while [ $i -lt {children} ]; do sleep 1000 & i=$((i+1)); done; echo; read line; kill 0");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut shell = shell.spawn().expect("a shell");
        let mut ready = [0];
        let output = shell.stdout.as_mut().expect("its output");
        output.read_exact(&mut ready).expect("its children are there");
        Self(shell)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // It ends its whole group when its input does.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn collect(collector: &mut dyn Collector) -> Sample {
    let mut sample = Sample::at(Timestamp::EPOCH);
    collector.collect(&mut sample).expect("a reading");
    sample
}

fn files(count: usize) -> TempDir {
    let root = TempDir::new().expect("a folder");
    for number in 0..count {
        let below = root.path().join(format!("{}", number % 10));
        fs::create_dir_all(&below).expect("a folder below");
        File::create(below.join(format!("{number}"))).expect("a file");
    }
    root
}

fn machine(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one reading");
    group.bench_function("floor: one read of /proc/self/stat", |bencher| {
        bencher.iter(|| fs::read_to_string(black_box("/proc/self/stat")).expect("it is there"));
    });
    let mut host = Host::new();
    group.bench_function("host", |bencher| bencher.iter(|| collect(&mut host)));
    for children in [0, 9, 99] {
        let tree = Tree::of(children);
        let mut collector = ProcessTree::new(tree.0.id()).expect("the shell");
        collect(&mut collector);
        group.bench_function(BenchmarkId::new("process tree: collect, processes", children + 1), |bencher| {
            bencher.iter(|| collect(&mut collector));
        });
        group.bench_function(BenchmarkId::new("process tree: poll, processes", children + 1), |bencher| {
            bencher.iter(|| collector.poll());
        });
    }
    let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new).into_iter().find_map(|root| {
        let group = root.join(format!("dimensionos-bench-{}", std::process::id()));
        (root.join("cgroup.controllers").exists() && fs::create_dir(&group).is_ok()).then_some(group)
    });
    if let Some(path) = root {
        let tree = Tree::of(0);
        fs::write(path.join("cgroup.procs"), tree.0.id().to_string()).expect("a member");
        let mut cgroup = Cgroup::new(&path).expect("a cgroup");
        group.bench_function("cgroup of one process", |bencher| bencher.iter(|| collect(&mut cgroup)));
        group.bench_function("cgroup: poll", |bencher| bencher.iter(|| cgroup.poll()));
        drop(tree);
        fs::remove_dir(path).expect("nobody is in it");
    } else {
        eprintln!("skipped: no cgroup of version 2 may be made here");
    }
    group.sample_size(20);
    for count in [10, 1_000] {
        let root = files(count);
        // A second reading of the same collector would not be due.
        let fresh = || Directory::new(root.path());
        group.bench_function(BenchmarkId::new("directory, files", count), |bencher| {
            bencher.iter_batched(fresh, |mut directory| collect(&mut directory), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn databases(criterion: &mut Criterion) {
    const RECORDS: usize = 100_000;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let fill = async |url: &str| {
        let tenant = sea_orm::Database::connect(url).await.expect("a tenant's database");
        let numbers = format!("WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {RECORDS})");
        tenant.execute_unprepared(&format!("CREATE TABLE one AS {numbers} SELECT id FROM n")).await.expect("a table");
        tenant.close().await.expect("its end");
    };
    let read = async |collector: &mut DatabaseCollector| {
        let mut sample = Sample::at(Timestamp::EPOCH);
        collector.collect(&mut sample).await.expect("a reading");
        sample
    };
    let mut group = criterion.benchmark_group("one reading of a database");
    group.sample_size(20);
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("tenant.db").display());
    runtime.block_on(fill(&format!("{url}?mode=rwc")));
    let connect = || runtime.block_on(DatabaseCollector::connect(&url)).expect("a collector");
    group.bench_function(BenchmarkId::new("SQLite, records", RECORDS), |bencher| {
        // A second count of the same collector would not be due.
        let count = |mut collector| {
            let sample = runtime.block_on(read(&mut collector));
            (sample, collector)
        };
        bencher.iter_batched(connect, count, BatchSize::PerIteration);
    });
    let mut collector = connect();
    runtime.block_on(read(&mut collector));
    group.bench_function("SQLite, records not due", |bencher| {
        bencher.iter(|| runtime.block_on(read(&mut collector)));
    });
    if let Some(database) = runtime.block_on(PostgresDatabase::create()) {
        runtime.block_on(fill(&database.url));
        let mut collector = runtime.block_on(DatabaseCollector::connect(&database.url)).expect("a collector");
        group.bench_function("PostgreSQL", |bencher| bencher.iter(|| runtime.block_on(read(&mut collector))));
    }
    group.finish();
}

criterion_group!(benches, machine, databases);
criterion_main!(benches);
