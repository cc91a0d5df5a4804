//! A day of a small network: background, which has nothing in it that ought to be restricted.

use std::error::Error;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;

use dimensionos_core::tos::Severity;
use dimensionos_core::tos::detectors::NetworkParameters;
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value, json};

use crate::flows::{self, Flow};
use crate::statistics::frequency;

/// Puts the local hosts' flags into `benign`. Who scans the network from outside is nobody's account.
pub(crate) fn evaluate(folder: &Path, report: &mut Map<String, Value>) -> Result<(), Box<dyn Error>> {
    let mut flows = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "gz") {
            flows.extend(flows::read(MultiGzDecoder::new(File::open(path)?))?);
        }
    }
    let accounts = flows::watch(&flows, NetworkParameters::default(), is_local);
    let count = |severity| accounts.values().map(|account| account.count(severity)).sum::<u64>();
    let opened = flows.iter().filter(|flow| is_local(flow)).count();
    let days = user_days(&flows);
    report.insert(
        "benign".into(),
        json!({
            "zeek_restrict": count(Severity::Restrict),
            "zeek_warn": count(Severity::Warn),
            "zeek_hosts": accounts.len(),
            "zeek_connections": opened,
            "zeek_restrict_per_user_day": frequency(count(Severity::Restrict), days),
            "zeek_warn_per_user_day": frequency(count(Severity::Warn), days),
        }),
    );
    Ok(())
}

/// A host of this side: the log says so, or its address is a private one.
fn is_local(flow: &Flow) -> bool {
    flow.is_local || flow.from.parse().is_ok_and(|address: Ipv4Addr| address.is_private())
}

/// Days of each host on which it opened a connection.
fn user_days(flows: &[Flow]) -> f64 {
    let mut days: Vec<(&str, i64)> = flows
        .iter()
        .filter(|flow| is_local(flow))
        .map(|flow| (flow.from.as_str(), flow.end().as_seconds() / 86_400))
        .collect();
    days.sort_unstable();
    days.dedup();
    u32::try_from(days.len()).map_or(f64::NAN, f64::from)
}
