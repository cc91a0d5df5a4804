//! The figure of a flag from the raw inputs, each by itself with its weight, as the rules' documentation says; and the
//! inputs as they would have been under the flag's counterfactual.

use std::time::Duration;

use dimensionos_core::Timestamp;
use dimensionos_core::allocation::Resource;
use dimensionos_core::monitoring::{Counter, Level, Sample};
use dimensionos_core::tos::{Flag, Rule, Signal, Signals};

use crate::account::{Input, allocation};

const RESOURCES: [Resource; 5] =
    [Resource::Cpu, Resource::Ram, Resource::BytesSent, Resource::ApiCalls, Resource::FileOperations];
/// How long a sample speaks for.
const GAP: f64 = 600.0;

pub(crate) fn is_in_window(flag: &Flag, at: Timestamp) -> bool {
    at > flag.at.before(flag.window) && at <= flag.at
}

/// What was observed, by the inputs up to the flag.
pub(crate) fn recomputed(flag: &Flag, inputs: &[Input]) -> f64 {
    let signal = Signal::ALL.into_iter().find(|signal| signal.name() == flag.figure.signal);
    let count = |signals: &Signals| count(signal.and_then(|signal| signals.get(signal)));
    let file_operations = |sample: &Sample| self::count(sample.added(Counter::FileOperations));
    match flag.rule {
        Rule::ExcessQuarterHour => excess(inputs, flag.at, 900.0),
        Rule::ExcessSixHours => excess(inputs, flag.at, 21_600.0),
        Rule::ExcessDay => excess(inputs, flag.at, 86_400.0),
        Rule::HardCap => {
            RESOURCES.into_iter().filter_map(|resource| latest(resource, inputs, flag.at)).fold(0.0, f64::max)
        }
        Rule::Mining => share(inputs, flag.at),
        Rule::Ransomware => faded(inputs, flag.at, 60.0, &|(sample, _)| file_operations(sample)),
        Rule::RansomwareBlocks | Rule::RansomwareReads => faded(inputs, flag.at, 60.0, &|(_, signals)| count(signals)),
        Rule::SpamEvidence | Rule::SpamVolume => faded(inputs, flag.at, 3_600.0, &|(_, signals)| count(signals)),
        Rule::Unusual => habit(flag, inputs),
        // Sums: plain ones over the window. The first report only says from when on is counted.
        _ => {
            let reports = inputs.iter().filter(|(_, signals)| !signals.is_empty()).skip(1);
            reports.filter(|(sample, _)| is_in_window(flag, sample.taken_at())).map(|(_, signals)| count(signals)).sum()
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "amounts are at most 2^53 - 1")]
fn count(amount: Option<u64>) -> f64 {
    amount.unwrap_or(0) as f64
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.since(from).as_secs_f64()
}

fn faded(inputs: &[Input], at: Timestamp, window: f64, of: &dyn Fn(&Input) -> f64) -> f64 {
    inputs.iter().map(|input| of(input) * (-seconds(input.0.taken_at(), at) / window).exp()).sum()
}

/// How often a resource's limit was used each time that it was measured: by its level, or by its counter's pace over the
/// last minute, or hour where the limit is by the hour.
#[expect(clippy::cast_precision_loss, reason = "limits far below 2^53")]
fn uses(resource: Resource, inputs: &[Input]) -> Vec<(Timestamp, f64)> {
    let limit = resource.limit(&allocation()).unwrap() as f64;
    let (per, window) = match resource {
        Resource::ApiCalls | Resource::FileOperations => (3_600.0, 3_600.0),
        // Microseconds, held against thousandths of a core.
        Resource::Cpu => (0.001, 60.0),
        _ => (1.0, 60.0),
    };
    let level = |sample: &Sample| sample.level(resource.level()?);
    let added = |sample: &Sample| sample.added(resource.counter()?);
    let (mut uses, mut counts) = (Vec::new(), Vec::new());
    let mut last = inputs[0].0.taken_at();
    for (sample, _) in inputs {
        let at = sample.taken_at();
        if let Some(level) = level(sample) {
            uses.push((at, level as f64 / limit));
        } else if let Some(added) = added(sample) {
            // It came evenly since the last count: in as many slices as there is time.
            let span = seconds(last, at);
            counts.push((at, span, added as f64));
            let weight =
                |(when, span, added): &(Timestamp, f64, f64)| added * spread(seconds(*when, at), *span, window);
            uses.push((at, counts.iter().map(weight).sum::<f64>() * per / window / limit));
            last = at;
        }
    }
    uses
}

/// The mean weight of what came evenly over a span that ended so long ago.
fn spread(age: f64, span: f64, window: f64) -> f64 {
    let of_span = if span > 0.0 { (1.0 - (-span / window).exp()) * window / span } else { 1.0 };
    (-age / window).exp() * of_span
}

fn excess(inputs: &[Input], at: Timestamp, window: f64) -> f64 {
    let mut total = 0.0;
    for resource in RESOURCES {
        let mut last = inputs[0].0.taken_at();
        for (measured, times) in uses(resource, inputs) {
            let span = seconds(last, measured).min(GAP);
            last = measured;
            total += (times - 1.0).max(0.0) * span * spread(seconds(measured, at), span, window);
        }
    }
    total
}

/// How often the limit of a resource was used when it was last measured, unless that was longer ago than the cap dwells.
fn latest(resource: Resource, inputs: &[Input], at: Timestamp) -> Option<f64> {
    let (measured, times) = uses(resource, inputs).pop()?;
    (seconds(measured, at) < 300.0).then_some(times)
}

/// The mean share of the processor over those of the 24 hours before this one that were at its limit and nothing else.
#[expect(clippy::cast_precision_loss, reason = "limits far below 2^53")]
fn share(inputs: &[Input], at: Timestamp) -> f64 {
    let hour_of = |at: Timestamp| (at.as_millis() - 1) / 3_600_000;
    let limit = allocation().cpu_millicores as f64;
    let (mut total, mut hours) = (0.0, 0.0);
    for hour in hour_of(at) - 24..hour_of(at) {
        let (mut known, mut used, mut squared) = (0.0, 0.0, 0.0);
        let mut last = inputs[0].0.taken_at();
        for (sample, _) in inputs {
            let counted = sample.added(Counter::CpuMicroseconds).map(|spent| count(Some(spent)) / 1_000.0);
            let since = seconds(last, sample.taken_at());
            let level = sample.level(Level::CpuMillicores).map(|level| level as f64);
            let Some(use_of) = level.or(counted.map(|spent| spent / since.max(0.001))) else { continue };
            last = sample.taken_at();
            if hour_of(sample.taken_at()) == hour {
                let (span, share) = (since.min(GAP), use_of / limit);
                known += span;
                used += share * span;
                squared += share * share * span;
            }
        }
        let mean = used / f64::max(known, 1.0);
        let variation = (squared / f64::max(known, 1.0) - mean * mean).max(0.0).sqrt() / mean;
        if known >= 2_700.0 && mean >= 0.95 && variation < 0.03 {
            total += mean;
            hours += 1.0;
        }
    }
    total / f64::max(hours, 1.0)
}

/// The mean of a level and the sum of a counter over the stretch that is spoken of.
#[expect(clippy::cast_precision_loss, reason = "a few samples")]
fn habit(flag: &Flag, inputs: &[Input]) -> f64 {
    let within: Vec<&Sample> =
        inputs.iter().map(|(sample, _)| sample).filter(|sample| is_in_window(flag, sample.taken_at())).collect();
    if let Some(counter) = Counter::ALL.into_iter().find(|counter| counter.name() == flag.figure.signal) {
        return within.iter().map(|sample| count(sample.added(counter))).sum();
    }
    let levels: Vec<u64> = within.iter().filter_map(|sample| sample.level(Level::CpuMillicores)).collect();
    levels.iter().map(|level| *level as f64).sum::<f64>() / levels.len() as f64
}

/// The inputs up to a flag with no more of the signal in the flag's window than the counterfactual says.
pub(crate) fn with_less(flag: &Flag, inputs: &[Input]) -> Vec<Input> {
    let by = flag.counterfactual.at_most / flag.figure.observed;
    let less = |input: &Input| if is_in_window(flag, input.0.taken_at()) { scaled(flag, input, by) } else { *input };
    inputs.iter().map(less).collect()
}

fn scaled(flag: &Flag, (sample, signals): &Input, by: f64) -> Input {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded down, as no more than so much"
    )]
    let less = |amount: u64| (count(Some(amount)) * by) as u64;
    let named = flag.counterfactual.signal;
    let mut scaled = Sample::at(sample.taken_at());
    for level in Level::ALL {
        let Some(amount) = sample.level(level) else { continue };
        let limit = RESOURCES.into_iter().find(|resource| resource.level() == Some(level));
        let limit = limit.and_then(|resource| resource.limit(&allocation())).unwrap_or(u64::MAX);
        let amount = match named {
            // Of a level, what is over its limit is what adds to the excess.
            "excess_seconds" if amount > limit => limit + less(amount - limit),
            "times_of_limit" => less(amount),
            "cpu_share" if level == Level::CpuMillicores => less(amount),
            _ if named == level.name() => less(amount),
            _ => amount,
        };
        scaled.set_level(level, amount);
    }
    for counter in Counter::ALL {
        let Some(amount) = sample.added(counter) else { continue };
        let is_named = match named {
            "excess_seconds" | "times_of_limit" => true,
            "cpu_share" => counter == Counter::CpuMicroseconds,
            _ => named == counter.name(),
        };
        scaled.add(counter, if is_named { less(amount) } else { amount });
    }
    let counts = Signal::ALL.into_iter().filter_map(|signal| Some((signal, signals.get(signal)?)));
    let counts = counts.fold(Signals::new(), |counts, (signal, count)| {
        counts.with(signal, if named == signal.name() { less(count) } else { count })
    });
    (scaled, counts)
}

/// Whether a span is one that a flag may speak of: some time, and less than any account has been there.
pub(crate) fn is_sane(span: Duration) -> bool {
    !span.is_zero() && span <= Duration::from_secs(366 * 86_400)
}
