//! One sample of eight fields recorded: by handle, by id and in batches, beside floors and peers.
//!
//! All is processor time of the recording threads. A group is called `record/<accounts>/<spread>`; `cargo run -p benches
//! --bin table` makes a table of them.

use std::cell::LazyCell;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::Duration;

use benches::cpu;
use benches::floor::{Account, BATCH, FIGURES, Figures, Table};
use benches::ours::Ours;
use benches::peers::{Instruments, Recorder, Resolved, Shared, Vectors};
use benches::visits::{Accounts, Names, Spread, VISITS, Visits};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use dimensionos_core::monitoring::{Meter, Sample};
use dimensionos_core::{AccountId, Clock, SystemClock};

const SIZES: [usize; 4] = [1, 1_000, 100_000, 1_000_000];

/// What one thread writes, on lines of its own.
#[repr(align(128))]
struct Apart<S>(S, usize);

/// One size of the bench.
struct Setting<'a> {
    criterion: &'a mut Criterion,
    accounts: &'a Accounts,
    visits: Vec<Visits<'a>>,
}

impl<'a> Setting<'a> {
    fn new(criterion: &'a mut Criterion, accounts: &'a Accounts) -> Self {
        let spreads: &[Spread] =
            if accounts.count() == 1 { &[Spread::Uniform] } else { &[Spread::Uniform, Spread::Zipf] };
        let visits = spreads.iter().map(|spread| accounts.visits(*spread)).collect();
        Self { criterion, accounts, visits }
    }

