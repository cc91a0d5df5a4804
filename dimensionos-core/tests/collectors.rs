//! Every collector of this machine against a load that is known, to five parts in a hundred.
//!
//! A load is this very program, started again for one test: it does what the test is about, and says when it has.
#![cfg(all(target_os = "linux", feature = "collectors"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod load;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use dimensionos_core::Timestamp;
use dimensionos_core::monitoring::collectors::{
    Absence, Cgroup, CollectError, Collector, Directory, Figure, Gap, Host, ProcessTree,
};
use dimensionos_core::monitoring::{Counter, Level, Sample};

use load::{Load, NAMESPACE, burn, carry_outward, carry_over_loopback, hold, is_a_load, say, wait};

const CPU_MICROSECONDS: u64 = 2_000_000;
const MEMORY: u64 = 100_000_000;
const TRAFFIC: u64 = 10_000_000;

fn read(collector: &mut dyn Collector) -> Sample {
    let mut sample = Sample::at(Timestamp::EPOCH);
    collector.collect(&mut sample).unwrap();
    sample
}

fn reason(collector: &dyn Collector, figure: Figure) -> Option<Absence> {
    collector.gaps().iter().find(|gap| gap.figure == figure).map(|gap| gap.absence)
}

fn is_within_five_percent(read: u64, known: u64) -> bool {
    read.abs_diff(known) <= known / 20
}

#[track_caller]
fn assert_within_five_percent(read: Option<u64>, known: u64) {
    let read = read.unwrap();
    println!("read {read} of {known}");
    assert!(is_within_five_percent(read, known), "{read} instead of {known}");
}

#[test]
fn two_seconds_of_processor_time_of_a_process_tree_are_read_as_two_seconds() {
    if is_a_load() {
        wait();
        burn(CPU_MICROSECONDS);
        return say("burned");
    }
    let mut load = Load::start("two_seconds_of_processor_time_of_a_process_tree_are_read_as_two_seconds");
    let mut tree = ProcessTree::new(load.id()).unwrap();
    let mut host = Host::new();
    let mut earlier = read(&mut tree).added(Counter::CpuMicroseconds).unwrap();
    read(&mut host);
    load.go_on();
    load.expect("burned");
    earlier += read(&mut tree).added(Counter::CpuMicroseconds).unwrap();
    assert_within_five_percent(Some(earlier), CPU_MICROSECONDS);
    // Others run on the host, so that it is only certain what it may not be less than. Ticks of two processors are lost.
    let whole = read(&mut host).added(Counter::CpuMicroseconds).unwrap();
    assert!(whole >= CPU_MICROSECONDS / 20 * 19, "{whole}");
}

/// The time of the whole machine cannot be held to five percent of a load, for others run on it; but it can be held to
/// what the kernel says just before and just after each reading, whatever runs.
#[test]
fn the_hosts_processor_time_lies_between_readings_made_around_it() {
    if is_a_load() {
        wait();
        burn(CPU_MICROSECONDS);
        return say("burned");
    }
    let mut load = Load::start("the_hosts_processor_time_lies_between_readings_made_around_it");
    let mut host = Host::new();
    let first = (load::busy_microseconds(), read(&mut host), load::busy_microseconds());
    load.go_on();
    load.expect("burned");
    let second = (load::busy_microseconds(), read(&mut host), load::busy_microseconds());
    let added = second.1.added(Counter::CpuMicroseconds).unwrap();
    let (least, most) = (second.0 - first.2, second.2 - first.0);
    println!("read {added} between {least} and {most}");
    assert!((least..=most).contains(&added), "{added} is not between {least} and {most}");
    assert!(added >= CPU_MICROSECONDS / 20 * 19, "{added}");
}

#[test]
fn a_hundred_megabytes_that_a_process_holds_are_read_as_a_hundred_megabytes() {
    if is_a_load() {
        say("empty");
        wait();
        let held = hold(MEMORY);
        say("full");
        wait();
        drop(held);
        return;
    }
    let mut load = Load::start("a_hundred_megabytes_that_a_process_holds_are_read_as_a_hundred_megabytes");
    let mut tree = ProcessTree::new(load.id()).unwrap();
    load.expect("empty");
    let before = read(&mut tree).level(Level::RamBytes).unwrap();
    load.go_on();
    load.expect("full");
    let after = read(&mut tree).level(Level::RamBytes).unwrap();
    assert_within_five_percent(Some(after - before), MEMORY);
}

/// A hundred megabytes more of one process need not be as many more of the machine: others take and give back memory all
/// the time, and the kernel keeps what was given back on lists of each processor, where it is in no count. So the reading
/// is held to what the kernel says of the whole just before and just after it, at an instant when both agree.
#[test]
fn the_hosts_memory_is_what_the_kernel_says_is_not_available() {
    const TRIES: usize = 1_000;
    let mut host = Host::new();
    for _ in 0..TRIES {
        let before = load::unavailable_bytes();
        let used = read(&mut host).level(Level::RamBytes);
        let after = load::unavailable_bytes();
        if before.abs_diff(after) <= before / 1_000 {
            return assert_within_five_percent(used, before);
        }
    }
    panic!("the memory in use changed by a thousandth whenever it was read");
}

