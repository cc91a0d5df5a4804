//! Overlays: one real series laid over another at a seeded place, as if an attack ran on a tenant that goes on working.
//!
//! Every positive here is synthetic: both series are real, their meeting is not. A processor stretch of a busy machine on
//! another machine is more than that one was sold; a stretch of flat processor use is what a miner would add; a run of
//! ransomware adds its reads and writes, second by second, to those of a tenant.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use dimensionos_core::monitoring::{Level, Sample};
use dimensionos_core::tos::detectors::RansomwareParameters;
use dimensionos_core::tos::{Flag, Rule, Signal};
use serde_json::json;

use crate::bitbrains::{Host, Observation, machines_of};
use crate::ransap;
use crate::report::{Report, put};
use crate::statistics::{median, rate};

const SEED: u64 = 0x0dec_0de5;
/// How many overlays of machines are made.
const PAIRS: usize = 60;
/// How many samples of five minutes an excess lasts: six hours.
const EXCESS: usize = 72;
/// The same of flat processor use: 26 hours, one to find the hour and one to spare.
const FLAT: usize = 312;
/// How much of a tenant comes before, so that nothing is judged that begins with the attack.
const BEFORE: usize = 288;

/// Takes the folder of machines; the runs of ransomware are looked for beside it.
pub(crate) fn evaluate(folder: &Path, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let machines = machines_of(folder)?;
    put(report, "overlays.synthetic", true)?;
    excess(&machines, report)?;
    flat(&machines, report)?;
    let runs = folder.with_file_name("ransap");
    if runs.is_dir() { ransomware(&machines, &runs, report) } else { Ok(()) }
}

/// A machine's stretch on another that it is too much for, on the average, by half of what that one was sold.
fn excess(machines: &[Vec<Observation>], report: &mut Report) -> Result<(), Box<dyn Error>> {
    let mut chance = Chance(SEED);
    let (mut found, mut made, mut delays) = (0, 0, Vec::new());
    for _ in 0..PAIRS * 20 {
        let Some((host, stretch)) = chance.pair(machines, EXCESS) else { continue };
        let limit = limit(&host[BEFORE]);
        let use_of = |sample: &Sample| sample.level(Level::CpuMillicores).unwrap_or(0);
        let sum: u64 = stretch.iter().map(|observation| use_of(&observation.sample)).sum();
        if made == PAIRS as u64 || limit == 0 || sum < limit * 3 / 2 * EXCESS as u64 {
            continue;
        }
        let flags = laid_over(host, stretch, |_, cpu, added| cpu + added);
        let first = flags.iter().find(|flag| {
            matches!(flag.rule, Rule::ExcessQuarterHour | Rule::ExcessSixHours | Rule::ExcessDay | Rule::HardCap)
        });
        made += 1;
        found += u64::from(first.is_some());
        delays.extend(first.map(|flag| flag.at.since(host[BEFORE].sample.taken_at()).as_secs_f64()));
    }
    put(report, "overlays.excess", rate(found, made))?;
    put(report, "overlays.excess_median_delay_s", json!(median(delays)))
}

/// Flat processor use at the limit, as the busiest real machines have it, on another machine, held to what that one has.
fn flat(machines: &[Vec<Observation>], report: &mut Report) -> Result<(), Box<dyn Error>> {
    let mut chance = Chance(SEED + 1);
    let (mut found, mut made) = (0, 0);
    for _ in 0..PAIRS * 200 {
        let Some((host, stretch)) = chance.pair(machines, FLAT) else { continue };
        let is_flat = |observation: &Observation| {
            let used = observation.sample.level(Level::CpuMillicores).unwrap_or(0);
            used * 100 >= limit(observation) * 93 && limit(observation) > 0
        };
        if made == PAIRS as u64 || limit(&host[BEFORE]) == 0 || !stretch.iter().all(is_flat) {
            continue;
        }
        let of = limit(&stretch[0]);
        let flags = laid_over(host, stretch, |limit, cpu, added| (cpu + added * limit / of).min(limit));
        made += 1;
        found += u64::from(flags.iter().any(|flag| flag.rule == Rule::Mining));
    }
    put(report, "overlays.mining", rate(found, made))
}

