//! IoT-23: a device that has been taken over, its connections labelled (Garcia, Parmisano and Erquiaga, 2020).

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::{self, File};
use std::path::Path;

use dimensionos_core::Timestamp;
use dimensionos_core::tos::Rule;
use dimensionos_core::tos::detectors::NetworkParameters;
use serde_json::{Map, Value, json};

use crate::flows::{self, Flow, Stretch, Watched};
use crate::statistics::rate;

/// A flood that pauses for as long as this has ended, and what comes after is another. Flags of floods are down by then
/// (the window and the fall are 4 s), so that none is found because of the one before.
const BURST_GAP_SECONDS: f64 = 60.0;
/// Within what a burst has to be found, from its first flow on.
const BURST_DELAY_SECONDS: f64 = 5.0;

/// Puts `iot23` and `ddos` into the report. A minute counts where the device opened a connection in it; it is malicious
/// where one of these is, and found where a flag was up in it. A flow is fed to the detector at its end.
pub(crate) fn evaluate(folder: &Path, report: &mut Map<String, Value>) -> Result<(), Box<dyn Error>> {
    let mut flows = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "labeled") {
            flows.extend(flows::read(File::open(path)?)?);
        }
    }
    let accounts = flows::watch(&flows, NetworkParameters::default(), |_| true);
    // The devices with anything malicious about them; that is for the score alone.
    let infected: BTreeSet<&str> =
        flows.iter().filter(|flow| is_malicious(flow)).map(|flow| flow.from.as_str()).collect();
    let device: Vec<&Flow> = flows.iter().filter(|flow| infected.contains(flow.from.as_str())).collect();
    let stretches =
        || accounts.iter().filter(|(name, _)| infected.contains(name.as_str())).flat_map(|(_, of)| &of.stretches);

    let minutes = Minutes::of(&device);
    let whole = minutes.score(stretches());
    let mut iot = Map::new();
    iot.insert("recall".into(), json!(whole.recall()));
    iot.insert("precision".into(), json!(whole.precision()));
    iot.insert("recall_bound".into(), rate(whole.found_malicious, whole.malicious));
    iot.insert("precision_bound".into(), rate(whole.found_malicious, whole.found));
    iot.insert("minutes".into(), json!(minutes.all.len()));
    let raised = |of: &Watched| of.raised.len() as u64;
    iot.insert("raised".into(), json!(accounts.values().map(raised).sum::<u64>()));
    // Each rule alone, and all but it.
    for rule in [Rule::CommandAndControl, Rule::Hammering, Rule::Scan, Rule::DdosConnections, Rule::DdosPackets] {
        let alone = minutes.score(stretches().filter(|stretch| stretch.rule == rule));
        let without = minutes.score(stretches().filter(|stretch| stretch.rule != rule));
        let of = json!({
            "alone_recall": alone.recall(), "alone_precision": alone.precision(), "alone_found": alone.found,
            "without_recall": without.recall(), "without_precision": without.precision(),
        });
        iot.insert(format!("ablation.{}", rule.name()), of);
    }
    // The two halves by time, which say how much the figures hang on when one looks.
    for (name, half) in ["first_half", "second_half"].into_iter().zip(minutes.halves()) {
        let score = half.score(stretches());
        iot.insert(
            name.into(),
            json!({"recall": score.recall(), "precision": score.precision(), "malicious": score.malicious}),
        );
    }
    report.insert("iot23".into(), iot.into());
    report.insert("ddos".into(), floods(&device, "DDoS", &stretches().collect::<Vec<_>>()));
    Ok(())
}

fn is_malicious(flow: &Flow) -> bool {
    flow.label.as_deref().is_some_and(|label| label.starts_with("Malicious"))
}

/// Minutes in which the device opened connections, and whether one of them was malicious.
struct Minutes {
    all: BTreeMap<i64, bool>,
}

#[derive(Debug, Default)]
struct Score {
    malicious: u64,
    found: u64,
    found_malicious: u64,
}

