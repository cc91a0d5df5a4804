//! RanSAP: what ransomware and ordinary programs read and write on a disk, a run at a time.
//!
//! Reads and writes by place and size alone; the columns on how random the written bytes were come from content and are
//! not parsed. Where a run has no trace of writes, nobody saw any, and the detector is told so.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use dimensionos_core::Timestamp;
use dimensionos_core::allocation::{Allocation, TierName};
use dimensionos_core::tos::detectors::{BlockAccess, Ransomware, RansomwareParameters};
use dimensionos_core::tos::{Finding, Flag, Rule, Signal, Signals};
use serde_json::{Value, json};

use crate::report::{Report, put};
use crate::statistics::{median, rate};

/// What ran where no ransomware did, by the names the set gives its folders. Takes part in the score alone.
const BENIGN: [&str; 6] = ["AESCrypt", "Excel", "Firefox", "Idle", "SDelete", "Zip"];
const SECTOR_BYTES: u64 = 512;

/// One run: what was counted of its disk in each second.
pub(crate) struct Run {
    pub(crate) family: String,
    pub(crate) is_ransomware: bool,
    pub(crate) seconds: Vec<(Timestamp, Signals)>,
}

/// One access of a disk.
struct Access {
    millis: i64,
    is_write: bool,
    first: u64,
    bytes: u64,
}

pub(crate) fn evaluate(folder: &Path, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let parameters = RansomwareParameters::default();
    let (mut found, mut ransomware, mut flagged, mut benign) = (0, 0, 0, 0);
    let (mut families, mut rules) = (BTreeMap::<String, (u64, u64)>::new(), BTreeMap::<String, (u64, u64)>::new());
    let mut delays = Vec::new();
    for place in places(folder)? {
        let run = read(&place)?;
        let flags = flags(&run.seconds, &parameters);
        let is_flagged = u64::from(!flags.is_empty());
        let family = families.entry(run.family.clone()).or_default();
        *family = (family.0 + is_flagged, family.1 + 1);
        for rule in [Rule::RansomwareBlocks, Rule::RansomwareReads] {
            let has = u64::from(flags.iter().any(|flag| flag.rule == rule));
            let count = rules.entry(rule.name().to_owned()).or_default();
            if run.is_ransomware { count.0 += has } else { count.1 += has }
        }
        if run.is_ransomware {
            (found, ransomware) = (found + is_flagged, ransomware + 1);
            let begin = run.seconds.first().map_or(Timestamp::EPOCH, |(at, _)| *at);
            delays.extend(flags.first().map(|flag| flag.at.since(begin).as_secs_f64()));
        } else {
            (flagged, benign) = (flagged + is_flagged, benign + 1);
        }
    }
    put(report, "ransap.recall", share(found, ransomware))?;
    put(report, "ransap.recall_bound", rate(found, ransomware))?;
    put(report, "ransap.benign_flagged", flagged)?;
    put(report, "ransap.benign_flagged_bound", rate(flagged, benign))?;
    put(report, "ransap.median_delay_s", json!(median(delays)))?;
    for (family, (flagged, runs)) in families {
        put(report, &format!("ransap.families.{family}"), rate(flagged, runs))?;
    }
    for (rule, (ransomware_flagged, benign_flagged)) in rules {
        let alone = json!({"recall": rate(ransomware_flagged, ransomware), "benign": rate(benign_flagged, benign)});
        put(report, &format!("ransap.rules.{rule}"), alone)?;
    }
    Ok(())
}

/// Every flag of a run, in order.
pub(crate) fn flags(seconds: &[(Timestamp, Signals)], parameters: &RansomwareParameters) -> Vec<Flag> {
    let (mut detector, mut flags) = (Ransomware::default(), Vec::new());
    let allocation = Allocation::initial(TierName::Free);
    for (at, signals) in seconds {
        detector.observe(*at, None, signals, &allocation, parameters, &mut |finding| {
            if let Finding::Raised(flag) = finding {
                flags.push(flag);
            }
        });
    }
    flags
}

/// The folders that hold a run, in the order of their names.
pub(crate) fn places(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut places = Vec::new();
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    if entries.iter().any(|entry| entry.file_name().to_string_lossy().starts_with("ata_")) {
        places.push(folder.to_owned());
    }
    for entry in entries {
        if entry.file_type()?.is_dir() {
            places.extend(self::places(&entry.path())?);
        }
    }
    Ok(places)
}

/// Counts a run second by second, as a machine that carries the disk would.
pub(crate) fn read(place: &Path) -> Result<Run, Box<dyn Error>> {
    let family = place.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let (reads, writes) = (trace(place, "ata_read.csv", false)?, trace(place, "ata_write.csv", true)?);
    let sees = [(Signal::BytesRead, reads.is_some()), (Signal::BytesWritten, writes.is_some())];
    let mut accesses: Vec<_> = reads.into_iter().chain(writes).flatten().collect();
    accesses.sort_by_key(|access| access.millis);
    let mut salt = salts(0x05eed);
    let mut disk = BlockAccess::new(&mut salt);
    let mut seconds = Vec::new();
    let mut accesses = accesses.into_iter().peekable();
    let mut end = accesses.peek().map_or(0, |access| (access.millis / 1_000 + 1) * 1_000);
    while accesses.peek().is_some() {
        while let Some(access) = accesses.next_if(|access| access.millis < end) {
            let at = Timestamp::from_millis(access.millis);
            if access.is_write {
                disk.write(at, access.first, access.bytes, &mut salt);
            } else {
                disk.read(at, access.first, access.bytes, &mut salt);
            }
        }
        let mut counts = disk.take();
        sees.iter().filter(|(_, is_seen)| *is_seen).for_each(|(signal, _)| counts.add(*signal, 0));
        seconds.push((Timestamp::from_millis(end), counts));
        end += 1_000;
    }
    let is_ransomware = !BENIGN.contains(&family.as_str());
    Ok(Run { family, is_ransomware, seconds })
}

/// The accesses of one trace; absent where there is none.
fn trace(place: &Path, name: &str, is_write: bool) -> Result<Option<Vec<Access>>, Box<dyn Error>> {
    let mut text = String::new();
    let (packed, plain) = (place.join(format!("{name}.xz")), place.join(name));
    if packed.is_file() {
        let mut bytes = Vec::new();
        lzma_rs::xz_decompress(&mut BufReader::new(File::open(packed)?), &mut bytes)?;
        text = String::from_utf8(bytes)?;
    } else if plain.is_file() {
        File::open(plain)?.read_to_string(&mut text)?;
    } else {
        return Ok(None);
    }
    let accesses = text.lines().filter_map(|line| {
        let mut fields = line.split(',');
        let mut number = || fields.next()?.trim().parse::<u64>().ok();
        let (second, nanosecond, sector, bytes) = (number()?, number()?, number()?, number()?);
        let millis = i64::try_from(second * 1_000 + nanosecond / 1_000_000).ok()?;
        Some(Access { millis, is_write, first: sector * SECTOR_BYTES, bytes })
    });
    Ok(Some(accesses.collect()))
}

/// Salts that are the same in every run of this program.
fn salts(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state
    }
}

/// A share as a plain number; of nothing there is none.
#[expect(clippy::cast_precision_loss, reason = "counts of runs")]
pub(crate) fn share(count: u64, of: u64) -> Value {
    if of == 0 { Value::Null } else { json!(count as f64 / of as f64) }
}
