//! The process tree, on real processes.

use super::super::Figure;
use super::*;
use crate::time::Timestamp;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(25);
/// Uses one second of processor time, which the kernel then ends.
const SECOND: &str = "sh -c 'ulimit -t 1; while :; do :; done'";

fn shell(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn read(tree: &mut ProcessTree) -> Result<Sample, CollectError> {
    let mut sample = Sample::at(Timestamp::EPOCH);
    tree.collect(&mut sample).map(|()| sample)
}

/// Meters until the target has ended, and sums what was handed out.
fn meter(tree: &mut ProcessTree) -> u64 {
    let mut sum = 0;
    loop {
        for _ in 0..10 {
            sleep(POLL);
            tree.poll();
        }
        match read(tree) {
            Ok(sample) => sum += sample.added(Counter::CpuMicroseconds).unwrap(),
            Err(error) => {
                assert!(matches!(error, CollectError::TargetEnded { .. }) && error.is_final(), "{error}");
                return sum;
            }
        }
    }
}

/// What the kernel itself says that a process and those it waited for have used. Of one that has ended and is not waited
/// for yet it is final: what a burner is ended at is another of the kernel's figures, by the tick, and on a busy machine
/// they are further apart than any collector may be.
fn kernel_says(child: &Child) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    // Behind the name, which may have spaces: utime, stime, cutime and cstime are the twelfth and those after it.
    let (_, figures) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = figures.split(' ').skip(11).take(4).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    kernel::microseconds(ticks)
}

/// Within five parts in a hundred of what the kernel says, of a burner that has used about so many seconds.
fn assert_seconds(sum: u64, child: &Child, seconds: u64) {
    let expected = kernel_says(child);
    assert!(expected >= seconds * 500_000, "{expected} us burned instead of {seconds} s");
    assert!(sum.abs_diff(expected) <= expected / 20, "{sum} us instead of {expected}");
}

#[test]
fn a_process_of_two_seconds_is_metered_as_two_seconds() {
    let mut child = shell("ulimit -t 2; while :; do :; done");
    let mut tree = ProcessTree::new(child.id()).unwrap();
    // Left unwaited for, it is a zombie at the end, whose figures are final.
    assert_seconds(meter(&mut tree), &child, 2);
    child.wait().unwrap();
}

#[test]
fn children_side_by_side_are_all_counted() {
    let mut child = shell(&format!("{SECOND} & {SECOND} & wait"));
    let mut tree = ProcessTree::new(child.id()).unwrap();
    assert_seconds(meter(&mut tree), &child, 2);
    child.wait().unwrap();
}

#[test]
fn children_that_come_and_go_between_two_readings_are_counted() {
    let mut child = shell(
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do \
         sh -c 'n=0; while [ $n -lt 10000 ]; do n=$((n+1)); done'; done; echo done; read line",
    );
    let (done, is_done) = mpsc::channel();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || done.send(output.read_line(&mut String::new()).unwrap()));
    let mut tree = ProcessTree::new(child.id()).unwrap();
    let mut sum = 0;
    while is_done.recv_timeout(POLL).is_err() {
        tree.poll();
        sum += read(&mut tree).unwrap().added(Counter::CpuMicroseconds).unwrap();
    }
    // All twenty have gone, and the shell waits for a line that does not come.
    sum += read(&mut tree).unwrap().added(Counter::CpuMicroseconds).unwrap();
    let stat = kernel::process(child.id()).unwrap().unwrap();
    let kernel_says = kernel::microseconds(stat.own + stat.reaped);
    assert!(sum.abs_diff(kernel_says) <= 30_000, "{sum} instead of {kernel_says}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_descendant_that_outlives_its_parents_stays_counted() {
    // The shells end long before the last child, which is left to whoever adopts it, burns, and then waits for a line.
    let mut child = shell(
        "exec 3<&0; sh -c 'sh -c \"read line; n=0; while [ \\$n -lt 300000 ]; do n=\\$((n+1)); done; echo \\$\\$; \
         read line\" <&3 & read line <&3'; exit 0",
    );
    let mut tree = ProcessTree::new(child.id()).unwrap();
    let mut input = child.stdin.take().unwrap();
    while tree.ledger.running().count() < 3 {
        tree.poll();
    }
    // One line for each of the two that read.
    input.write_all(b"go\ngo\n").unwrap();
    child.wait().unwrap();
    let mut orphan = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut orphan).unwrap();
    let sum = read(&mut tree).unwrap().added(Counter::CpuMicroseconds).unwrap();
    let stat = kernel::process(orphan.trim().parse().unwrap()).unwrap().unwrap();
    let kernel_says = kernel::microseconds(stat.own);
    assert!(kernel_says >= 100_000 && sum.abs_diff(kernel_says) <= 30_000, "{sum} instead of {kernel_says}");
    drop(input);
    // Reading the end of its input may take it a tick.
    assert!(meter(&mut tree) <= 20_000);
}