#[expect(clippy::cast_precision_loss, reason = "counts of minutes")]
impl Score {
    fn recall(&self) -> Option<f64> {
        (self.malicious > 0).then(|| self.found_malicious as f64 / self.malicious as f64)
    }

    fn precision(&self) -> Option<f64> {
        (self.found > 0).then(|| self.found_malicious as f64 / self.found as f64)
    }
}

impl Minutes {
    fn of(device: &[&Flow]) -> Self {
        let mut all = BTreeMap::new();
        for flow in device {
            *all.entry(minute(flows::millis(flow.start))).or_default() |= is_malicious(flow);
        }
        Self { all }
    }

    fn halves(&self) -> [Self; 2] {
        let middle =
            self.all.keys().next().zip(self.all.keys().last()).map_or(0, |(first, last)| i64::midpoint(*first, *last));
        let (first, second) = self.all.iter().partition(|(minute, _)| **minute < middle);
        [Self { all: first }, Self { all: second }]
    }

    fn score<'a>(&self, stretches: impl Iterator<Item = &'a Stretch>) -> Score {
        let found: BTreeSet<i64> = stretches.flat_map(|stretch| minute(stretch.from)..=minute(stretch.to)).collect();
        let mut score = Score::default();
        for (minute, &is_malicious) in &self.all {
            let is_found = found.contains(minute);
            score.malicious += u64::from(is_malicious);
            score.found += u64::from(is_found);
            score.found_malicious += u64::from(is_malicious && is_found);
        }
        score
    }
}

fn minute(at: Timestamp) -> i64 {
    at.as_seconds() / 60
}

/// Bursts of flows with a label: a burst begins with a flow that comes [`BURST_GAP_SECONDS`] and more after the start of
/// the one before, and is detected where a flag about a flood goes up, or is up, within [`BURST_DELAY_SECONDS`].
fn floods(device: &[&Flow], label: &str, stretches: &[&Stretch]) -> Value {
    let mut starts: Vec<f64> = device
        .iter()
        .filter(|flow| flow.label.as_deref().is_some_and(|of| of.contains(label)))
        .map(|flow| flow.start)
        .collect();
    starts.sort_by(f64::total_cmp);
    let mut bursts: Vec<(f64, f64)> = Vec::new();
    for start in starts {
        match bursts.last_mut() {
            Some((_, last)) if start - *last < BURST_GAP_SECONDS => *last = start,
            _ => bursts.push((start, start)),
        }
    }
    let delay = |burst: &(f64, f64), counts: &dyn Fn(&Stretch) -> bool| {
        let (from, to) = (flows::millis(burst.0), flows::millis(burst.1.max(burst.0 + BURST_DELAY_SECONDS)));
        let first = stretches.iter().filter(|stretch| counts(stretch) && stretch.meets(from, to));
        first.map(|stretch| stretch.from.since(from).as_secs_f64()).min_by(f64::total_cmp)
    };
    let delays = |counts: &dyn Fn(&Stretch) -> bool| -> Vec<f64> {
        bursts.iter().filter_map(|burst| delay(burst, counts)).collect()
    };
    let within = |delays: &[f64]| delays.iter().filter(|delay| **delay <= BURST_DELAY_SECONDS).count() as u64;
    let of_a_flood = delays(&Stretch::is_of_a_flood);
    let by_rule = |rule: Rule| within(&delays(&|stretch: &Stretch| stretch.rule == rule));
    json!({
        "bursts": bursts.len(),
        "detected": within(&of_a_flood),
        "detected_bound": rate(within(&of_a_flood), bursts.len() as u64),
        "max_delay_s": of_a_flood.iter().copied().max_by(f64::total_cmp),
        "never": bursts.len() - of_a_flood.len(),
        "by_rule": {
            "hammering": by_rule(Rule::Hammering),
            "ddos-connections": by_rule(Rule::DdosConnections),
            "ddos-packets": by_rule(Rule::DdosPackets),
        },
    })
}
