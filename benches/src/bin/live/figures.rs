//! What a run comes to.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::Options;

/// Microseconds on a clock that every process of this machine reads alike.
pub(crate) fn microseconds() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000
}

/// A process at one moment, as the system has it.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    pub(crate) processor: Duration,
    pub(crate) resident_kilobytes: u64,
}

impl Process {
    pub(crate) fn of(id: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        let resident_kilobytes = line.trim().trim_end_matches(" kB").parse().expect("a number");
        let schedule = std::fs::read_dir(format!("/proc/{id}/task")).expect("its threads");
        // Time on a processor to the nanosecond, which the counts of clock ticks are not.
        let of_thread = |folder: std::path::PathBuf| {
            let text = std::fs::read_to_string(folder.join("schedstat")).unwrap_or_default();
            text.split_whitespace().next().and_then(|time| time.parse::<u64>().ok()).unwrap_or(0)
        };
        let processor = schedule.flatten().map(|thread| of_thread(thread.path())).sum();
        Self { processor: Duration::from_nanos(processor), resident_kilobytes }
    }
}

pub(crate) struct Figures {
    subscribers: usize,
    messages: usize,
    seconds: u64,
    processor: Duration,
    delays: [f64; 3],
    kilobytes_each: f64,
    resident: [u64; 3],
    stale: usize,
    closed: usize,
}

impl Figures {
    pub(crate) const HEAD: &str = "| | watching | messages/s | processor time a message | p50 | p99 | longest | memory each | resident: before, begun, ended | without its newest value | closed by the server |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

    #[expect(clippy::too_many_arguments, reason = "everything a run gives")]
    #[expect(clippy::cast_precision_loss, reason = "figures for people to read")]
    pub(crate) fn new(
        options: &Options,
        before: Process,
        begun: Process,
        ended: Process,
        mut delays: Vec<u32>,
        last: &[Option<u64>],
        recorded: &[u64],
        closed: usize,
    ) -> Self {
        delays.sort_unstable();
        let at = |share: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
            let place = (delays.len().saturating_sub(1) as f64 * share) as usize;
            delays.get(place).map_or(0.0, |delay| f64::from(*delay) / 1e3)
        };
        let newest = |number: usize| recorded[number % recorded.len()];
        let seen = last.iter().enumerate().filter_map(|(number, value)| Some((number, (*value)?)));
        let grown = begun.resident_kilobytes.saturating_sub(before.resident_kilobytes);
        Self {
            subscribers: options.subscribers,
            messages: delays.len(),
            seconds: options.seconds,
            processor: ended.processor.saturating_sub(begun.processor),
            delays: [at(0.5), at(0.99), at(1.0)],
            kilobytes_each: grown as f64 / options.subscribers as f64,
            resident: [before, begun, ended].map(|process| process.resident_kilobytes),
            stale: seen.filter(|(number, value)| newest(*number) != *value).count(),
            closed,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people to read")]
    pub(crate) fn row(&self, name: &str) -> String {
        let each = self.processor.as_secs_f64() * 1e6 / self.messages.max(1) as f64;
        let [p50, p99, longest] = self.delays;
        let [before, begun, ended] = self.resident.map(|kilobytes| kilobytes as f64 / 1024.0);
        format!(
            "| {name} | {} | {:.0} | {each:.1} µs | {p50:.1} ms | {p99:.1} ms | {longest:.1} ms | {:.1} KB | {before:.0}, {begun:.0}, {ended:.0} MB | {} | {} |",
            self.subscribers,
            self.messages as f64 / self.seconds as f64,
            self.kilobytes_each,
            self.stale,
            self.closed,
        )
    }
}
