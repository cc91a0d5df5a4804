use super::*;
use crate::monitoring::pending::Pending;
use crate::monitoring::rollup::Resolution;
use crate::monitoring::sample::Sample;
use std::cell::RefCell;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A cell on its own, and all that it leaves beside it.
#[derive(Default)]
struct Alone {
    cell: Cell,
    rest: Rest,
    buckets: Buckets,
    grants: Grants,
    seldom: Seldom,
    marks: std::cell::Cell<usize>,
    put: RefCell<Vec<(Bucket, Rollup)>>,
    months: RefCell<Vec<(Month, MonthBytes)>>,
}

impl Aside for &Alone {
    fn now(self) -> Timestamp {
        Timestamp::LAST
    }

    fn mark(self) {
        self.marks.set(self.marks.get() + 1);
    }

    fn put(self, _account: AccountId, minute: Bucket, rollup: &Rollup) {
        self.put.borrow_mut().push((minute, *rollup));
    }

    fn month(self, _account: AccountId, month: Month, bytes: MonthBytes) {
        self.months.borrow_mut().push((month, bytes));
    }
}

impl Alone {
    fn new() -> Self {
        Self::resumed(&Past {
            tier: TierName::Free,
            own: OwnLimits::default(),
            readings: Readings::default(),
            minutes: Vec::new(),
            days: Vec::new(),
            version: 0,
        })
    }

    fn resumed(past: &Past) -> Self {
        let alone = Self::default();
        alone.parts().write().resume(AccountId::from_bits(1), past, NOW, &alone);
        alone
    }

    fn parts(&self) -> Parts<'_> {
        let Self { cell, rest, buckets, grants, seldom, .. } = self;
        Parts { cell, rest, buckets, grants, seldom }
    }

    fn record(&self, sample: &Sample) {
        self.cell.record(sample, self, || self.parts());
    }

    fn apply(&self, sample: &Sample, now: Timestamp) {
        self.parts().write().apply(sample, now, self);
    }

    fn take(&self) -> Pending {
        let mut pending = self.parts().write().take_pending(self).unwrap_or_default();
        self.put.take().iter().for_each(|(minute, rollup)| pending.add(*minute, rollup));
        pending.minutes.sort_by_key(|(minute, _)| *minute);
        pending
    }

    fn metrics(&self, now: Timestamp) -> Metrics {
        let of_month = |(month, _): &&(Month, MonthBytes)| *month == Month::of(now);
        let months = self.months.borrow();
        let aside = months.iter().filter(of_month).fold(MonthBytes::default(), |sum, (_, bytes)| {
            std::array::from_fn(|place| super::sum(sum[place], bytes[place]))
        });
        self.parts().metrics(now, aside)
    }
}

#[test]
fn what_a_sample_writes_takes_two_lines() {
    assert_eq!((size_of::<Cell>(), size_of::<Rest>()), (128, 64));
    assert_eq!((size_of::<Buckets>(), size_of::<Grants>(), size_of::<Seldom>()), (120, 24, 168));
}

#[test]
fn what_nobody_measured_is_absent_and_not_zero() {
    let cell = Alone::new();
    let metrics = cell.metrics(NOW);
    assert_eq!(metrics.readings, Readings::default());
    assert_eq!((metrics.bytes_sent, metrics.queries_per_second), (None, None));
    cell.apply(&Sample::at(NOW).with_added(Counter::BytesSent, 0), NOW);
    assert_eq!(cell.metrics(NOW).bytes_sent, Some(0));
    assert_eq!(cell.metrics(NOW).bytes_received, None);
}

#[test]
fn a_late_sample_adds_up_but_does_not_turn_a_level_back() {
    let cell = Alone::new();
    let earlier = NOW.before(Duration::from_secs(30));
    cell.apply(&Sample::at(NOW).with_level(Level::RamBytes, 2).with_added(Counter::ApiCalls, 1), NOW);
    cell.apply(&Sample::at(earlier).with_level(Level::RamBytes, 1).with_added(Counter::ApiCalls, 1), NOW);
    let metrics = cell.metrics(NOW);
    assert_eq!(metrics.readings.of(Level::RamBytes).unwrap().value, 2);
    assert_eq!((metrics.api_calls_per_hour, metrics.at), (2, NOW));
}

