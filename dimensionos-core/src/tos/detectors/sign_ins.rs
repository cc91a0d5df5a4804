//! The rules about sign-ins: sources that try passwords, the whole service under attack, and accounts that attack others.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::measured::{Gate, Measured};
use super::sources::{Halves, Source, Sources};
use super::windows::{Passing, Recent};
use crate::time::Timestamp;
use crate::tos::flag::Finding;
use crate::tos::latch::Latch;
use crate::tos::rule::Rule;
use crate::tos::signal::{Signal, Signals};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const WINDOWS: [Duration; 3] = [MINUTE, HOUR, DAY];

/// Limits of the rules about sign-ins. Each is the most that is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignInParameters {
    /// Failures of one source within a minute. 5: a person who has forgotten needs longer than ten seconds for each.
    pub failures_minute: u32,
    /// Failures of one source within an hour.
    pub failures_hour: u32,
    /// Failures of one source within a day: the patient kind.
    pub failures_day: u32,
    /// Different names that one source failed with within an hour.
    pub names: u32,
    /// At how many times the limit a source without any success does harm: its flag is a warning below it, and so is
    /// that of every source that succeeded within the day, which may be a whole office.
    pub harmful: f64,
    /// Failures of the whole service within an hour, without those of sources whose flag is up,
    pub service_failures: u32,
    /// where that part of all sign-ins fails. 0.5: people fail at one in five or so.
    pub service_failed_share: f64,
}

impl Default for SignInParameters {
    fn default() -> Self {
        Self {
            failures_minute: 5,
            failures_hour: 10,
            failures_day: 30,
            names: 10,
            harmful: 1.5,
            service_failures: 60,
            service_failed_share: 0.5,
        }
    }
}

/// A sign-in, successful or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignIn {
    /// Where it came from, as a tag under a key that the caller throws away daily.
    pub source: u64,
    /// Whom it was for, as a tag likewise. A name nobody has counts like any other.
    pub name: u64,
    /// Whether it succeeded.
    pub has_succeeded: bool,
}

/// What a finding about sign-ins is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The source with that tag.
    Source(u64),
    /// The whole service.
    Service,
}

/// Kinds of sign-ins of the service, as indices of what is counted.
const ALL: usize = 0;
const FAILED: usize = 1;

/// The rules about who signs in to one service. Its memory is what it is made with, 248 bytes a source, however many
/// sources there are: the least suspicious make room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignIns {
    passing: Passing,
    sources: Sources,
    service: Recent,
    service_latch: Latch,
}

impl SignIns {
    /// Nothing seen yet, with room for that many sources.
    #[must_use]
    pub fn new(sources: usize) -> Self {
        Self {
            passing: Passing::default(),
            sources: Sources::new(sources),
            service: Recent::default(),
            service_latch: Latch::default(),
        }
    }

