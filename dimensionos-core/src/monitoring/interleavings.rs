//! Every order in which threads may meet in a cell, as far as a model checker goes: see CONTRIBUTING.md.

use loom::sync::Arc;
use loom::thread;

use crate::id::AccountId;
use crate::monitoring::cell::{Aside, Buckets, Cell, Grants, MonthBytes, Parts, Rest, Seldom};
use crate::monitoring::index::Index;
use crate::monitoring::rollup::{Bucket, Rollup};
use crate::monitoring::sample::{Counter, Level, Sample};
use crate::monitoring::sequence::Sequence;
use crate::time::{Month, Timestamp};
use crate::words::Word;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const ACCOUNT: AccountId = AccountId::from_bits(7);

/// As many turns are taken from a thread that could go on: more find nothing else and take hours.
const PREEMPTIONS: usize = 3;

fn model(threads: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(threads);
}

#[derive(Clone, Copy)]
struct Nowhere;

impl Aside for Nowhere {
    fn now(self) -> Timestamp {
        NOW
    }
    fn mark(self) {}
    fn put(self, _: AccountId, _: Bucket, _: &Rollup) {}
    fn month(self, _: AccountId, _: Month, _: MonthBytes) {}
}

#[derive(Default)]
struct Pair {
    sequence: Sequence,
    words: [Word; 2],
}

impl Pair {
    fn add(&self) {
        let _writing = self.sequence.write();
        self.words.iter().for_each(|word| word.set(word.of() + 1));
    }

    fn read(&self) -> [u64; 2] {
        self.sequence.read(|| [self.words[0].of(), self.words[1].of()])
    }
}

/// Runs each in a thread of its own and waits for all: the checker moves them about as it does not move the first.
fn at_once<T: 'static>(actors: Vec<Box<dyn FnOnce() -> T>>) -> Vec<T> {
    let threads: Vec<_> = actors.into_iter().map(thread::spawn).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn of_a_pair(actors: [fn(&Pair); 2], expected: u64) {
    model(move || {
        let pair = Arc::new(Pair::default());
        let act = |act: fn(&Pair)| -> Box<dyn FnOnce()> {
            let pair = Arc::clone(&pair);
            Box::new(move || act(&pair))
        };
        at_once(actors.map(act).into());
        assert_eq!(pair.read(), [expected; 2]);
        assert_eq!(u64::from(pair.sequence.version()), expected);
    });
}

#[test]
fn loom_two_writers_take_turns() {
    of_a_pair([Pair::add, Pair::add], 2);
}

#[test]
fn loom_a_reader_never_sees_half_of_a_change() {
    let look = |pair: &Pair| {
        let [one, other] = pair.read();
        assert_eq!(one, other);
    };
    of_a_pair([Pair::add, look], 1);
}

/// An account, and what is done to it.
#[derive(Default)]
struct Shared(Cell, Rest, Buckets, Grants, Seldom);

impl Shared {
    fn parts(&self) -> Parts<'_> {
        let Self(cell, rest, buckets, grants, seldom) = self;
        Parts { cell, rest, buckets, grants, seldom }
    }

    fn record(&self) -> u64 {
        let sample = Sample::at(NOW).with_level(Level::RamBytes, 5).with_added(Counter::ApiCalls, 5);
        self.0.record(&sample, Nowhere, || self.parts());
        0
    }

    fn flush(&self) -> u64 {
        let pending = self.parts().write().take_pending(Nowhere).unwrap_or_default();
        pending.minutes.iter().filter_map(|(_, rollup)| rollup.total(Counter::ApiCalls)).sum()
    }

    fn look(&self) -> u64 {
        let metrics = self.parts().metrics(NOW, [None; 2]);
        let ram = metrics.readings.of(Level::RamBytes).map_or(0, |reading| reading.value);
        assert_eq!(metrics.api_calls_per_hour, ram, "all of a sample is seen, or nothing");
        0
    }
}

#[test]
fn loom_what_is_recorded_while_a_flush_takes_and_a_reader_looks_is_counted_once() {
    for other in [Shared::flush, Shared::look] {
        model(move || {
            let shared = Arc::new(Shared::default());
            shared.parts().write().begin(ACCOUNT);
            let act = |act: fn(&Shared) -> u64| -> Box<dyn FnOnce() -> u64> {
                let shared = Arc::clone(&shared);
                Box::new(move || act(&shared))
            };
            let taken: u64 = at_once(vec![act(Shared::record), act(other)]).into_iter().sum();
            assert_eq!(taken + shared.flush(), 5);
        });
    }
}

#[test]
fn loom_whoever_finds_a_cell_finds_it_made() {
    model(|| {
        let shared = Arc::new((Index::default(), Word::default()));
        let act = |act: fn(&(Index, Word))| -> Box<dyn FnOnce()> {
            let shared = Arc::clone(&shared);
            Box::new(move || act(&shared))
        };
        let insert = |(index, cell): &(Index, Word)| {
            cell.set(1);
            index.lock().insert(ACCOUNT, 0, |_| ACCOUNT);
        };
        let find = |(index, cell): &(Index, Word)| {
            if index.candidates(ACCOUNT).next().is_some() {
                assert_eq!(cell.of(), 1);
            }
        };
        at_once(vec![act(insert), act(find)]);
        assert_eq!(shared.0.candidates(ACCOUNT).collect::<Vec<_>>(), [0]);
    });
}
