//! Computing around the clock and nothing else: suspected mining.
//!
//! A day of hours at the processor's limit, without variation, and next to no disk and network. That is what mining
//! looks like, and some honest computations too, so it is suspected and never more than a warning.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::allocation::Allocation;
use crate::monitoring::{Counter, Level, Sample};
use crate::tos::detectors::Pace;
use crate::tos::detectors::claim::{Claim, Standing, part};
use crate::tos::{Counterfactual, Figure, Finding, Rule, Signal, Signals};

const HOURS: usize = 24;
const HOUR_SECONDS: i64 = 3_600;
/// An hour's mean share of the processor is kept as how many such steps it is above the rule's share: within 0.8 % of it
/// up to 41 times that share.
const STEP: f64 = 1.015;
/// What keeps the rule silent, as a part of its share. Hours differ from their mean by less than the rest.
const SILENT_PART: f64 = 0.9;

/// What the mining rule holds figures against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MiningParameters {
    /// The mean share of the tier's processor from which an hour is one at the limit.
    pub share: f64,
    /// The most that it varies within such an hour: standard deviation over mean.
    pub variation: f64,
    /// The most sent and received in such an hour, in bytes a second: pools are sent some tens.
    pub network_bytes_per_second: f64,
    /// The most read and written in such an hour, in bytes a second.
    pub disk_bytes_per_second: f64,
    /// How many hours of the last 24 have to be such.
    pub hours: u32,
    /// How much of an hour has to be known.
    pub known: Duration,
    /// How long a sample speaks for.
    pub longest_gap: Duration,
}

impl Default for MiningParameters {
    fn default() -> Self {
        Self {
            share: 0.95,
            variation: 0.03,
            network_bytes_per_second: 512.0,
            disk_bytes_per_second: 512.0,
            // One may be lost to a restart.
            hours: 23,
            known: Duration::from_secs(45 * 60),
            longest_gap: Duration::from_secs(600),
        }
    }
}

/// An hour as it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Hour {
    seconds: f32,
    /// Of these, at less than half of the limit: pauses, which weigh on the mean and are no variation.
    idle: f32,
    /// How far the share is from one while it is busy, by seconds: small numbers, whose squares keep their digits.
    off: f32,
    off_squared: f32,
    network: f32,
    disk: f32,
    sees_network: bool,
    sees_disk: bool,
}

/// The mining rule of one account.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Mining {
    pace: Pace,
    /// Which hour since 1970 is going on.
    number: u32,
    hour: Hour,
    /// Seconds since the processor was measured.
    unmeasured: f32,
    /// The mean share of each of the last hours that was at the limit, in steps from 1 on; 0 for the others.
    hours: [u8; HOURS],
    standing: Standing,
}

impl Mining {
    /// Takes a sample of the account's meter, and what was read and written meanwhile.
    #[expect(clippy::cast_possible_truncation, reason = "sums of which seven digits are enough")]
    #[expect(clippy::cast_precision_loss, reason = "amounts are at most 2^53 - 1")]
    pub fn observe(
        &mut self,
        sample: &Sample,
        signals: &Signals,
        allocation: &Allocation,
        parameters: &MiningParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let at = sample.taken_at();
        let elapsed = self.pace.step(at);
        // A sample tells of the time before it, so it belongs to the hour that it ends.
        let number = u32::try_from((at.as_millis() - 1).max(0) / 1_000 / HOUR_SECONDS).unwrap_or(u32::MAX);
        if number != self.number {
            self.close(number, parameters);
            self.claim(parameters, allocation).hold(&mut self.standing, at, sink);
            self.hour = Hour::default();
            self.number = number;
        }
        // Samples without the processor may come in between: one that has it tells of all the time since the last.
        self.unmeasured += elapsed.as_secs_f32();
        let since = f64::from(self.unmeasured);
        let seconds = since.min(parameters.longest_gap.as_secs_f64());
        let limit = allocation.cpu_millicores.max(1) as f64;
        let level = sample.level(Level::CpuMillicores).map(|level| level as f64);
        // Microseconds in a second over thousandths of a core.
        let spent = || Some(sample.added(Counter::CpuMicroseconds)? as f64 / 1_000.0 / since.max(0.001));
        if let Some(used) = level.or_else(spent) {
            self.unmeasured = 0.0;
            let off = used / limit - 1.0;
            self.hour.seconds += seconds as f32;
            if off < -0.5 {
                self.hour.idle += seconds as f32;
            } else {
                self.hour.off += (off * seconds) as f32;
                self.hour.off_squared += (off * off * seconds) as f32;
            }
        }
        for counter in [Counter::BytesSent, Counter::BytesReceived] {
            self.hour.sees_network |= sample.added(counter).is_some();
            self.hour.network += sample.added(counter).unwrap_or(0) as f32;
        }
        for signal in [Signal::BytesRead, Signal::BytesWritten] {
            self.hour.sees_disk |= signals.get(signal).is_some();
            self.hour.disk += signals.get(signal).unwrap_or(0) as f32;
        }
    }

