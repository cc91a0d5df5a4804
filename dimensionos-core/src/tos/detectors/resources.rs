//! More than the tier's limit of a resource, added up: a little for long, or much at once.
//!
//! The excess of a resource is what is over its limit as a part of the limit, so that 1 is twice the limit. Added up over
//! time and over all resources it is in seconds: 60 s at twice a limit, or 120 s at half as much again, are 60 s of
//! excess. A level tells of the time since it was measured before; counters are held against their limit as the pace of
//! the last minute, and by the hour where the limit is by the hour. That pace is a faded sum of what was counted, each
//! count as if it had come evenly since the one before it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::allocation::{Allocation, Resource};
use crate::monitoring::Sample;
use crate::time::Timestamp;
use crate::tos::detectors::claim::{Claim, Standing, part};
use crate::tos::detectors::{COUNTERFACTUAL_PART, Pace, decay};
use crate::tos::{Counterfactual, Figure, Finding, MAX_SUPPORTING, Rule};

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
/// How long a sum has to be over its limit. The window is what makes it last; this is for a second look at one sample
/// that is far out.
const RISE: Duration = Duration::from_secs(60);
/// The part of its window for which a sum has to be well below its limit before its flag goes down.
const FALL_PART: u32 = 8;
/// How often sums are brought up to date: a thirtieth of the shortest window, and rarely enough that it costs a sample
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
    /// By how much each resource is over its limit, as a part of it; below zero where it is
    /// under it, and 0 where nobody knows.
    excess: [f32; LIMITED.len()],
    /// Seconds since each was measured.
    ages: [f32; LIMITED.len()],
    /// The faded sums of the counters, for their pace.
    counted: [f32; LIMITED.len()],
    /// Seconds of excess since the sums were brought up to date, as each rule's window fades them.
    pending: [f32; WINDOWS.len()],
    sums: [f32; WINDOWS.len()],
    standings: [Standing; WINDOWS.len()],
    capped: Standing,
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
        let longest = parameters.longest_gap.as_secs_f32();
        // Only who is over a limit has anything pending.
        if self.pending[0] > 0.0 {
            for ((_, window), pending) in WINDOWS.iter().zip(&mut self.pending) {
                *pending *= decay(elapsed, *window) as f32;
            }
        }
        let mut left = LastDecay::default();
        for (index, resource) in LIMITED.into_iter().enumerate() {
            self.ages[index] += elapsed.as_secs_f32();
            if let Some(usage) = self.usage(index, resource, sample, &mut left) {
                self.excess[index] = (part(usage, limit(resource, allocation)) as f32 - 1.0).min(MOST_EXCESS);
                if self.excess[index] > 0.0 {
                    self.exceed(self.excess[index], self.ages[index].min(longest));
                }
                self.ages[index] = 0.0;
            } else if self.ages[index] >= longest {
                // Of what nobody has measured for so long nobody knows.
                self.excess[index] = 0.0;
            }
        }
        self.waiting += elapsed.as_secs_f32();
        if self.waiting >= TICK.as_secs_f32() {
            self.tick(at, allocation, parameters, sink);
        }
    }

    /// What is used of a resource, in the unit of its limit; absent where this sample does not say.
    #[expect(clippy::cast_precision_loss, reason = "amounts are at most 2^53 - 1")]
    #[expect(clippy::cast_possible_truncation, reason = "sums of which seven digits are enough")]
    fn usage(&mut self, index: usize, resource: Resource, sample: &Sample, left: &mut LastDecay) -> Option<f64> {
        if let Some(level) = resource.level().and_then(|level| sample.level(level)) {
            return Some(level as f64);
        }
        let added = sample.added(resource.counter()?)? as f64;
        // What was counted came evenly since this counter was last in a sample, which may be several ago.
        let since = f64::from(self.ages[index]);
        let left = left.after(self.ages[index], pace_window(resource));
        let weight = if since > 0.0 { (1.0 - left) * pace_window(resource).as_secs_f64() / since } else { 1.0 };
        self.counted[index] = (f64::from(self.counted[index]) * left + added * weight) as f32;
        Some(f64::from(self.counted[index]) * pace(resource))
    }

    /// What is left by now of a counter's faded sum.
    fn left_of(&self, index: usize, resource: Resource) -> f64 {
        f64::from(self.counted[index]) * decay(Duration::from_secs_f32(self.ages[index]), pace_window(resource))
    }

    /// The most that the pace of a counter is by now as a part of its limit, whether it was measured of late or not.
    fn pace_part(&self, allocation: &Allocation) -> f64 {
        let paces = LIMITED.into_iter().enumerate().filter(|(index, _)| self.counted[*index] > 0.0);
        let part_of =
            |(index, resource)| part(self.left_of(index, resource) * pace(resource), limit(resource, allocation));
        paces.map(part_of).fold(0.0, f64::max)
    }

    /// Adds an excess that lasted so many seconds up to now, its beginning faded by then.
    #[expect(clippy::cast_possible_truncation, reason = "sums of which seven digits are enough")]
    fn exceed(&mut self, excess: f32, seconds: f32) {
        for ((_, window), pending) in WINDOWS.iter().zip(&mut self.pending) {
            let left = 1.0 - decay(Duration::from_secs_f32(seconds), *window);
            *pending += excess * (left * window.as_secs_f64()) as f32;
        }
    }

    /// Brings the sums up to date and holds them against their limits.
    #[expect(clippy::cast_possible_truncation, reason = "sums of which seven digits are enough")]
    fn tick(
        &mut self,
        at: Timestamp,
        allocation: &Allocation,
        parameters: &ResourceExcessParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let waited = Duration::from_secs_f32(self.waiting);
        for (((_, window), sum), pending) in WINDOWS.iter().zip(&mut self.sums).zip(self.pending) {
            *sum = (f64::from(*sum) * decay(waited, *window) + f64::from(pending)) as f32;
        }
        (self.pending, self.waiting) = ([0.0; WINDOWS.len()], 0.0);
        let paces = self.pace_part(allocation);
        // Not less than it was, for all rounding.
        let reach = waited + Duration::from_millis(1);
        for index in 0..WINDOWS.len() {
            // A pace over its limit goes on adding excess though nothing is done any more, so the window begins before it.
            let unrest = if paces > 1.0 { f64::INFINITY } else { 0.0 };
            let claim = Claim { unrest, reach, ..self.of_sum(index, allocation, parameters) };
            claim.hold(&mut self.standings[index], at, sink);
        }
        let claim = self.of_cap(allocation, parameters);
        let claim = Claim { unrest: paces / parameters.hard_cap, reach, ..claim };
        claim.hold(&mut self.capped, at, sink);
    }

    fn of_sum(&self, index: usize, allocation: &Allocation, parameters: &ResourceExcessParameters) -> Claim {
        let (rule, window) = WINDOWS[index];
        let limit = window.as_secs_f64() * parameters.tolerated[index];
        let figure = Figure { signal: "excess_seconds", observed: self.sums[index].into(), limit };
        Claim {
            rule,
            severity: rule.severity(),
            figure,
            window,
            quiet_beside: Some(limit),
            unrest: 0.0,
            reach: Duration::ZERO,
            rise: RISE,
            fall: window / FALL_PART,
            tier: Some(allocation.tier),
            // Who is within the limits by now is not told of what was.
            gate: if self.most_over(parameters.longest_gap) > 0.0 { f64::INFINITY } else { 1.0 },
            supporting: self.over(allocation, 1.0),
            counterfactual: Counterfactual { signal: figure.signal, at_most: limit * COUNTERFACTUAL_PART },
        }
    }

    fn of_cap(&self, allocation: &Allocation, parameters: &ResourceExcessParameters) -> Claim {
        let observed = f64::from(self.most_over(parameters.hard_cap_dwell)) + 1.0;
        let figure = Figure { signal: "times_of_limit", observed, limit: parameters.hard_cap };
        Claim {
            rule: Rule::HardCap,
            severity: Rule::HardCap.severity(),
            figure,
            window: parameters.hard_cap_dwell,
            // The pace of a counter is a faded sum.
            quiet_beside: Some(parameters.hard_cap),
            unrest: 0.0,
            reach: Duration::ZERO,
            rise: parameters.hard_cap_dwell,
            fall: parameters.hard_cap_dwell * 2,
            tier: Some(allocation.tier),
            gate: f64::INFINITY,
            supporting: self.over(allocation, parameters.hard_cap),
            counterfactual: Counterfactual { signal: figure.signal, at_most: figure.limit * COUNTERFACTUAL_PART },
        }
    }

    /// By how much the resource is over its limit that is most over it, of those measured within a time.
    fn most_over(&self, within: Duration) -> f32 {
        let known = self.excess.into_iter().zip(self.ages).filter(|(_, age)| *age < within.as_secs_f32());
        known.map(|(excess, _)| excess).fold(-1.0, f32::max)
    }

    /// The resources that are over so many times their limits now, those most over first.
    fn over(&self, allocation: &Allocation, times: f64) -> [Option<Figure>; MAX_SUPPORTING] {
        let mut order: [usize; LIMITED.len()] = std::array::from_fn(|index| index);
        order.sort_by(|one, other| self.excess[*other].total_cmp(&self.excess[*one]));
        std::array::from_fn(|place| {
            let resource = LIMITED[order[place]];
            let used = f64::from(self.excess[order[place]]) + 1.0;
            let limit = limit(resource, allocation);
            let figure = Figure { signal: meter_of(resource), observed: used * limit, limit: limit * times };
            (used > times).then_some(figure)
        })
    }
}

