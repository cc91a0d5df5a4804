//! Tiers, usage, readings and sources.

use std::time::Duration;

use super::{NOW, commit, id, read, row, write};
use crate::allocation::Resource;
use crate::id::{AccessKeyId, ReplicaId};
use crate::monitoring::{
    Bucket, Counter, Level, MAX_AMOUNT, Reading, Readings, Resolution, Rollup, Sample, SourceName, SourceState,
};
use crate::store::Store;
use crate::time::Timestamp;

pub async fn usage_adds_up_and_keeps_what_nobody_measured_absent(store: &dyn Store) {
    let first = Sample::at(NOW).with_level(Level::RamBytes, 10).with_added(Counter::ApiCalls, 1);
    let second = Sample::at(NOW).with_level(Level::RamBytes, 4).with_level(Level::FileCount, 0);
    let third = Sample::at(NOW).with_added(Counter::ApiCalls, 2).with_added(Counter::BytesSent, 0);
    let mut expected = Rollup::default();
    for sample in [first, second, third] {
        expected.add(&sample);
        let mut tx = write(store).await;
        tx.add_usage(&[row(id(1), Resolution::Minute, NOW, &sample)]).await.expect("usage is added");
        commit(tx).await;
    }
    let mut tx = read(store).await;
    let after = NOW.after(Duration::from_secs(60));
    let rows = tx.usage(id(1), Resolution::Minute, Timestamp::EPOCH, after).await.unwrap();
    assert_eq!(rows, [(Bucket::holding(NOW, Resolution::Minute), expected)]);
    assert_eq!(rows[0].1.total(Counter::BytesReceived), None);
    for resource in Resource::ALL {
        let range = (Timestamp::EPOCH, after);
        let of_one = tx.usage_of(id(1), resource, Resolution::Minute, range).await.unwrap();
        let [(bucket, rollup)] = of_one[..] else { panic!("{resource:?}: {of_one:?}") };
        assert_eq!(bucket, rows[0].0);
        if let Some(level) = resource.level() {
            assert_eq!(rollup.level(level), expected.level(level));
        }
        if let Some(counter) = resource.counter() {
            assert_eq!(rollup.total(counter), expected.total(counter));
        }
    }
    assert_eq!(rows[0].1.total(Counter::BytesSent), Some(0));
}

pub async fn usage_is_read_by_range_and_account(store: &dyn Store) {
    let minute = Duration::from_secs(60);
    let start = NOW.floor(3_600);
    let mut rows = Vec::new();
    for number in [1, 2] {
        for step in 0..5 {
            let at = start.after(minute * step);
            let sample = Sample::at(at).with_added(Counter::ApiCalls, u64::from(step));
            rows.push(row(id(number), Resolution::Minute, at, &sample));
        }
        rows.push(row(id(number), Resolution::Hour, start, &Sample::at(start).with_added(Counter::ApiCalls, 10)));
    }
    let mut tx = write(store).await;
    tx.add_usage(&rows).await.expect("usage is added");
    commit(tx).await;
    let mut tx = read(store).await;
    let found = tx.usage(id(1), Resolution::Minute, start.after(minute), start.after(minute * 3)).await.unwrap();
    let counts: Vec<_> = found.iter().map(|(_, rollup)| rollup.total(Counter::ApiCalls).unwrap()).collect();
    assert_eq!(counts, [1, 2]);
    assert_eq!(tx.usage(id(1), Resolution::Hour, start, start.after(minute)).await.unwrap().len(), 1);
    assert!(tx.usage(id(3), Resolution::Minute, start, start.after(minute)).await.unwrap().is_empty());
    assert!(tx.usage(id(1), Resolution::Minute, start, start).await.unwrap().is_empty());
}

pub async fn old_usage_is_purged_by_its_own_resolution(store: &dyn Store) {
    let sample = Sample::at(NOW).with_added(Counter::ApiCalls, 1);
    let later = NOW.after(Duration::from_secs(60));
    let rows = [
        row(id(1), Resolution::Minute, NOW, &sample),
        row(id(1), Resolution::Minute, later, &sample),
        row(id(1), Resolution::Hour, NOW, &sample),
    ];
    let mut tx = write(store).await;
    tx.add_usage(&rows).await.expect("usage is added");
    commit(tx).await;
    let until = Bucket::holding(later, Resolution::Minute).start();
    // By then every stretch of time is over that a store may keep until its end.
    let long_after = NOW.after(Duration::from_hours(366 * 24));
    let mut gone = Vec::new();
    for before in [until, long_after] {
        let mut tx = write(store).await;
        gone.push(tx.purge_usage(Resolution::Minute, before).await.unwrap());
        commit(tx).await;
        let mut tx = read(store).await;
        let left = tx.usage(id(1), Resolution::Minute, Timestamp::EPOCH, until).await.unwrap().len() as u64;
        assert_eq!(left + gone.iter().sum::<u64>().min(1), 1);
        let kept = tx.usage(id(1), Resolution::Minute, until, long_after).await.unwrap().len();
        assert_eq!(kept, usize::from(before == until));
        assert_eq!(tx.usage(id(1), Resolution::Hour, Timestamp::EPOCH, long_after).await.unwrap().len(), 1);
    }
    assert_eq!(gone.iter().sum::<u64>(), 2);
}