    fn group(&mut self, spread: Spread) -> BenchmarkGroup<'_, WallTime> {
        self.criterion.benchmark_group(format!("record/{}/{}", self.accounts.count(), spread.name()))
    }

    /// Measures a subject on one thread at each spread. `set_up` is called only where it is to be measured; `record`
    /// records the samples of `batch` visits from a place on.
    fn one_thread<S>(
        &mut self,
        subject: &str,
        batch: usize,
        set_up: impl Fn(&Visits<'_>) -> S,
        record: impl Fn(&mut S, usize),
    ) {
        for visits in std::mem::take(&mut self.visits) {
            let mut prepared = None;
            let mut place = 0;
            self.group(visits.spread()).bench_function(subject, |bencher| {
                let state = prepared.get_or_insert_with(|| set_up(&visits));
                bencher.iter_custom(|samples| by_batches(samples, batch, &mut place, |place| record(state, place)));
            });
            self.visits.push(visits);
        }
    }

    /// Measures a subject on two threads at once, the mean of both.
    fn two_threads<S: Send>(
        &mut self,
        subject: &str,
        set_up: impl Fn(&Visits<'_>, u32) -> S,
        record: impl Fn(&mut S, usize) + Sync,
    ) {
        let on = if self.accounts.count() == 1 { "one account" } else { "distinct accounts" };
        let visits = self.visits.swap_remove(0);
        let mut prepared = None;
        self.group(visits.spread()).bench_function(format!("{subject}; two threads, {on}"), |bencher| {
            let states = prepared.get_or_insert_with(|| [0, 1].map(|thread| Apart(set_up(&visits, thread), 0)));
            bencher.iter_custom(|samples| {
                let record = &record;
                cpu::time_at_once(states.each_mut().map(|Apart(state, place)| {
                    move || {
                        for _ in 0..samples {
                            record(state, *place);
                            *place = (*place + 1) % VISITS;
                        }
                    }
                }))
            });
        });
        self.visits.insert(0, visits);
    }
}

/// Goes on where it stopped the last time: beginning again would visit the same few accounts, and find them in the cache.
fn by_batches(samples: u64, batch: usize, place: &mut usize, mut record: impl FnMut(usize)) -> Duration {
    let batches = samples.div_ceil(batch as u64);
    let took = cpu::time(|| {
        for _ in 0..batches {
            record(*place);
            *place = (*place + batch) % VISITS;
        }
    });
    // What was recorded past the samples asked for is not theirs.
    Duration::from_nanos_u128(took.as_nanos() * u128::from(samples) / u128::from(batches * batch as u64))
}

fn floors(setting: &mut Setting<'_>) {
    let ids = setting.accounts.ids();
    let figures = || black_box(&FIGURES);
    setting.one_thread(
        "floor: by handle, single writer",
        1,
        |visits| (visits.places().to_vec(), block(ids)),
        |(places, accounts), at| _ = black_box(accounts[places[at] as usize].plain.record(figures())),
    );
    let by_id = |visits: &Visits<'_>| (visits.ids().to_vec(), Table::new(ids));
    setting.one_thread("floor: by id, plain stores", 1, by_id, |(ids, table), at| {
        black_box(table.record(ids[at], figures()));
    });
    setting.one_thread("floor: by id in batches of 16 with prefetch", BATCH, by_id, |(ids, table), at| {
        black_box(table.record_batch(&ids.as_chunks().0[at / BATCH], figures()));
    });
    if ids.len() == 1 {
        // Two writers of one account need a lock at the least.
        let account = Mutex::new(Account::new(ids[0]));
        let record = |(): &mut (), _| {
            black_box(account.lock().map(|mut account| account.plain.record(figures()))).ok();
        };
        setting.one_thread("floor: by handle, one lock", 1, |_| (), record);
        setting.two_threads("floor: by handle, one lock", |_, _| (), record);
    } else {
        setting.two_threads(
            "floor: by handle, single writer",
            // Each thread has accounts of its own: no line is written by both.
            |visits, thread| {
                let places = visits.of_thread(thread);
                let (first, last) = (*places.iter().min().unwrap_or(&0), *places.iter().max().unwrap_or(&0));
                let places: Vec<u32> = places.into_iter().map(|place| place - first).collect();
                (places, block(&ids[first as usize..=last as usize]))
            },
            |(places, accounts), at| _ = black_box(accounts[places[at] as usize].plain.record(figures())),
        );
    }
}

fn block(ids: &[AccountId]) -> Vec<Account> {
    ids.iter().copied().map(Account::new).collect()
}

/// Accounts at most whose quotas are used, and that are opened anew for each subject.
const FEW: usize = 1_000;

fn ours(setting: &mut Setting<'_>) {
    let accounts = setting.accounts;
    let sample = Ours::sample();
    let open = || {
        LazyCell::new(|| {
            let ours = Ours::open();
            let meters = ours.meters(accounts.ids());
            // An account's first sample makes room for what is to be written of it, which the others find.
            meters.iter().for_each(|meter| meter.record(&sample));
            (ours, meters)
        })
    };
    // Of few accounts each subject has its own: what one account is given here in a minute is more than an hour has.
    let is_few = accounts.count() <= FEW;
    let shared = open();
    let record = |meters: &mut Vec<Meter>, at: usize| meters[at].record(black_box(&sample));
    {
        let own = open();
        let ours = if is_few { &own } else { &shared };
        setting.one_thread("ours: by handle", 1, |visits| in_order(&ours.1, visits.places()), record);
    }
    {
        let own = open();
        let ours = if is_few { &own } else { &shared };
        let set_up = |visits: &Visits<'_>, thread| in_order(&ours.1, &visits.of_thread(thread));
        setting.two_threads("ours: by handle", set_up, record);
    }
    // A quota is decided about one account at a time; granting it to a million would take longer than all the rest.
    if is_few {
        let now = SystemClock.now();
        let ours = Ours::open();
        let granted = |visits: &Visits<'_>| -> Vec<Meter> {
            let meters: Vec<Meter> = accounts.ids().iter().map(|account| ours.granted(*account)).collect();
            in_order(&meters, visits.places())
        };
        setting.one_thread("ours: one API call consumed, by handle", 1, granted, |meters, at| {
            Ours::consume(&meters[at], black_box(now));
        });
    }

    {
        let own = open();
        let ours = if is_few { &own } else { &shared };
        let set_up = |visits: &Visits<'_>| (&ours.0, visits.ids().to_vec());
        setting.one_thread("ours: by id", 1, set_up, |(ours, ids), at| ours.record(ids[at], black_box(&sample)));
    }
    {
        let own = open();
        let ours = if is_few { &own } else { &shared };
        let set_up = |visits: &Visits<'_>, thread| {
            let places = visits.of_thread(thread).into_iter();
            (&ours.0, places.map(|place| accounts.ids()[place as usize]).collect::<Vec<_>>())
        };
        setting.two_threads("ours: by id", set_up, |(ours, ids), at| ours.record(ids[at], black_box(&sample)));
    }
    for (subject, batch) in [("ours: by id in batches of 16", 16), ("ours: by id in batches of 256", 256)] {
        let own = open();
        let ours = if is_few { &own } else { &shared };
        let set_up = |visits: &Visits<'_>| Batch::new(&ours.0, visits.ids().to_vec(), batch, sample);
        setting.one_thread(subject, batch, set_up, Batch::record);
    }
}