#[test]
fn a_new_month_starts_its_bytes_anew() {
    let cell = Alone::new();
    let last_of_month: Timestamp = "2024-01-31T23:59:00Z".parse().unwrap();
    let first_of_next: Timestamp = "2024-02-01T00:01:00Z".parse().unwrap();
    let sent = |at, bytes| Sample::at(at).with_added(Counter::BytesSent, bytes);
    cell.apply(&sent(last_of_month, 7), last_of_month);
    assert_eq!(cell.metrics(last_of_month).bytes_sent, Some(7));
    assert_eq!(cell.metrics(first_of_next).bytes_sent, None);
    // From a source whose clock is ahead: the present month goes on.
    cell.apply(&sent(first_of_next, 1), last_of_month);
    cell.apply(&sent(last_of_month, 5), last_of_month);
    assert_eq!(cell.metrics(last_of_month).bytes_sent, Some(12));
    assert_eq!(cell.metrics(first_of_next).bytes_sent, Some(1));
    // Recorded, and not durable yet: seen all the same, once.
    cell.record(&sent(first_of_next, 10));
    assert_eq!(cell.metrics(first_of_next).bytes_sent, Some(11));
    cell.take();
    assert_eq!(cell.metrics(first_of_next).bytes_sent, Some(11));
}

#[test]
fn a_source_ahead_of_its_time_pushes_nothing_out_of_the_hour() {
    let cell = Alone::new();
    let one = |at| Sample::at(at).with_added(Counter::ApiCalls, 1);
    cell.apply(&one(NOW.before(Duration::from_secs(58 * 60))), NOW);
    cell.apply(&one(NOW.after(Duration::from_secs(290))), NOW);
    assert_eq!(cell.metrics(NOW).api_calls_per_hour, 2);
}

#[test]
fn a_rate_is_taken_over_the_time_that_was_measured() {
    let cell = Alone::new();
    for second in 0..20 {
        let at = NOW.after(Duration::from_secs(second));
        cell.apply(&Sample::at(at).with_added(Counter::DatabaseQueries, 50), at);
    }
    let rate = cell.metrics(NOW.after(Duration::from_secs(20))).queries_per_second.unwrap();
    assert!((rate - 50.0).abs() < 2.6, "{rate}");
    assert_eq!(cell.metrics(NOW.after(Duration::from_secs(100))).queries_per_second, None);
}

#[test]
fn a_cell_waits_once_for_a_flush_however_much_is_recorded() {
    let cell = Alone::new();
    let sample = Sample::at(NOW).with_added(Counter::ApiCalls, 1);
    cell.apply(&sample, NOW);
    assert!(cell.take().minutes.is_empty(), "what is durable already is not written again");
    (0..3).for_each(|_| cell.record(&sample));
    assert_eq!(cell.marks.get(), 2);
    assert_eq!(cell.take().minutes[0].1.total(Counter::ApiCalls), Some(3));
    assert!(cell.take().minutes.is_empty());
}

proptest::proptest! {
    /// Whatever is recorded in whatever order, with flushes and durable samples between: what flushes take adds up
    /// to what was recorded, minute by minute, and the readings are the newest.
    #[test]
    fn flushes_take_exactly_what_was_recorded(steps in proptest::collection::vec(step(), 1..80)) {
        let (cell, mut model, mut taken) = (Alone::new(), Pending::default(), Pending::default());
        for step in steps {
            match step {
                Step::Record(sample) => {
                    cell.record(&sample);
                    let mut rollup = Rollup::default();
                    rollup.add(&sample);
                    model.add(Bucket::holding(sample.taken_at(), Resolution::Minute), &rollup);
                    model.readings.add(&sample);
                }
                Step::Apply(sample) => {
                    cell.apply(&sample, sample.taken_at());
                    model.readings.add(&sample);
                }
                Step::Take => taken.merge(&cell.take()),
            }
        }
        taken.merge(&cell.take());
        model.minutes.sort_by_key(|(minute, _)| *minute);
        taken.minutes.sort_by_key(|(minute, _)| *minute);
        // A sample without any field leaves no row, or an empty one.
        [&mut taken, &mut model].into_iter().for_each(|pending| {
            pending.minutes.retain(|(_, rollup)| *rollup != Rollup::default());
        });
        proptest::prop_assert_eq!(&taken.minutes, &model.minutes);
        let metrics = cell.metrics(NOW);
        for level in Level::ALL {
            let (known, expected) = (metrics.readings.of(level), model.readings.of(level));
            proptest::prop_assert_eq!(known.map(|reading| reading.at), expected.map(|reading| reading.at));
            proptest::prop_assert_eq!(known, expected);
        }
        proptest::prop_assert_eq!(metrics.readings.newest(), model.readings.newest());
    }
}