    /// Takes a sign-in. A source's flag goes down when it signs in again after its failures are past.
    pub fn take(
        &mut self,
        at: Timestamp,
        sign_in: &SignIn,
        parameters: &SignInParameters,
        sink: &mut impl FnMut(Subject, Finding),
    ) {
        let elapsed = self.passing.take(at);
        let at = self.passing.now();
        let source = self.sources.find(sign_in.source);
        source.add(elapsed, sign_in.name, sign_in.has_succeeded, WINDOWS);
        let mut found = |finding| sink(Subject::Source(sign_in.source), finding);
        judge_failures(source, at, elapsed, parameters, &mut found);
        judge_names(source, at, elapsed, parameters, &mut found);
        let is_flagged = source.failures_latch.is_up() || source.names_latch.is_up();
        self.service.roll(elapsed, HOUR);
        // What a loud source does is held against it alone.
        if !is_flagged {
            self.service.add(ALL, 1);
            self.service.add(FAILED, u64::from(!sign_in.has_succeeded));
        }
        self.judge_service(at, elapsed, parameters, sink);
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of an hour")]
    fn judge_service(
        &mut self,
        at: Timestamp,
        elapsed: u64,
        parameters: &SignInParameters,
        sink: &mut impl FnMut(Subject, Finding),
    ) {
        let (all, failed) = (self.service.sum(ALL), self.service.sum(FAILED));
        let limit = parameters.service_failures.into();
        let window = self.service.span(elapsed, HOUR);
        let gate = Gate::Least {
            signal: "failed_share",
            observed: failed as f64 / all.max(1) as f64,
            limit: parameters.service_failed_share,
        };
        let measured = Measured::new(Rule::StuffingService, "unflagged_failed_logins", failed as f64, limit, window);
        Measured { gate, ..measured }
            .judge(at, &mut self.service_latch, &mut |finding| sink(Subject::Service, finding));
    }
}

fn harmful(source: &Source, parameters: &SignInParameters) -> f64 {
    if source.succeeded.sum() == 0 { parameters.harmful } else { f64::INFINITY }
}

/// The longest window whose limit is passed is the one that is spoken of: with few enough in it the shorter ones have few
/// enough as well. How much it weighs goes by the window whose limit is passed by most, which is named beside it.
fn judge_failures(
    source: &mut Source,
    at: Timestamp,
    elapsed: u64,
    parameters: &SignInParameters,
    sink: &mut impl FnMut(Finding),
) {
    let failures = |halves: Halves, limit: u32, signal, window| (halves, f64::from(limit), signal, window);
    let windows = [
        failures(source.minute, parameters.failures_minute, "failed_logins_in_a_minute", MINUTE),
        failures(source.hour, parameters.failures_hour, "failed_logins_in_an_hour", HOUR),
        failures(source.day, parameters.failures_day, "failed_logins_in_a_day", DAY),
    ];
    let parts = windows.map(|(halves, limit, ..)| f64::from(halves.sum()) / limit);
    let worst = (1..windows.len()).fold(0, |worst, index| if parts[index] >= parts[worst] { index } else { worst });
    let spoken = (0..windows.len()).rev().find(|index| parts[*index] > 1.0).unwrap_or(worst);
    let (halves, limit, _, window) = windows[spoken];
    let span = halves.span(elapsed, window);
    let name = Signal::FailedLogins.name();
    let measured = Measured::new(Rule::StuffingFailures, name, halves.sum().into(), limit, span);
    let gate = if worst == spoken {
        Gate::Open
    } else {
        let (halves, limit, signal, _) = windows[worst];
        Gate::Least { signal, observed: halves.sum().into(), limit }
    };
    // What is left in the window may all have come within one minute, and is not to be too many for that either.
    let least = windows.iter().map(|(_, limit, ..)| *limit).fold(limit, f64::min);
    let silent_at = least / limit;
    Measured { harmful: harmful(source, parameters), at_least: parts[worst], gate, silent_at, ..measured }.judge(
        at,
        &mut source.failures_latch,
        sink,
    );
}

fn judge_names(
    source: &mut Source,
    at: Timestamp,
    elapsed: u64,
    parameters: &SignInParameters,
    sink: &mut impl FnMut(Finding),
) {
    #[expect(clippy::cast_precision_loss, reason = "no more than a handful")]
    let names = source.names() as f64;
    let (signal, window) = (Signal::FailedLoginNames.name(), source.hour.span(elapsed, HOUR));
    let measured = Measured::new(Rule::StuffingNames, signal, names, parameters.names.into(), window);
    Measured { harmful: harmful(source, parameters), ..measured }.judge(at, &mut source.names_latch, sink);
}

/// The rules about one account whose workload fails to sign in elsewhere, from what an agent counted: 136 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct AccountSignIns {
    passing: Passing,
    /// When failures were last reported, as time passed.
    reported: u64,
    recent: Recent,
    failures_latch: Latch,
    names_latch: Latch,
}

impl AccountSignIns {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was counted since the last report that counted failures: others only tell what time it is. Different
    /// names are those of one report, which is no more than there
    /// were in the hour: reports cannot tell whether theirs are the same.
    #[expect(clippy::cast_precision_loss, reason = "counts of an hour")]
    pub fn signals(
        &mut self,
        at: Timestamp,
        signals: &Signals,
        parameters: &SignInParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let had_begun = self.passing.has_begun();
        let elapsed = self.passing.take(at);
        let at = self.passing.now();
        self.recent.roll(elapsed, HOUR);
        // What a first report counts may be of any length, and one over hours is held against the hours it covers.
        if !had_begun {
            self.reported = elapsed;
            return;
        }
        // A report after the clock was set back takes no time at all, and is one of an instant.
        let interval = Duration::from_millis((elapsed - self.reported).max(1));
        if signals.get(Signal::FailedLogins).is_some() {
            self.reported = elapsed;
        }
        let hours = (interval.as_secs_f64() / HOUR.as_secs_f64()).max(1.0);
        let failures = signals.get(Signal::FailedLogins).unwrap_or_default();
        let names = signals.get(Signal::FailedLoginNames).unwrap_or_default().min(failures);
        let (observed, window) = if interval > HOUR * 3 / 4 {
            // What was counted over hours says nothing of the last one, and stands for itself.
            self.recent.clear(elapsed);
            (failures, interval)
        } else {
            self.recent.add(FAILED, failures);
            (self.recent.sum(FAILED), self.recent.span(elapsed, HOUR))
        };
        let limit = f64::from(parameters.failures_hour) * hours;
        let names_limit = f64::from(parameters.names) * hours;
        let measured = |rule, signal: Signal, observed, limit, window| Measured {
            harmful: parameters.harmful,
            ..Measured::new(rule, signal.name(), observed, limit, window)
        };
        measured(Rule::StuffingFailures, Signal::FailedLogins, observed as f64, limit, window).judge(
            at,
            &mut self.failures_latch,
            sink,
        );
        measured(Rule::StuffingNames, Signal::FailedLoginNames, names as f64, names_limit, interval).judge(
            at,
            &mut self.names_latch,
            sink,
        );
    }
}

#[cfg(test)]
mod tests;
