//! CollegeMsg: who wrote to whom and when, among the people of one college: every flag is a false one.
//!
//! The first message to somebody is one to a new recipient; the first message back is an answer, and is counted for
//! whoever is answered at the instant it is sent. Nobody counts what bounces there.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fs;
use std::path::Path;

use dimensionos_core::Timestamp;
use dimensionos_core::tos::detectors::{Spam, SpamParameters};
use dimensionos_core::tos::{Finding, Severity, Signal, Signals};
use serde_json::json;

use crate::report::{Report, put};
use crate::statistics::{frequency, rate};

const DAY_SECONDS: i64 = 86_400;

pub(crate) fn evaluate(folder: &Path, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let parameters = SpamParameters::default();
    let mut senders = HashMap::<u32, Spam>::new();
    let (mut written, mut days) = (HashSet::new(), HashSet::new());
    let (mut restricted, mut warned, mut flagged) = (0, 0, HashSet::new());
    for (sender, recipient, second) in messages(folder)? {
        let at = Timestamp::from_millis(second * 1_000);
        days.insert((sender, second / DAY_SECONDS));
        let is_new = written.insert((sender, recipient));
        let mut observe = |account: u32, signals: Signals| {
            senders.entry(account).or_default().observe(at, &signals, &parameters, &mut |finding| {
                if let Finding::Raised(flag) = finding {
                    restricted += u64::from(flag.severity == Severity::Restrict);
                    warned += u64::from(flag.severity == Severity::Warn);
                    flagged.insert(account);
                }
            });
        };
        let sent = Signals::new().with(Signal::MessagesSent, 1).with(Signal::NewRecipients, u64::from(is_new));
        observe(sender, sent.with(Signal::MessagesAnswered, 0));
        if is_new && written.contains(&(recipient, sender)) {
            observe(recipient, Signals::new().with(Signal::MessagesAnswered, 1));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of days")]
    let days = days.len() as f64;
    put(report, "benign.collegemsg_restrict", restricted)?;
    put(report, "benign.collegemsg_warn", warned)?;
    put(report, "benign.collegemsg_flagged_bound", rate(flagged.len() as u64, senders.len() as u64))?;
    put(report, "benign.collegemsg_raises_per_user_day", frequency(restricted + warned, days))?;
    put(report, "benign.collegemsg_user_days", json!(days))
}

/// Who wrote, to whom, and when, in seconds.
type Message = (u32, u32, i64);

/// Every message of every file of the folder, in the order of time.
fn messages(folder: &Path) -> Result<Vec<Message>, Box<dyn Error>> {
    let mut messages = Vec::new();
    for entry in fs::read_dir(folder)? {
        let place = entry?.path();
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "SOURCE.txt" || place.extension().is_none_or(|kind| kind != "txt") {
            continue;
        }
        let text = fs::read_to_string(place)?;
        messages.extend(text.lines().filter_map(|line| {
            let mut fields = line.split_whitespace();
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        }));
    }
    messages.sort_by_key(|(_, _, second)| *second);
    Ok(messages)
}