/// The files of a group that has used so much processor time, and has both controllers.
fn group_of_files(microseconds: u64) -> tempfile::TempDir {
    let group = tempfile::tempdir().unwrap();
    let write = |file: &str, text: String| fs::write(group.path().join(file), text).unwrap();
    write("cgroup.controllers", "cpu memory\n".to_owned());
    write("cgroup.procs", format!("{}\n", std::process::id()));
    write("cpu.stat", format!("usage_usec {microseconds}\n"));
    write("memory.current", format!("{MEMORY}\n"));
    group
}

#[test]
fn a_cgroup_of_files_is_read_to_the_byte() {
    let group = group_of_files(5_000);
    let mut cgroup = Cgroup::new(group.path()).unwrap();
    fs::write(group.path().join("cpu.stat"), format!("usage_usec {}\n", CPU_MICROSECONDS + 5_000)).unwrap();
    let sample = read(&mut cgroup);
    assert_eq!(sample.added(Counter::CpuMicroseconds), Some(CPU_MICROSECONDS));
    assert_eq!(sample.level(Level::RamBytes), Some(MEMORY));
    assert_eq!(sample.added(Counter::BytesSent), None);
    assert_eq!(reason(&cgroup, Figure::Counter(Counter::BytesSent)), Some(Absence::NotCounted));
}