#[derive(Debug, Clone)]
enum Step {
    Record(Sample),
    Apply(Sample),
    Take,
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    use proptest::prelude::*;
    prop_oneof![6 => sample().prop_map(Step::Record), 2 => sample().prop_map(Step::Apply), 1 => Just(Step::Take)]
}

fn sample() -> impl proptest::strategy::Strategy<Value = Sample> {
    use proptest::prelude::*;
    let field = prop_oneof![3 => Just(None), 1 => (0..1_000_u64).prop_map(Some), 1 => Just(Some(1 << 45))];
    (0..150_u64, prop::collection::vec(field, LEVELS + COUNTERS)).prop_map(|(seconds, fields)| {
        let mut sample = Sample::at(NOW.after(Duration::from_secs(seconds)));
        let (levels, counters) = fields.split_at(LEVELS);
        for (level, value) in Level::ALL.into_iter().zip(levels) {
            if let Some(value) = value {
                sample.set_level(level, *value);
            }
        }
        for (counter, amount) in Counter::ALL.into_iter().zip(counters) {
            if let Some(amount) = amount {
                sample.add(counter, *amount);
            }
        }
        sample
    })
}

mod alike {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        /// A sample of one of some shapes, so many milliseconds after the last.
        Record {
            shape: usize,
            passed: i64,
            amount: u64,
        },
        Apply {
            shape: usize,
            amount: u64,
        },
        Spend(Leasable, u64),
        SetBack,
        Take,
    }

    /// Samples of sources as they are: of a host, of an API, of files, and of what is seldom counted through.
    fn sample(shape: usize, at: Timestamp, amount: u64) -> Sample {
        let sample = Sample::at(at);
        match shape {
            0 => sample
                .with_level(Level::CpuMillicores, amount)
                .with_level(Level::RamBytes, amount / 2)
                .with_added(Counter::CpuMicroseconds, amount)
                .with_added(Counter::BytesSent, amount),
            1 => sample.with_added(Counter::ApiCalls, amount).with_added(Counter::DatabaseQueries, 1),
            2 => sample.with_added(Counter::FileOperations, amount).with_level(Level::Connections, 3),
            3 => sample.with_level(Level::StorageBytes, amount).with_level(Level::RamBytes, 7),
            _ => sample,
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        let amount = prop_oneof![6 => 0..1_000_u64, 1 => Just(3_000_000_000), 1 => Just(MAX_AMOUNT)];
        let passed = prop_oneof![6 => 0..900_i64, 1 => Just(0), 1 => -5_000..70_000_i64, 1 => 250_000..4_000_000_i64];
        // Often the same shape time and again.
        let shape = prop_oneof![6 => Just(0_usize), 4 => Just(1), 1 => 2..5_usize];
        prop_oneof![
            20 => (shape.clone(), passed, amount.clone())
                .prop_map(|(shape, passed, amount)| Step::Record { shape, passed, amount }),
            1 => (shape, amount).prop_map(|(shape, amount)| Step::Apply { shape, amount }),
            2 => (prop_oneof![Just(Leasable::ApiCalls), Just(Leasable::FileOperations)], 1..100_u64)
                .prop_map(|(what, amount)| Step::Spend(what, amount)),
            1 => Just(Step::SetBack),
            3 => Just(Step::Take),
        ]
    }

    /// Does a step, and gives the time after it.
    fn act(cell: &Alone, step: &Step, now: Timestamp) -> Timestamp {
        match step {
            Step::Record { shape, passed, amount } => {
                let at = Timestamp::from_millis(now.as_millis() + passed);
                cell.record(&sample(*shape, at, *amount));
                return at;
            }
            Step::Apply { shape, amount } => cell.apply(&sample(*shape, now, *amount), now),
            Step::Spend(what, amount) => drop(cell.parts().write().spend(*what, *amount, now, cell)),
            Step::SetBack => {
                let before = now.before(Duration::from_secs(400));
                cell.parts().write().set_back(before, cell);
                return before;
            }
            Step::Take => {}
        }
        now
    }

    #[test]
    fn a_sample_like_the_last_takes_the_short_way() {
        let cell = Alone::new();
        let taken = |at| cell.cell.record_alike(&sample(0, at, 5));
        cell.record(&sample(0, NOW, 5));
        assert!(taken(NOW.after(Duration::from_millis(1))));
        assert!(!taken(NOW), "older than the newest");
        assert!(!taken(NOW.after(Duration::from_secs(10))), "in other ten seconds");
        assert!(!cell.cell.record_alike(&sample(1, NOW.after(Duration::from_millis(1)), 5)), "of other fields");
        cell.take();
        assert!(!taken(NOW.after(Duration::from_millis(1))), "the first after a flush has to be marked");
        cell.record(&sample(0, NOW.after(Duration::from_millis(1)), 5));
        assert!(taken(NOW.after(Duration::from_millis(1))));
        assert_eq!(cell.take().minutes[0].1.total(Counter::BytesSent), Some(10));
    }

    proptest! {
        /// The short way is no other way: whatever happens to a cell, it is as if each sample had gone the long one.
        #[test]
        fn the_short_way_ends_where_the_long_one_does(steps in proptest::collection::vec(step(), 1..120)) {
            let (short, long) = (Alone::new(), Alone::new());
            let mut now = NOW;
            for step in steps {
                long.parts().write().parts.expect_nothing();
                act(&long, &step, now);
                now = act(&short, &step, now);
                if matches!(step, Step::Take) {
                    prop_assert_eq!(short.take().minutes, long.take().minutes);
                }
                prop_assert_eq!(short.metrics(now), long.metrics(now));
                for resource in Resource::ALL {
                    prop_assert_eq!(short.parts().used(resource, now), long.parts().used(resource, now));
                }
            }
            prop_assert_eq!(short.take().minutes, long.take().minutes);
        }
    }
}

