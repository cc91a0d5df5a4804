//! Files or blocks turned into others in great number, as encryption for ransom does.
//!
//! Three views, by what is counted. Of files, where operations are told apart: far more of them than the tier has, most
//! of them overwriting, renaming or deleting, and about as much read as written. Of blocks, where only a disk is seen:
//! most of what is written replaces what was read within the minute. Of reads, where writes are not seen or most of them
//! replace what was read: small files read one after another in great number. The last two cannot tell an encryptor
//! from other programs that work this way, such as a search index being built or a database compacted, so they suspect
//! and warn, and never restrict.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::allocation::Allocation;
use crate::monitoring::{Counter, Sample};
use crate::time::Timestamp;
use crate::tos::detectors::claim::{Claim, Standing, part};
use crate::tos::detectors::{COUNTERFACTUAL_PART, Pace, decay};
use crate::tos::{Counterfactual, Figure, Finding, Rule, Signal, Signals};

/// What the ransomware rules hold figures against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RansomwareParameters {
    /// Over how long everything is counted.
    pub window: Duration,
    /// How long it has to hold before it is raised.
    pub dwell: Duration,
    /// How many times the tier's pace of file operations is far above it.
    pub operations_over_tier: f64,
    /// File operations in a window that are many for any tier; fewer never raise anything, in the smallest tier neither.
    pub operations_at_least: f64,
    /// File operations in a window that are too many for any tier, with the rest as it is.
    pub operations_at_most: f64,
    /// The part of file operations that overwrite, rename or delete.
    pub destructive_share: f64,
    /// How much the smaller of bytes read and bytes written is of the larger.
    pub balance: f64,
    /// Bytes written in a window where they had been read within a minute.
    pub overwritten_bytes: f64,
    /// The part of them in all bytes written.
    pub overwritten_share: f64,
    /// Lone blocks read a short way apart in a window.
    pub hopping_reads: f64,
}

impl Default for RansomwareParameters {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            // Ten samples of one second; a program that starts is done by then.
            dwell: Duration::from_secs(10),
            operations_over_tier: 4.0,
            // Ten a second for a minute: an installer does that, with little of it overwritten.
            operations_at_least: 600.0,
            // A hundred a second: what an encryptor of small files does on one disk.
            operations_at_most: 6_000.0,
            destructive_share: 0.5,
            balance: 0.5,
            // Between what office programs and file encryption by hand come to at most, and ransomware at least: a factor
            // of 1.6 from either.
            overwritten_bytes: 28e6,
            overwritten_share: 0.45,
            // The same, a factor of 1.8 from either.
            hopping_reads: 1_200.0,
        }
    }
}

/// The ransomware rules of one account.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Ransomware {
    pace: Pace,
    operations: f32,
    destructive: f32,
    read: f32,
    written: f32,
    overwritten: f32,
    hopping: f32,
    /// Whether anybody ever counted what is written. Where somebody does, reads alone are no evidence.
    sees_writes: bool,
    /// Of files, of blocks, of reads.
    standings: [Standing; 3],
}

impl Ransomware {
    /// Takes what a meter and a counter of signals saw since their last observation.
    #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough for a minute's sum")]
    #[expect(clippy::cast_precision_loss, reason = "counts are at most 2^53 - 1")]
    pub fn observe(
        &mut self,
        at: Timestamp,
        sample: Option<&Sample>,
        signals: &Signals,
        allocation: &Allocation,
        parameters: &RansomwareParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let kept = decay(self.pace.step(at), parameters.window) as f32;
        let count = |signal| signals.get(signal).unwrap_or(0) as f32;
        let add = |sum: &mut f32, more: f32| *sum = sum.mul_add(kept, more);
        let destroyed =
            [Signal::FilesOverwritten, Signal::FilesRenamed, Signal::FilesDeleted].map(count).iter().sum::<f32>();
        let operations = sample.and_then(|sample| sample.added(Counter::FileOperations)).unwrap_or(0) as f32;
        add(&mut self.operations, operations);
        add(&mut self.destructive, destroyed);
        add(&mut self.read, count(Signal::BytesRead));
        add(&mut self.written, count(Signal::BytesWritten));
        add(&mut self.overwritten, count(Signal::BytesOverwritten));
        add(&mut self.hopping, count(Signal::HoppingReads));
        self.sees_writes |= signals.get(Signal::BytesWritten).is_some();
        let claims = [self.of_files(allocation, parameters), self.of_blocks(parameters), self.of_reads(parameters)];
        for (claim, standing) in claims.into_iter().zip(&mut self.standings) {
            claim.hold(standing, at, sink);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "no tier has more than 2^53 operations an hour")]
    fn of_files(&self, allocation: &Allocation, parameters: &RansomwareParameters) -> Claim {
        let of_tier = allocation.file_operations_per_hour as f64 * parameters.window.as_secs_f64() / 3_600.0;
        let limit = (of_tier * parameters.operations_over_tier)
            .clamp(parameters.operations_at_least, parameters.operations_at_most.max(parameters.operations_at_least));
        let destructive = part(self.destructive.into(), self.operations.into());
        let balance = part(self.read.min(self.written).into(), self.read.max(self.written).into());
        let gate = part(destructive, parameters.destructive_share).min(part(balance, parameters.balance));
        let figure = Figure { signal: Counter::FileOperations.name(), observed: self.operations.into(), limit };
        let supporting = [
            Some(Figure { signal: "destructive_share", observed: destructive, limit: parameters.destructive_share }),
            Some(Figure { signal: "read_write_balance", observed: balance, limit: parameters.balance }),
            None,
            None,
        ];
        let claim = claim(Rule::Ransomware, figure, gate, supporting, parameters);
        Claim { tier: Some(allocation.tier), ..claim }
    }

    fn of_blocks(&self, parameters: &RansomwareParameters) -> Claim {
        let share = part(self.overwritten.into(), self.written.into());
        let figure = Figure {
            signal: Signal::BytesOverwritten.name(),
            observed: self.overwritten.into(),
            limit: parameters.overwritten_bytes,
        };
        let support = Figure { signal: "overwritten_share", observed: share, limit: parameters.overwritten_share };
        let supporting = [Some(support), None, None, None];
        let gate = part(share, parameters.overwritten_share);
        claim(Rule::RansomwareBlocks, figure, gate, supporting, parameters)
    }

    fn of_reads(&self, parameters: &RansomwareParameters) -> Claim {
        let figure = Figure {
            signal: Signal::HoppingReads.name(),
            observed: self.hopping.into(),
            limit: parameters.hopping_reads,
        };
        let share = part(self.overwritten.into(), self.written.into());
        let support = Figure { signal: "overwritten_share", observed: share, limit: parameters.overwritten_share };
        let (gate, support) = if self.sees_writes {
            (part(share, parameters.overwritten_share), Some(support))
        } else {
            (f64::INFINITY, None)
        };
        claim(Rule::RansomwareReads, figure, gate, [support, None, None, None], parameters)
    }
}

fn claim(
    rule: Rule,
    figure: Figure,
    gate: f64,
    supporting: [Option<Figure>; 4],
    parameters: &RansomwareParameters,
) -> Claim {
    Claim {
        rule,
        severity: rule.severity(),
        figure,
        window: parameters.window,
        quiet_beside: Some(figure.limit),
        unrest: 0.0,
        reach: Duration::ZERO,
        rise: parameters.dwell,
        fall: parameters.dwell * 2,
        tier: None,
        gate,
        supporting,
        counterfactual: Counterfactual { signal: figure.signal, at_most: figure.limit * COUNTERFACTUAL_PART },
    }
}