#[test]
fn two_seconds_and_a_hundred_megabytes_of_a_cgroup_are_read_as_such() {
    if is_a_load() {
        wait();
        let held = hold(MEMORY);
        burn(CPU_MICROSECONDS);
        say("done");
        wait();
        drop(held);
        return;
    }
    let group = match Group::make() {
        Ok(group) => group,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let mut load = Load::start("two_seconds_and_a_hundred_megabytes_of_a_cgroup_are_read_as_such");
    if let Err(error) = fs::write(group.0.join("cgroup.procs"), load.id().to_string()) {
        return println!("skipped: no process may be put in a cgroup here ({error})");
    }
    let mut cgroup = Cgroup::new(&group.0).unwrap();
    let before = read(&mut cgroup).level(Level::RamBytes);
    load.go_on();
    load.expect("done");
    let sample = read(&mut cgroup);
    assert_within_five_percent(sample.added(Counter::CpuMicroseconds), CPU_MICROSECONDS);
    match (before, sample.level(Level::RamBytes)) {
        (Some(before), Some(after)) => assert_within_five_percent(Some(after - before), MEMORY),
        (_, after) => {
            println!("skipped in part: this cgroup has no memory controller");
            assert_eq!(after, None);
            assert_eq!(reason(&cgroup, Figure::Level(Level::RamBytes)), Some(Absence::SwitchedOff));
        }
    }
}

/// A cgroup of a test's own, removed when it is dropped, by when the load in it has to have ended.
struct Group(PathBuf);

impl Group {
    fn make() -> Result<Self, String> {
        let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let is_second_version = |root: &&Path| root.join("cgroup.controllers").exists();
        let root = roots.into_iter().find(is_second_version).ok_or("there is no cgroup of version 2 here")?;
        let group = root.join(format!("dimensionos-test-{}", std::process::id()));
        fs::create_dir(&group).map_err(|error| format!("no cgroup may be made under {} ({error})", root.display()))?;
        Ok(Self(group))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_thousand_files_of_a_hundred_megabytes_are_read_to_the_byte() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..1_000 {
        let below = root.path().join(format!("{}", number % 10));
        fs::create_dir_all(&below).unwrap();
        // The length is what counts, and not the blocks that are taken for it.
        File::create(below.join(format!("{number}"))).unwrap().set_len(MEMORY / 1_000).unwrap();
    }
    let mut directory = Directory::new(root.path());
    let sample = read(&mut directory);
    assert_eq!(sample.level(Level::FileCount), Some(1_000));
    assert_eq!(sample.level(Level::StorageBytes), Some(MEMORY));
    assert_eq!(directory.gaps(), []);
    read(&mut directory);
    assert_eq!(reason(&directory, Figure::Level(Level::FileCount)), Some(Absence::NotDue));
}

#[test]
fn ten_megabytes_over_loopback_are_read_as_ten_megabytes_where_loopback_counts() {
    if is_a_load() {
        let mut host = Host::new().with_loopback();
        read(&mut host);
        say("ready");
        wait();
        carry_over_loopback(TRAFFIC);
        let sample = read(&mut host);
        let figures = [Counter::BytesSent, Counter::BytesReceived].map(|counter| sample.added(counter).unwrap());
        say(&format!("carried {} {}", figures[0], figures[1]));
        return wait();
    }
    let name = "ten_megabytes_over_loopback_are_read_as_ten_megabytes_where_loopback_counts";
    let mut load = match Load::start_in_a_network_of_its_own(name, "") {
        Ok(load) => load,
        Err(reason) => return println!("skipped: {reason}"),
    };
    load.expect("ready");
    let mut with = ProcessTree::new(load.id()).unwrap().with_loopback();
    let mut without = ProcessTree::new(load.id()).unwrap();
    assert_eq!(read(&mut with).added(Counter::BytesSent), None);
    assert_eq!(reason(&with, Figure::Counter(Counter::BytesSent)), Some(Absence::Baseline));
    read(&mut without);
    load.go_on();
    let carried = load.expect("carried");
    // The namespace as the host that a program inside of it takes it for.
    for figure in carried.split_whitespace() {
        assert_within_five_percent(figure.parse().ok(), TRAFFIC);
    }
    let sample = read(&mut with);
    assert_within_five_percent(sample.added(Counter::BytesSent), TRAFFIC);
    assert_within_five_percent(sample.added(Counter::BytesReceived), TRAFFIC);
    let sample = read(&mut without);
    assert_eq!((sample.added(Counter::BytesSent), sample.added(Counter::BytesReceived)), (Some(0), Some(0)));
}

#[test]
fn ten_megabytes_that_leave_through_an_interface_are_read_as_ten_megabytes() {
    if is_a_load() {
        say("ready");
        wait();
        carry_outward(TRAFFIC);
        say("carried");
        return wait();
    }
    let name = "ten_megabytes_that_leave_through_an_interface_are_read_as_ten_megabytes";
    let mut load = match Load::start_in_a_network_of_its_own(name, NAMESPACE) {
        Ok(load) => load,
        Err(reason) => return println!("skipped: {reason}"),
    };
    load.expect("ready");
    let mut tree = ProcessTree::new(load.id()).unwrap();
    read(&mut tree);
    load.go_on();
    load.expect("carried");
    // They leave by one end of a pair and come in by the other, both of the same namespace.
    let sample = read(&mut tree);
    assert_within_five_percent(sample.added(Counter::BytesSent), TRAFFIC);
    assert_within_five_percent(sample.added(Counter::BytesReceived), TRAFFIC);
    assert_eq!(tree.gaps(), []);
}

#[test]
fn the_bytes_of_a_process_in_our_network_are_absent_with_the_reason() {
    let mut tree = ProcessTree::new(std::process::id()).unwrap();
    read(&mut tree);
    let sample = read(&mut tree);
    let bytes = [Counter::BytesSent, Counter::BytesReceived];
    assert_eq!(bytes.map(|counter| sample.added(counter)), [None; 2]);
    let gaps = bytes.map(|counter| Gap { figure: Figure::Counter(counter), absence: Absence::SharedNamespace });
    assert_eq!(tree.gaps(), gaps);
}

#[test]
fn a_process_that_is_not_there_has_no_collector() {
    assert!(matches!(ProcessTree::new(u32::MAX), Err(CollectError::NotThere { .. })));
}

/// Whatever the reading is of, a figure is in the sample or has a reason, and never both.
#[test]
fn every_figure_of_a_collector_is_read_or_has_a_reason() {
    let own = std::process::id();
    let network = [Figure::Counter(Counter::BytesSent), Figure::Counter(Counter::BytesReceived)];
    let machine = [
        Figure::Level(Level::RamBytes),
        Figure::Level(Level::Connections),
        Figure::Level(Level::CpuMillicores),
        Figure::Counter(Counter::CpuMicroseconds),
    ];
    let stored = [Figure::Level(Level::StorageBytes), Figure::Level(Level::FileCount)];
    let machine: Vec<Figure> = machine.into_iter().chain(network).collect();
    let (empty, group) = (tempfile::tempdir().unwrap(), group_of_files(0));
    let collectors: [(Box<dyn Collector>, &[Figure]); 5] = [
        (Box::new(Host::new()), &machine),
        (Box::new(ProcessTree::new(own).unwrap()), &machine),
        (Box::new(Cgroup::new(group.path()).unwrap()), &machine),
        (Box::new(Directory::new(empty.path())), &stored),
        (Box::new(Directory::new(empty.path().join("none"))), &stored),
    ];
    for (mut collector, figures) in collectors {
        for _ in 0..2 {
            let mut sample = Sample::at(Timestamp::EPOCH);
            let _ = collector.collect(&mut sample);
            for &figure in figures {
                let value = match figure {
                    Figure::Level(level) => sample.level(level),
                    Figure::Counter(counter) => sample.added(counter),
                };
                let reason = reason(collector.as_ref(), figure);
                assert_ne!(value.is_some(), reason.is_some(), "{collector:?} {figure:?} {value:?} {reason:?}");
            }
        }
    }
}
