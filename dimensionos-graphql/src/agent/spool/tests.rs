//! The spool across crashes, restarts and long absences of the server.

use super::*;

fn open(directory: &tempfile::TempDir) -> Spool {
    Spool::open(directory.path().to_owned()).unwrap()
}

fn line(number: usize) -> String {
    format!("{{\"n\":{number}}}")
}

fn fill(spool: &mut Spool, numbers: std::ops::Range<usize>) {
    for number in numbers {
        spool.append(&line(number)).unwrap();
    }
}

fn numbers(report: &Report) -> Vec<u64> {
    report.samples.iter().map(|sample| sample["n"].as_u64().unwrap()).collect()
}

#[test]
fn what_was_appended_survives_reopening_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory);
    fill(&mut spool, 0..2);
    let first = spool.oldest().unwrap().unwrap();
    fill(&mut spool, 2..4);
    drop(spool);

    let mut spool = open(&directory);
    assert_eq!(spool.waiting(), 2);
    let again = spool.oldest().unwrap().unwrap();
    assert_eq!((&again.source, again.sequence, numbers(&again)), (&first.source, first.sequence, vec![0, 1]));
    assert!(first.is_of_this_run && !again.is_of_this_run);
    spool.delivered(again.sequence).unwrap();
    let next = spool.oldest().unwrap().unwrap();
    assert_eq!(numbers(&next), [2, 3]);
    spool.delivered(next.sequence).unwrap();
    assert_eq!(spool.oldest().unwrap(), None);
}

#[test]
fn a_report_that_was_attempted_takes_no_more_samples() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory);
    fill(&mut spool, 0..1);
    let attempted = spool.oldest().unwrap().unwrap();
    fill(&mut spool, 1..2);
    assert_eq!(spool.oldest().unwrap().unwrap(), attempted);
}

#[test]
fn a_torn_last_line_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory);
    fill(&mut spool, 0..2);
    drop(spool);
    let file = path(directory.path(), 1, "jsonl");
    let mut text = fs::read(&file).unwrap();
    text.extend_from_slice(b"{\"n\":2");
    fs::write(&file, text).unwrap();
    fs::write(path(directory.path(), 2, "jsonl"), b"{\"n\":").unwrap();

    let mut spool = open(&directory);
    let report = spool.oldest().unwrap().unwrap();
    assert_eq!(numbers(&report), [0, 1]);
    spool.delivered(1).unwrap();
    assert_eq!(spool.oldest().unwrap(), None, "a report of a torn line alone is none");
}

#[test]
fn a_sequence_is_never_used_twice() {
    let directory = tempfile::tempdir().unwrap();
    let mut used = Vec::new();
    for run in 0..4 {
        let mut spool = open(&directory);
        fill(&mut spool, 0..1);
        let report = spool.oldest().unwrap().unwrap();
        used.push(report.sequence);
        match run {
            0 => spool.delivered(report.sequence).unwrap(),
            1 => spool.set_aside(report.sequence).unwrap(),
            // An older state comes back, but not older than what is on disk.
            _ => {
                spool.set_aside(report.sequence).unwrap();
                let state = format!("{{\"source\":\"{}\",\"nextSequence\":1}}", report.source);
                fs::write(directory.path().join("state.json"), state).unwrap();
            }
        }
    }
    assert_eq!(used, [1, 2, 3, 4]);
}

#[test]
fn a_sequence_is_on_disk_as_used_before_its_report_is_begun() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory);
    fill(&mut spool, 0..1);
    let state = fs::read_to_string(directory.path().join("state.json")).unwrap();
    assert!(state.contains("\"nextSequence\":2"), "{state}");
}

#[test]
fn a_full_report_is_closed_and_the_next_begun() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory);
    fill(&mut spool, 0..MAX_SAMPLES + 1);
    assert_eq!(spool.waiting(), 2);
    assert_eq!(spool.oldest().unwrap().unwrap().samples.len(), MAX_SAMPLES);
}

#[test]
fn a_full_spool_drops_the_oldest_and_counts_them() {
    let directory = tempfile::tempdir().unwrap();
    let template = b"{\"n\":0}\n{\"n\":0}\n";
    for sequence in 1..=MAX_REPORTS as u64 {
        fs::write(path(directory.path(), sequence, "jsonl"), template).unwrap();
    }
    let mut spool = open(&directory);
    assert_eq!(spool.waiting(), MAX_REPORTS);
    fill(&mut spool, 0..1);
    assert_eq!(spool.waiting(), MAX_REPORTS);
    assert_eq!(spool.oldest().unwrap().unwrap().sequence, 2);
    assert_eq!((spool.take_dropped(), spool.take_dropped()), (2, 0));
}

#[test]
fn refused_reports_are_kept_up_to_sixteen() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory);
    for number in 0..MAX_REFUSED + 3 {
        fill(&mut spool, number..number + 1);
        let sequence = spool.oldest().unwrap().unwrap().sequence;
        spool.set_aside(sequence).unwrap();
    }
    let kept = sequences(directory.path(), "refused").unwrap();
    assert_eq!((kept.len(), kept[0]), (MAX_REFUSED, 4));
    assert_eq!(spool.waiting(), 0);
}

#[test]
fn a_new_name_keeps_the_reports_and_their_sequences() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory);
    fill(&mut spool, 0..1);
    let before = spool.oldest().unwrap().unwrap();
    spool.renew_source().unwrap();
    let after = spool.oldest().unwrap().unwrap();
    assert_ne!(before.source, after.source);
    assert_eq!((before.sequence, before.samples), (after.sequence, after.samples));
    drop(spool);
    assert_eq!(open(&directory).oldest().unwrap().unwrap().source, after.source);
}

#[test]
fn a_mark_is_the_last_that_was_set_and_at_first_none() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(&directory);
    assert_eq!(spool.mark().unwrap(), None);
    spool.set_mark("one").unwrap();
    spool.set_mark("two").unwrap();
    drop(spool);
    assert_eq!(open(&directory).mark().unwrap().as_deref(), Some("two"));
}

#[test]
fn a_second_agent_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(&directory);
    assert!(matches!(Spool::open(directory.path().to_owned()), Err(SpoolError::InUse)));
    drop(spool);
    open(&directory);
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_the_spool() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("made/here");
    let mut spool = Spool::open(directory.clone()).unwrap();
    fill(&mut spool, 0..1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for entry in fs::read_dir(&directory).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}