pub async fn usage_is_the_same_wherever_room_was_made_for_it(store: &dyn Store) {
    let month = Duration::from_hours(30 * 24);
    let sample = Sample::at(NOW).with_added(Counter::ApiCalls, 1);
    // Long past and far ahead, each before there was room for it and after.
    let instants = [NOW.before(month), NOW, NOW.after(month)];
    let rows: Vec<_> = Resolution::ALL
        .into_iter()
        .flat_map(|resolution| instants.map(|at| row(id(1), resolution, at, &sample)))
        .collect();
    for _ in 0..2 {
        let mut tx = write(store).await;
        tx.add_usage(&rows).await.expect("usage is added");
        commit(tx).await;
        for resolution in Resolution::ALL {
            let mut tx = write(store).await;
            tx.prepare_usage(resolution, NOW, NOW).await.expect("room is made");
            commit(tx).await;
        }
    }
    let mut tx = read(store).await;
    for resolution in Resolution::ALL {
        let found = tx.usage(id(1), resolution, Timestamp::EPOCH, NOW.after(2 * month)).await.unwrap();
        let found: Vec<_> = found.iter().map(|(at, rollup)| (*at, rollup.total(Counter::ApiCalls))).collect();
        assert_eq!(found, instants.map(|at| (Bucket::holding(at, resolution), Some(2))));
    }
}

pub async fn a_sum_stops_at_the_largest_figure(store: &dyn Store) {
    let sample = Sample::at(NOW).with_added(Counter::BytesSent, MAX_AMOUNT).with_level(Level::RamBytes, MAX_AMOUNT);
    for _ in 0..3 {
        let mut tx = write(store).await;
        tx.add_usage(&[row(id(1), Resolution::Day, NOW, &sample)]).await.expect("usage is added");
        commit(tx).await;
    }
    let mut tx = read(store).await;
    let rows = tx.usage(id(1), Resolution::Day, Timestamp::EPOCH, NOW).await.unwrap();
    assert_eq!(rows[0].1.total(Counter::BytesSent), Some(MAX_AMOUNT));
    assert_eq!(rows[0].1.level(Level::RamBytes).peak, MAX_AMOUNT);
    assert_eq!(rows[0].1.level(Level::RamBytes).count, 3);
}

pub async fn a_reading_gives_way_to_newer_ones_alone(store: &dyn Store) {
    let at = |seconds| NOW.after(Duration::from_secs(seconds));
    let readings = |sample: Sample| {
        let mut readings = Readings::default();
        readings.add(&sample);
        readings
    };
    for sample in [
        Sample::at(at(10)).with_level(Level::RamBytes, 1).with_level(Level::TableCount, 0),
        Sample::at(at(5)).with_level(Level::RamBytes, 2),
        Sample::at(at(20)).with_level(Level::StorageBytes, MAX_AMOUNT),
    ] {
        let mut tx = write(store).await;
        tx.save_readings(&[(id(1), readings(sample)), (id(2), readings(sample))]).await.expect("readings are set");
        commit(tx).await;
    }
    let mut tx = read(store).await;
    let found = tx.readings(id(1)).await.unwrap();
    assert_eq!(found.of(Level::RamBytes), Some(Reading { value: 1, at: at(10) }));
    assert_eq!(found.of(Level::TableCount), Some(Reading { value: 0, at: at(10) }));
    assert_eq!(found.of(Level::StorageBytes), Some(Reading { value: MAX_AMOUNT, at: at(20) }));
    assert_eq!(found.of(Level::CpuMillicores), None);
    assert_eq!(tx.readings(id(3)).await.unwrap(), Readings::default());
}