    /// Ends the hour that goes on, where another has begun.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held to what a byte takes")]
    fn close(&mut self, next: u32, parameters: &MiningParameters) {
        let steps = |share: f64| (1.0 + (share / parameters.share).log(STEP).round()).clamp(1.0, 255.0) as u8;
        self.hours[self.number as usize % HOURS] = self.hour.at_limit(parameters).map_or(0, steps);
        // Hours that nobody saw were not at the limit.
        for unseen in self.number.saturating_add(1)..next.min(self.number.saturating_add(1 + HOURS as u32)) {
            self.hours[unseen as usize % HOURS] = 0;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "24 hours")]
    fn claim(&self, parameters: &MiningParameters, allocation: &Allocation) -> Claim {
        let shares = self.hours.iter().filter(|steps| **steps > 0);
        let at_limit = shares.clone().count() as f64;
        let total = shares.map(|steps| parameters.share * STEP.powi(i32::from(*steps) - 1)).sum::<f64>();
        let figure = Figure { signal: "cpu_share", observed: part(total, at_limit), limit: parameters.share };
        let enough = f64::from(parameters.hours) - 0.5;
        let (network, disk, variation) = self.hour.rates();
        Claim {
            rule: Rule::Mining,
            severity: Rule::Mining.severity(),
            figure,
            window: Duration::from_secs(HOURS as u64 * 3_600),
            quiet_beside: None,
            unrest: 0.0,
            reach: Duration::ZERO,
            // The day is the dwell.
            rise: Duration::ZERO,
            fall: Duration::ZERO,
            tier: Some(allocation.tier),
            gate: part(at_limit, enough),
            supporting: [
                Some(Figure { signal: "hours_at_limit", observed: at_limit, limit: parameters.hours.into() }),
                Some(Figure { signal: "cpu_variation", observed: variation, limit: parameters.variation }),
                Some(Figure {
                    signal: "network_bytes_per_second",
                    observed: network,
                    limit: parameters.network_bytes_per_second,
                }),
                Some(Figure {
                    signal: "disk_bytes_per_second",
                    observed: disk,
                    limit: parameters.disk_bytes_per_second,
                }),
            ],
            counterfactual: Counterfactual { signal: figure.signal, at_most: parameters.share * SILENT_PART },
        }
    }
}

impl Hour {
    /// Network and disk in bytes a second, and the variation of the processor's share.
    fn rates(&self) -> (f64, f64, f64) {
        let seconds = f64::from(self.seconds).max(1.0);
        let busy = f64::from(self.seconds - self.idle).max(1.0);
        let off = f64::from(self.off) / busy;
        let variance = (f64::from(self.off_squared) / busy - off * off).max(0.0);
        (f64::from(self.network) / seconds, f64::from(self.disk) / seconds, part(variance.sqrt(), 1.0 + off))
    }

    /// The mean share of the processor, if the hour was one at the limit and nothing else.
    fn at_limit(&self, parameters: &MiningParameters) -> Option<f64> {
        let is_known = self.sees_network && self.sees_disk && f64::from(self.seconds) >= parameters.known.as_secs_f64();
        let (network, disk, variation) = self.rates();
        // A pause counts as no use at all.
        let share = f64::from(self.seconds - self.idle + self.off) / f64::from(self.seconds).max(1.0);
        let is_at_limit = share >= parameters.share
            && variation < parameters.variation
            && network <= parameters.network_bytes_per_second
            && disk <= parameters.disk_bytes_per_second;
        (is_known && is_at_limit).then_some(share)
    }
}