mod renewal {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn samples() -> impl Strategy<Value = Vec<Sample>> {
        let sample =
            (0..4_200_i64, 0..5_u64, 0..5_u64, proptest::option::of(1..9_u64)).prop_map(|(age, calls, bytes, ram)| {
                let at = NOW.before(Duration::from_secs(age.unsigned_abs()));
                let sample = Sample::at(at).with_added(Counter::ApiCalls, calls).with_added(Counter::BytesSent, bytes);
                ram.map_or(sample, |ram| sample.with_level(Level::RamBytes, ram))
            });
        proptest::collection::vec(sample, 0..12)
    }

    /// What a store has once these are durable.
    fn stored<'a>(samples: impl Iterator<Item = &'a Sample>) -> Past {
        let mut readings = Readings::default();
        let mut each = [Resolution::Minute, Resolution::Day].map(|resolution| (resolution, BTreeMap::new()));
        for sample in samples {
            readings.add(sample);
            for (resolution, buckets) in &mut each {
                let bucket = Bucket::holding(sample.taken_at(), *resolution);
                buckets.entry(bucket).or_insert_with(Rollup::default).add(sample);
            }
        }
        let [minutes, days] = each.map(|(_, buckets)| buckets.into_iter().collect());
        Past { tier: TierName::Free, own: OwnLimits::default(), readings, minutes, days, version: 7 }
    }

    /// Bytes, calls, and when each level was read: of two readings of one instant either may be the newest.
    fn told(cell: &Alone) -> (Option<u64>, u64, Vec<Option<Timestamp>>) {
        let metrics = cell.metrics(NOW);
        let read_at = Level::ALL.map(|level| metrics.readings.of(level).map(|reading| reading.at));
        (metrics.bytes_sent, metrics.api_calls_per_hour, read_at.to_vec())
    }

    proptest! {
        #[test]
        fn a_cell_made_anew_is_as_one_made_afresh_that_has_what_is_not_durable_yet(
            durable in samples(),
            elsewhere in samples(),
            recorded in samples(),
        ) {
            let past = stored(durable.iter().chain(&elsewhere));
            let cell = Alone::new();
            durable.iter().for_each(|sample| cell.record(sample));
            cell.take();
            recorded.iter().for_each(|sample| cell.record(sample));
            let mut waiting = Pending::default();
            cell.put.borrow().iter().for_each(|(minute, rollup)| waiting.add(*minute, rollup));
            cell.parts().write().renew(&past, Some(&waiting), NOW, &cell);

            let fresh = Alone::resumed(&past);
            recorded.iter().for_each(|sample| fresh.record(sample));
            prop_assert_eq!(told(&cell), told(&fresh));
            prop_assert_eq!(cell.take().minutes, fresh.take().minutes);
        }
    }
}