#[test]
fn a_sleeping_process_uses_memory_and_no_processor() {
    let mut child = shell("echo ready; read line");
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let mut tree = ProcessTree::new(child.id()).unwrap();
    read(&mut tree).unwrap();
    let sample = read(&mut tree).unwrap();
    assert_eq!(sample.added(Counter::CpuMicroseconds), Some(0));
    assert!(sample.level(Level::RamBytes).is_some_and(|bytes| bytes > 100_000));
    assert_eq!(sample.level(Level::Connections), Some(0));
    assert_eq!(sample.added(Counter::BytesSent), None);
    let bytes = [Figure::Counter(Counter::BytesSent), Figure::Counter(Counter::BytesReceived)];
    assert_eq!(tree.gaps(), bytes.map(|figure| Gap { figure, absence: Absence::SharedNamespace }));
    drop(child.stdin.take());
    child.wait().unwrap();
    // The last figures are handed out once more, and then it has ended.
    assert!(read(&mut tree).is_ok());
    assert_eq!(tree.gaps(), bytes.map(|figure| Gap { figure, absence: Absence::NotThere }));
    assert!(matches!(read(&mut tree), Err(CollectError::TargetEnded { .. })));
    assert_eq!(tree.gaps().len(), 6);
    assert!(tree.gaps().iter().all(|gap| gap.absence == Absence::NotThere));
}

#[test]
fn a_connection_that_a_process_inherits_is_its_own() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut far = listener.accept().unwrap().0;
    let mut child =
        Command::new("sh").args(["-c", "read line"]).stdin(std::os::fd::OwnedFd::from(near)).spawn().unwrap();
    let mut tree = ProcessTree::new(child.id()).unwrap();
    assert_eq!(read(&mut tree).unwrap().level(Level::Connections), Some(1));
    far.write_all(b"end\n").unwrap();
    child.wait().unwrap();
    let _ = far.read(&mut [0; 1]);
}

#[test]
fn an_older_process_is_metered_from_now() {
    let mut child = shell("n=0; while [ $n -lt 100000 ]; do n=$((n+1)); done; echo ready; read line");
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let used = kernel::process(child.id()).unwrap().unwrap().own;
    assert!(used > 0);
    let sum = |mut tree: ProcessTree| read(&mut tree).unwrap().added(Counter::CpuMicroseconds).unwrap();
    assert_eq!(sum(ProcessTree::take_up(child.id(), 0, None).unwrap()), 0);
    assert_eq!(sum(ProcessTree::new(child.id()).unwrap()), kernel::microseconds(used));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_second_collector_goes_on_where_the_first_left_its_mark() {
    let mut child = shell("ulimit -t 1; while :; do :; done");
    let mut first = ProcessTree::new(child.id()).unwrap();
    sleep(Duration::from_millis(300));
    let before = read(&mut first).unwrap().added(Counter::CpuMicroseconds).unwrap();
    let mark = first.mark().unwrap();
    drop(first);
    sleep(Duration::from_millis(300));
    let mut second = ProcessTree::resume(child.id(), &mark).unwrap();
    assert_seconds(before + meter(&mut second), &child, 1);
    child.wait().unwrap();
}

#[test]
fn the_mark_of_another_process_counts_for_nothing() {
    let birth = |pid, started| Birth { boot: "b".to_owned(), pid, started };
    let mark = birth(7, 100).mark(42);
    assert_eq!(birth(7, 100).handed(&mark), Some(42));
    assert_eq!(birth(7, 101).handed(&mark), None);
    assert_eq!(birth(8, 100).handed(&mark), None);
    assert_eq!(birth(7, 100).handed(""), None);
    assert_eq!(birth(7, 100).handed("b 7 100 +42"), None);
}

#[test]
fn a_process_that_is_not_there_is_refused() {
    assert!(matches!(ProcessTree::new(u32::MAX), Err(CollectError::NotThere { .. })));
}