pub async fn a_source_keeps_its_sequence(store: &dyn Store) {
    let agent = AccessKeyId::from_bits(1);
    let names = ["", "web-1"].map(|name| name.parse::<SourceName>().expect("a good name"));
    let states = ["7", "9 4-4 6-7"].map(|state| state.parse::<SourceState>().expect("a good state"));
    let mut tx = write(store).await;
    let keys = [names[1].clone(), names[0].clone()].map(|name| (agent, name));
    let row = |name: usize, state: usize| (agent, names[name].clone(), states[state].clone());
    assert_eq!(tx.sources(&keys).await.unwrap(), [None, None]);
    assert_eq!(tx.sources(&[]).await.unwrap(), []);
    tx.add_sources(&[row(0, 1)]).await.expect("a source is added");
    tx.add_sources(&[]).await.expect("none is added");
    tx.save_sources(&[row(0, 0), row(1, 1)]).await.expect("one is changed and one is added");
    tx.save_sources(&[]).await.expect("none is changed");
    commit(tx).await;
    let mut tx = read(store).await;
    let other = (AccessKeyId::from_bits(2), names[0].clone());
    let found = tx.sources(&[keys[0].clone(), other, keys[1].clone()]).await.unwrap();
    assert_eq!(found, [Some(states[1].clone()), None, Some(states[0].clone())]);
    assert_eq!(tx.source_count(agent).await.unwrap(), 2);
    assert_eq!(tx.source_count(AccessKeyId::from_bits(2)).await.unwrap(), 0);
}

pub async fn many_rows_are_written_at_once(store: &dyn Store) {
    // More than any database takes parameters for in one statement.
    const ACCOUNTS: u128 = 4_000;
    let sample = Sample::at(NOW).with_added(Counter::ApiCalls, 1).with_level(Level::RamBytes, 5);
    let mut readings = Readings::default();
    readings.add(&sample);
    let rows: Vec<_> = (1..=ACCOUNTS).map(|number| row(id(number), Resolution::Minute, NOW, &sample)).collect();
    let readings: Vec<_> = (1..=ACCOUNTS).map(|number| (id(number), readings)).collect();
    let mut tx = write(store).await;
    tx.add_usage(&rows).await.expect("usage is added");
    tx.add_usage(&[]).await.expect("nothing is added");
    tx.save_readings(&readings).await.expect("readings are set");
    tx.save_readings(&[]).await.expect("nothing is set");
    commit(tx).await;
    let mut tx = read(store).await;
    let found = tx.usage(id(ACCOUNTS), Resolution::Minute, Timestamp::EPOCH, NOW).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(tx.readings(id(ACCOUNTS)).await.unwrap().of(Level::RamBytes).unwrap().value, 5);
}

pub async fn a_flush_is_known_by_its_mark_once_it_took_effect(store: &dyn Store) {
    let [one, other] = [1, 2].map(|number: u128| ReplicaId::from_bits(number << 100 | number));
    let later = NOW.after(Duration::from_secs(1));
    let mut tx = write(store).await;
    assert_eq!(tx.last_flush(one).await.unwrap(), None);
    tx.mark_flush(one, 7, NOW).await.expect("a mark is set");
    commit(tx).await;
    let mut tx = write(store).await;
    tx.mark_flush(one, 8, NOW).await.expect("a mark is set");
    drop(tx);
    assert_eq!(write(store).await.last_flush(one).await.unwrap(), Some(7));
    assert_eq!(read(store).await.last_flush(one).await.unwrap(), Some(7));
    assert_eq!(write(store).await.last_flush(other).await.unwrap(), None);
    assert_eq!(read(store).await.last_flush(other).await.unwrap(), None);
    let mut tx = write(store).await;
    tx.mark_flush(one, 9, NOW).await.expect("a mark is set");
    tx.mark_flush(other, MAX_AMOUNT, later).await.expect("a mark is set");
    commit(tx).await;
    let mut tx = write(store).await;
    assert_eq!(tx.last_flush(one).await.unwrap(), Some(9));
    assert_eq!(tx.purge_flushes(later).await.unwrap(), 1);
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!((tx.last_flush(one).await.unwrap(), tx.last_flush(other).await.unwrap()), (None, Some(MAX_AMOUNT)));
}

pub async fn a_mark_that_is_being_committed_is_waited_for(store: &dyn Store) {
    let replica = ReplicaId::from_bits(3);
    // The first mark of a process, and one after another.
    for flush in [1, 2] {
        let mut marking = write(store).await;
        marking.mark_flush(replica, flush, NOW).await.expect("a mark is set");
        let asking = async { write(store).await.last_flush(replica).await.unwrap() };
        let committing = async {
            // Give the other every chance to look too early.
            tokio::time::sleep(Duration::from_millis(50)).await;
            commit(marking).await;
        };
        let (found, ()) = futures_util::future::join(asking, committing).await;
        assert_eq!(found, Some(flush));
    }
}
