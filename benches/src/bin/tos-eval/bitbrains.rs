//! Bitbrains: a month of machines of paying customers, all of them benign: every flag is a false one.
//!
//! A machine's tier is what it was provisioned with. Memory is provisioned in steps while a machine starts, so its tier
//! is the largest it had so far, and is known once it has run for an hour.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use dimensionos_core::Timestamp;
use dimensionos_core::allocation::{Allocation, TierName};
use dimensionos_core::monitoring::{Counter, Level, Sample};
use dimensionos_core::tos::detectors::{
    Mining, MiningParameters, Ransomware, RansomwareParameters, ResourceExcess, ResourceExcessParameters,
};
use dimensionos_core::tos::{Finding, Flag, Severity, Signal, Signals};
use flate2::read::GzDecoder;
use serde_json::json;

use crate::ransap::share;
use crate::report::{Report, put};
use crate::statistics::{frequency, rate};

/// How long a machine has to run before its tier is known.
const STARTING: Duration = Duration::from_secs(3_600);
/// The longest time that a rate of bytes is taken to have lasted.
const LONGEST_STEP: Duration = Duration::from_secs(600);
/// What the first sample, which has none before it, is taken to cover: the set's usual step.
const USUAL_STEP: Duration = Duration::from_secs(300);

/// A sample, what was read and written meanwhile, and the tier, where it is known.
#[derive(Clone)]
pub(crate) struct Observation {
    pub(crate) sample: Sample,
    pub(crate) signals: Signals,
    pub(crate) allocation: Option<Allocation>,
}

pub(crate) fn evaluate(folder: &Path, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let (mut machines, mut warned, mut restricted) = (0, 0, 0);
    let (mut raises, mut days) = (0, 0.0);
    let mut rules = BTreeMap::<&str, u64>::new();
    for observations in machines_of(folder)? {
        let flags = Host::default().flags(&observations);
        machines += 1;
        warned += u64::from(flags.iter().any(|flag| flag.severity == Severity::Warn));
        restricted += flags.iter().filter(|flag| flag.severity == Severity::Restrict).count() as u64;
        raises += flags.len() as u64;
        flags.iter().for_each(|flag| *rules.entry(flag.rule.name()).or_default() += 1);
        if let (Some(first), Some(last)) = (observations.first(), observations.last()) {
            days += last.sample.taken_at().since(first.sample.taken_at()).as_secs_f64() / 86_400.0;
        }
    }
    put(report, "benign.bitbrains_restrict", restricted)?;
    put(report, "benign.warn_vm_month_rate", share(warned, machines))?;
    put(report, "benign.warn_vm_month_rate_bound", rate(warned, machines))?;
    put(report, "benign.bitbrains_raises_per_user_day", frequency(raises, days))?;
    put(report, "benign.bitbrains_raises_by_rule", json!(rules))
}

/// Every detector of what a host sees, for one account.
#[derive(Default)]
pub(crate) struct Host {
    resources: ResourceExcess,
    mining: Mining,
    ransomware: Ransomware,
}

impl Host {
    pub(crate) fn observe(&mut self, observation: &Observation, flags: &mut Vec<Flag>) {
        let Observation { sample, signals, allocation: Some(allocation) } = observation else { return };
        let mut sink = |finding| {
            if let Finding::Raised(flag) = finding {
                flags.push(flag);
            }
        };
        let at = sample.taken_at();
        self.resources.observe(sample, allocation, &ResourceExcessParameters::default(), &mut sink);
        self.mining.observe(sample, signals, allocation, &MiningParameters::default(), &mut sink);
        let parameters = RansomwareParameters::default();
        self.ransomware.observe(at, Some(sample), signals, allocation, &parameters, &mut sink);
    }

    pub(crate) fn flags(&mut self, observations: &[Observation]) -> Vec<Flag> {
        let mut flags = Vec::new();
        observations.iter().for_each(|observation| self.observe(observation, &mut flags));
        flags
    }
}

/// Every machine's month, in the order of the files' names, which nothing else is done with.
pub(crate) fn machines_of(folder: &Path) -> Result<Vec<Vec<Observation>>, Box<dyn Error>> {
    let mut places: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, Box<dyn Error>>>()?;
    places.sort();
    let mut machines = Vec::new();
    for place in places {
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut text = String::new();
        if name.ends_with(".csv.gz") {
            GzDecoder::new(File::open(&place)?).read_to_string(&mut text)?;
        } else if place.extension().is_some_and(|extension| extension == "csv") {
            File::open(&place)?.read_to_string(&mut text)?;
        } else {
            continue;
        }
        machines.push(observations(&text));
    }
    Ok(machines)
}

fn observations(text: &str) -> Vec<Observation> {
    let mut machine = Machine::default();
    text.lines().filter_map(|line| machine.observation(line)).collect()
}

/// What is known of a machine by the sample before.
#[derive(Default)]
struct Machine {
    started: Option<Timestamp>,
    last: Option<Timestamp>,
    millicores: u64,
    megabytes: u64,
}

impl Machine {
    /// Reads a line; absent where it holds no sample, such as the heading.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures of a meter, none below zero")]
    fn observation(&mut self, line: &str) -> Option<Observation> {
        let fields: Vec<f64> = line.split(';').map(|field| field.trim().parse().ok()).collect::<Option<_>>()?;
        let [at, cores, capacity, used, _, provisioned, memory, read, written, received, sent, ..] = fields[..] else {
            return None;
        };
        let at = Timestamp::from_millis((at * 1_000.0) as i64);
        let step = self.last.map_or(USUAL_STEP, |last| at.since(last).min(LONGEST_STEP)).as_secs_f64();
        self.last = Some(at);
        // A machine without processors is not there.
        if cores > 0.0 {
            self.started.get_or_insert(at);
        }
        self.millicores = self.millicores.max((cores * 1_000.0) as u64);
        self.megabytes = self.megabytes.max((provisioned / 1_024.0).ceil() as u64);
        let is_known = self.started.is_some_and(|started| at.since(started) >= STARTING);
        let allocation = is_known.then(|| Allocation {
            cpu_millicores: self.millicores,
            ram_megabytes: self.megabytes,
            ..Allocation::initial(TierName::Enterprise)
        });
        let share = if capacity > 0.0 { used / capacity } else { 0.0 };
        let bytes = |kilobytes: f64| (kilobytes * 1_000.0 * step) as u64;
        let sample = Sample::at(at)
            .with_level(Level::CpuMillicores, (share * cores * 1_000.0) as u64)
            .with_level(Level::RamBytes, (memory * 1_024.0) as u64)
            .with_added(Counter::BytesReceived, bytes(received))
            .with_added(Counter::BytesSent, bytes(sent));
        let signals = Signals::new().with(Signal::BytesRead, bytes(read)).with(Signal::BytesWritten, bytes(written));
        Some(Observation { sample, signals, allocation })
    }
}