/// The meters of those places.
fn in_order(meters: &[Meter], places: &[u32]) -> Vec<Meter> {
    places.iter().map(|place| meters[*place as usize].clone()).collect()
}

/// A caller that fills one batch again and again.
struct Batch<'a> {
    ours: &'a Ours,
    ids: Vec<AccountId>,
    sample: Sample,
    batch: Vec<(AccountId, Sample)>,
}

impl<'a> Batch<'a> {
    fn new(ours: &'a Ours, ids: Vec<AccountId>, batch: usize, sample: Sample) -> Self {
        Self { ours, ids, sample, batch: vec![(AccountId::NOBODY, sample); batch] }
    }

    fn record(&mut self, at: usize) {
        let ids = &self.ids[at..][..self.batch.len()];
        for (entry, id) in self.batch.iter_mut().zip(ids) {
            *entry = (*id, *black_box(&self.sample));
        }
        self.ours.record_batch(black_box(&self.batch));
    }
}

fn peers(setting: &mut Setting<'_>) {
    fn figures() -> &'static Figures {
        black_box(&FIGURES)
    }
    let accounts = setting.accounts;
    {
        let shared = LazyCell::new(|| Shared::new(accounts.ids()));
        let record = |(shared, ids): &mut (&Shared, Vec<AccountId>), at: usize| {
            black_box(shared.record(ids[at], figures()));
        };
        setting.one_thread("dashmap", 1, |visits| (&*shared, visits.ids().to_vec()), record);
        let of_thread = |visits: &Visits<'_>, thread| {
            let places = visits.of_thread(thread).into_iter();
            (&*shared, places.map(|place| accounts.ids()[place as usize]).collect())
        };
        setting.two_threads("dashmap", of_thread, record);
    }
    let names = LazyCell::new(|| Names::of(accounts.ids()));
    {
        let vectors = LazyCell::new(|| {
            let vectors = Vectors::new();
            let resolved: Vec<Resolved> = names.iter().map(|name| vectors.resolve(name)).collect();
            (vectors, resolved)
        });
        let in_order = |visits: &Visits<'_>| -> Vec<Resolved> {
            visits.places().iter().map(|place| vectors.1[*place as usize].clone()).collect()
        };
        setting.one_thread("prometheus: by handle", 1, in_order, |resolved, at| resolved[at].record(figures()));
        setting.one_thread(
            "prometheus: by label",
            1,
            |visits| (&vectors.0, visits.names()),
            |(vectors, names), at| vectors.record(names.at(at), figures()),
        );
    }
    {
        let recorder = LazyCell::new(|| {
            let recorder = Recorder::new();
            names.iter().for_each(|name| recorder.record(name, figures()));
            recorder
        });
        setting.one_thread(
            "metrics with the Prometheus recorder",
            1,
            |visits| (&*recorder, visits.names()),
            |(recorder, names), at| recorder.record(names.at(at), figures()),
        );
    }
    let instruments = LazyCell::new(|| {
        let instruments = Instruments::new(accounts.count());
        names.iter().for_each(|name| instruments.record(name, figures()));
        instruments
    });
    setting.one_thread(
        "opentelemetry_sdk",
        1,
        |visits| (&*instruments, visits.names()),
        |(instruments, names), at| instruments.record(names.at(at), figures()),
    );
}

fn record(criterion: &mut Criterion) {
    for size in SIZES {
        let accounts = Accounts::new(size);
        let mut setting = Setting::new(criterion, &accounts);
        floors(&mut setting);
        ours(&mut setting);
        peers(&mut setting);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = record
}
criterion_main!(benches);
