//! More than the tier's limit of a resource, added up: a little for long, or much at once.
//!
//! The excess of a resource is what is over its limit as a part of the limit, so that 1 is twice the limit, and its sum
//! over time is in seconds: 60 s at twice the limit, or 120 s at half as much again, are 60 s of excess. Levels hold from
//! one sample to the next; counters are held against their limit as the pace of the last minute, and by the hour where
//! the limit is by the hour.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::allocation::{Allocation, Resource};
use crate::monitoring::Sample;
use crate::time::Timestamp;
use crate::tos::detectors::claim::{Claim, part};
use crate::tos::detectors::{COUNTERFACTUAL_PART, Pace, decay};
use crate::tos::{Counterfactual, Figure, Finding, LEAVE_AT, Latch, Rule};

/// What tiers limit.
const LIMITED: [Resource; 7] = [
    Resource::Cpu,
    Resource::Ram,
    Resource::Storage,
    Resource::BytesSent,
    Resource::BytesReceived,
    Resource::ApiCalls,
    Resource::FileOperations,
];
/// Over how long each rule adds up.
const WINDOWS: [(Rule, Duration); 3] = [
    (Rule::ExcessQuarterHour, Duration::from_secs(900)),
    (Rule::ExcessSixHours, Duration::from_secs(21_600)),
    (Rule::ExcessDay, Duration::from_secs(86_400)),
];
/// The part of its window that a rule's excess has to last.
const DWELL_PART: u32 = 15;
/// How often sums are brought up to date: small beside the shortest window, and rarely enough that it costs a sample
/// nothing.
const TICK: Duration = Duration::from_secs(30);
/// The most excess that is counted, a million times the limit, so that no figure is infinite.
const MOST_EXCESS: f32 = 1e6;
/// Over how long the pace of a counter is taken whose limit is not by the hour.
const PACE: Duration = Duration::from_secs(60);

/// What the rules on resources hold figures against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ResourceExcessParameters {
    /// How much of a quarter of an hour, of six hours and of a day the excess may come to, each as a part of its window.
    pub tolerated: [f64; 3],
    /// How many times the limit nobody reaches by accident.
    pub hard_cap: f64,
    /// How long it has to be over the hard cap: a program that starts is done by then.
    pub hard_cap_dwell: Duration,
    /// How long a sample speaks for: after that nobody knows, and nothing is counted.
    pub longest_gap: Duration,
}

impl Default for ResourceExcessParameters {
    fn default() -> Self {
        Self {
            // A processor that runs above its nominal pace is 6 % over for days; a tenth is beyond what clocks do.
            tolerated: [0.5, 0.25, 0.1],
            hard_cap: 4.0,
            hard_cap_dwell: Duration::from_secs(300),
            // Twice the five minutes that slow meters take.
            longest_gap: Duration::from_secs(600),
        }
    }
}

/// The rules on resources of one account.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ResourceExcess {
    pace: Pace,
    /// Seconds since the sums were brought up to date.
    waiting: f32,
    /// By how much each resource is over its limit, as a part of it; below zero where it is not.
    excess: [f32; LIMITED.len()],
    /// For how many ticks each was not measured.
    unseen: [u8; LIMITED.len()],
    /// The faded sums of the counters, for their pace.
    counted: [f32; LIMITED.len()],
    /// Seconds of excess since the sums were brought up to date.
    pending: [f32; LIMITED.len()],
    sums: [[f32; LIMITED.len()]; WINDOWS.len()],
    latches: [Latch; WINDOWS.len()],
    capped: Latch,
}

impl ResourceExcess {
    /// Takes a sample of the account's meter.
    #[expect(clippy::cast_possible_truncation, reason = "parts of a limit, of which seven digits are enough")]
    pub fn observe(
        &mut self,
        sample: &Sample,
        allocation: &Allocation,
        parameters: &ResourceExcessParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let at = sample.taken_at();
        let elapsed = self.pace.step(at);
        let counts = elapsed.min(parameters.longest_gap).as_secs_f32();
        for (index, resource) in LIMITED.into_iter().enumerate() {
            if let Some(usage) = self.usage(index, resource, sample, elapsed) {
                let limit = limit(resource, allocation);
                self.excess[index] = (part(usage, limit) as f32 - 1.0).min(MOST_EXCESS);
                self.unseen[index] = 0;
            }
            self.pending[index] += self.excess[index].max(0.0) * counts;
        }
        self.waiting += elapsed.as_secs_f32();
        if self.waiting >= TICK.as_secs_f32() {
            self.tick(at, allocation, parameters, sink);
        }
    }

    /// What is used of a resource, in the unit of its limit; absent where this sample does not say.
    #[expect(clippy::cast_precision_loss, reason = "amounts are at most 2^53 - 1")]
    #[expect(clippy::cast_possible_truncation, reason = "sums of which seven digits are enough")]
    fn usage(&mut self, index: usize, resource: Resource, sample: &Sample, elapsed: Duration) -> Option<f64> {
        if let Some(level) = resource.level().and_then(|level| sample.level(level)) {
            return Some(level as f64);
        }
        let added = sample.added(resource.counter()?)? as f64;
        let per = Duration::from_secs(resource.rate_seconds());
        let window = per.max(PACE);
        let sum = f64::from(self.counted[index]) * decay(elapsed, window) + added;
        self.counted[index] = sum as f32;
        // Processor time is in microseconds, and its limit in thousandths of a core.
        let units = if resource == Resource::Cpu { 1_000.0 } else { 1.0 };
        Some(sum * per.as_secs_f64() / window.as_secs_f64() / units)
    }

