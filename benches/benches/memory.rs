//! Resident memory of a million accounts, one sample of eight fields recorded of each.
//!
//! Each subject is measured in a process of its own, so that none gets memory that another has freed.
#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has failed")]

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use benches::floor::{FIGURES, Table};
use benches::ours::Ours;
use benches::peers::{Instruments, Recorder, Shared, Vectors};
use benches::visits::{Accounts, Names};

const ACCOUNTS: usize = 1_000_000;
/// Accounts of one call where they are recorded in batches.
const BATCH: usize = 256;
/// Tells a process which subject it is to measure.
const SUBJECT: &str = "DIMENSIONOS_BENCH_SUBJECT";

/// Makes what holds the accounts, and records to each.
type Subject = fn(&Accounts, Names) -> Box<dyn std::any::Any>;

const SUBJECTS: [(&str, Subject); 8] = [
    ("floor: plain structs and an index", |accounts, _| {
        let mut table = Table::new(accounts.ids());
        accounts.ids().iter().for_each(|id| _ = black_box(table.record(*id, &FIGURES)));
        Box::new(table)
    }),
    ("ours, by meters that are dropped", |accounts, _| {
        let ours = Ours::open();
        accounts.ids().iter().for_each(|id| ours.meter(*id).record(&Ours::sample()));
        Box::new(ours)
    }),
    ("ours, by id in batches of 256", |accounts, _| {
        let (ours, sample) = (Ours::open(), Ours::sample());
        for ids in accounts.ids().chunks(BATCH) {
            ours.record_batch(&ids.iter().map(|id| (*id, sample)).collect::<Vec<_>>());
        }
        Box::new(ours)
    }),
    ("ours, with a sample every five minutes of an hour and a half, all durable, and detectors", |accounts, _| {
        let (ours, now) = (Ours::open(), Ours::sample().taken_at());
        for minutes in (0..90_u32).step_by(5).rev() {
            let sample = Ours::sample_of(now.before(Duration::from_secs(u64::from(minutes) * 60)));
            for ids in accounts.ids().chunks(BATCH) {
                ours.record_batch(&ids.iter().map(|id| (*id, sample)).collect::<Vec<_>>());
            }
            ours.flush(accounts.ids()[0]);
        }
        Box::new(ours)
    }),
    ("`dashmap` of plain structs", |accounts, _| {
        let shared = Shared::default();
        accounts.ids().iter().for_each(|id| _ = black_box(shared.record(*id, &FIGURES)));
        Box::new(shared)
    }),
    ("`prometheus`", |_, names| {
        let vectors = Vectors::new();
        names.iter().for_each(|name| vectors.record(name, &FIGURES));
        Box::new(vectors)
    }),
    ("`metrics` with the Prometheus recorder", |_, names| {
        let recorder = Recorder::new();
        names.iter().for_each(|name| recorder.record(name, &FIGURES));
        Box::new(recorder)
    }),
    ("`opentelemetry_sdk`", |_, names| {
        let instruments = Instruments::new(ACCOUNTS);
        names.iter().for_each(|name| instruments.record(name, &FIGURES));
        Box::new(instruments)
    }),
];

fn main() {
    if let Ok(subject) = std::env::var(SUBJECT) {
        let (_, subject) = SUBJECTS.iter().find(|(name, _)| *name == subject).expect("a subject of this bench");
        println!("{}", bytes_an_account(*subject));
        return;
    }
    println!("| {ACCOUNTS} accounts | resident bytes an account |\n| --- | --- |");
    let program = std::env::current_exe().expect("this program");
    for (name, _) in SUBJECTS {
        let output = Command::new(&program).env(SUBJECT, name).output().expect("another of this program");
        let bytes = String::from_utf8(output.stdout).expect("a number");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        println!("| {name} | {} |", bytes.trim());
    }
}

fn bytes_an_account(subject: Subject) -> usize {
    let accounts = Accounts::new(ACCOUNTS);
    let names = Names::of(accounts.ids());
    let before = resident_bytes();
    let held = subject(&accounts, names);
    let after = resident_bytes();
    drop(held);
    after.saturating_sub(before) / ACCOUNTS
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux's /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident memory");
    let kibibytes = line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kB");
    kibibytes << 10
}