/// The flags of a host from where a stretch is laid over it on, with disk and network added up, and the processor as
/// `join` makes it of the host's limit and both uses.
fn laid_over(host: &[Observation], stretch: &[Observation], join: impl Fn(u64, u64, u64) -> u64) -> Vec<Flag> {
    let (mut detectors, mut flags) = (Host::default(), Vec::new());
    host[..BEFORE].iter().for_each(|observation| detectors.observe(observation, &mut flags));
    flags.clear();
    for (own, added) in host[BEFORE..].iter().zip(stretch) {
        let mut both = own.clone();
        for (counter, amount) in dimensionos_core::monitoring::Counter::ALL
            .into_iter()
            .filter_map(|counter| Some((counter, added.sample.added(counter)?)))
        {
            both.sample.add(counter, amount);
        }
        for (signal, amount) in Signal::ALL.into_iter().filter_map(|signal| Some((signal, added.signals.get(signal)?)))
        {
            both.signals.add(signal, amount);
        }
        let cpu = |observation: &Observation| observation.sample.level(Level::CpuMillicores).unwrap_or(0);
        both.sample.set_level(Level::CpuMillicores, join(limit(own), cpu(own), cpu(added)));
        detectors.observe(&both, &mut flags);
    }
    flags
}

/// Every run over a machine at a seeded place, the machine's reads and writes spread evenly over its seconds.
fn ransomware(machines: &[Vec<Observation>], folder: &Path, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let mut chance = Chance(SEED + 2);
    let (mut seen, mut unseen, mut benign) = ((0, 0), (0, 0), (0, 0));
    let parameters = RansomwareParameters::default();
    for place in ransap::places(folder)? {
        let run = ransap::read(&place)?;
        let Some(first) = run.seconds.first() else { continue };
        let sees_writes = first.1.get(Signal::BytesWritten).is_some();
        let Some((host, _)) = chance.pair(machines, 0) else { continue };
        let step = host[1].sample.taken_at().since(host[0].sample.taken_at()).max(Duration::from_secs(1)).as_secs();
        let mut seconds = run.seconds.clone();
        for (_, counts) in &mut seconds {
            for signal in [Signal::BytesRead, Signal::BytesWritten] {
                counts.add(signal, host[1].signals.get(signal).unwrap_or(0) / step);
            }
        }
        let is_flagged = u64::from(!ransap::flags(&seconds, &parameters).is_empty());
        let count = match (run.is_ransomware, sees_writes) {
            (false, _) => &mut benign,
            (true, true) => &mut seen,
            (true, false) => &mut unseen,
        };
        *count = (count.0 + is_flagged, count.1 + 1);
    }
    put(report, "overlays.ransomware_writes_recorded", rate(seen.0, seen.1))?;
    // The tenant's writes are seen and the attack's are not in the set: all that is left is reads beside innocent writes.
    put(report, "overlays.ransomware_writes_missing", rate(unseen.0, unseen.1))?;
    put(report, "overlays.benign_programs_flagged", rate(benign.0, benign.1))
}

fn limit(observation: &Observation) -> u64 {
    observation.allocation.as_ref().map_or(0, |allocation| allocation.cpu_millicores)
}

/// Repeatable chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % most.max(1)
    }

    /// A host with a day before the place, and as long a stretch of another machine.
    fn pair<'a>(
        &mut self,
        machines: &'a [Vec<Observation>],
        length: usize,
    ) -> Option<(&'a [Observation], &'a [Observation])> {
        let (host, other) = (machines.get(self.below(machines.len()))?, machines.get(self.below(machines.len()))?);
        let from = self.below(host.len().checked_sub(BEFORE + length + 2)?);
        let begin = self.below(other.len().checked_sub(length)?);
        Some((&host[from..from + BEFORE + length + 2], &other[begin..begin + length]))
    }
}