/// What [`decay`] said last: counters that come together fade together, and an exponential takes as long as all else that
/// is done for one of them.
#[derive(Default)]
struct LastDecay {
    seconds: f32,
    window: Duration,
    left: f64,
}

impl LastDecay {
    fn after(&mut self, seconds: f32, window: Duration) -> f64 {
        if window != self.window || seconds.to_bits() != self.seconds.to_bits() {
            *self = Self { seconds, window, left: decay(Duration::from_secs_f32(seconds), window) };
        }
        self.left
    }
}

/// What a tier allows of a resource. A limit of nothing is one of a single unit here: parts of nothing are no figures.
#[expect(clippy::cast_precision_loss, reason = "limits that people set are far below 2^53")]
fn limit(resource: Resource, allocation: &Allocation) -> f64 {
    resource.limit(allocation).unwrap_or(u64::MAX).max(1) as f64
}

/// Over how long the pace of a counter is taken.
fn pace_window(resource: Resource) -> Duration {
    Duration::from_secs(resource.rate_seconds()).max(PACE)
}

/// The pace, in the unit of the limit, that one counted makes within [`pace_window`]. Processor time is in microseconds,
/// and its limit in thousandths of a core.
#[expect(clippy::cast_precision_loss, reason = "an hour at most")]
fn pace(resource: Resource) -> f64 {
    let units = if resource == Resource::Cpu { 1_000.0 } else { 1.0 };
    resource.rate_seconds() as f64 / pace_window(resource).as_secs_f64() / units
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