    /// Brings the sums up to date and holds them against their limits.
    #[expect(clippy::cast_possible_truncation, reason = "sums of which seven digits are enough")]
    #[expect(clippy::cast_sign_loss, reason = "waiting is never below zero")]
    fn tick(
        &mut self,
        at: Timestamp,
        allocation: &Allocation,
        parameters: &ResourceExcessParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let waited = Duration::from_secs_f32(self.waiting);
        for ((_, window), sums) in WINDOWS.iter().zip(&mut self.sums) {
            let kept = decay(waited, *window);
            // Excess that was spread over the time since then has faded by this much on the average.
            let faded = (1.0 - kept) * window.as_secs_f64() / waited.as_secs_f64();
            for (sum, pending) in sums.iter_mut().zip(self.pending) {
                *sum = (f64::from(*sum) * kept + f64::from(pending) * faded) as f32;
            }
        }
        let ticks = (self.waiting / TICK.as_secs_f32()).min(255.0) as u8;
        let most = parameters.longest_gap.as_secs() / TICK.as_secs();
        for (unseen, excess) in self.unseen.iter_mut().zip(&mut self.excess) {
            // Of what nobody has measured for so long nobody knows.
            if u64::from(*unseen) > most {
                *excess = 0.0;
            }
            *unseen = unseen.saturating_add(ticks);
        }
        (self.pending, self.waiting) = (Default::default(), 0.0);
        for index in 0..WINDOWS.len() {
            self.of_sum(index, allocation, parameters).hold(&mut self.latches[index], at, sink);
        }
        self.of_cap(allocation, parameters).hold(&mut self.capped, at, sink);
    }

    fn of_sum(&self, index: usize, allocation: &Allocation, parameters: &ResourceExcessParameters) -> Claim {
        let (rule, window) = WINDOWS[index];
        let worst = worst(&self.sums[index]);
        let limit = window.as_secs_f64() * parameters.tolerated[index];
        let figure = Figure { signal: excess_of(LIMITED[worst]), observed: self.sums[index][worst].into(), limit };
        // Who is within the limit by now is not told of what was.
        let gate = if self.excess[worst] > 0.0 { f64::INFINITY } else { 1.0 };
        Claim {
            rule,
            severity: rule.severity(),
            figure,
            window,
            dwell: window / DWELL_PART,
            tier: Some(allocation.tier),
            gate,
            supporting: [Some(self.usage_of(worst, allocation, 1.0)), None, None, None],
            counterfactual: Counterfactual { signal: figure.signal, at_most: limit * COUNTERFACTUAL_PART },
        }
    }

    fn of_cap(&self, allocation: &Allocation, parameters: &ResourceExcessParameters) -> Claim {
        let figure = self.usage_of(worst(&self.excess), allocation, parameters.hard_cap);
        Claim {
            rule: Rule::HardCap,
            severity: Rule::HardCap.severity(),
            figure,
            window: parameters.hard_cap_dwell,
            dwell: parameters.hard_cap_dwell,
            tier: Some(allocation.tier),
            gate: f64::INFINITY,
            supporting: [None; 4],
            counterfactual: Counterfactual { signal: figure.signal, at_most: figure.limit * LEAVE_AT },
        }
    }

    /// What is used of a resource now, beside so many times its limit.
    fn usage_of(&self, index: usize, allocation: &Allocation, times: f64) -> Figure {
        let resource = LIMITED[index];
        let limit = limit(resource, allocation);
        let observed = (f64::from(self.excess[index]) + 1.0) * limit;
        Figure { signal: meter_of(resource), observed, limit: limit * times }
    }
}

/// What a tier allows of a resource. A limit of nothing is one of a single unit here: parts of nothing are no figures.
#[expect(clippy::cast_precision_loss, reason = "limits that people set are far below 2^53")]
fn limit(resource: Resource, allocation: &Allocation) -> f64 {
    resource.limit(allocation).unwrap_or(u64::MAX).max(1) as f64
}

/// Which figure is the largest.
fn worst(figures: &[f32; LIMITED.len()]) -> usize {
    let larger = |best: usize, (index, figure): (usize, &f32)| if *figure > figures[best] { index } else { best };
    figures.iter().enumerate().fold(0, larger)
}

/// The sum of a resource's excess, in seconds of its whole limit.
const fn excess_of(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "cpu_excess_seconds",
        Resource::Ram => "ram_excess_seconds",
        Resource::Storage => "storage_excess_seconds",
        Resource::BytesSent => "bytes_sent_excess_seconds",
        Resource::BytesReceived => "bytes_received_excess_seconds",
        Resource::ApiCalls => "api_calls_excess_seconds",
        _ => "file_operations_excess_seconds",
    }
}

/// What a resource's use is measured as, in the unit of its limit.
const fn meter_of(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "cpu_millicores",
        Resource::Ram => "ram_bytes",
        Resource::Storage => "storage_bytes",
        Resource::BytesSent => "bytes_sent_per_second",
        Resource::BytesReceived => "bytes_received_per_second",
        Resource::ApiCalls => "api_calls_per_hour",
        _ => "file_operations_per_hour",
    }
}
