//! Attempts at passwords over SSH (after Zhu et al., ISSRE 2023): source, account and outcome, as numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;

use dimensionos_core::Timestamp;
use dimensionos_core::tos::detectors::{SignIn, SignInParameters, SignIns, Subject};
use dimensionos_core::tos::{Finding, Rule, Severity};
use serde_json::{Map, Value, json};

use crate::statistics::rate;

/// Room for sources: as many as a small service would keep.
const SOURCES: usize = 1_024;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[derive(Debug, Clone, Copy)]
struct Attempt {
    at: Timestamp,
    sign_in: SignIn,
}

/// Puts `ssh` into the report: which part of the failed attempts comes after their source's first flag, which is what an
/// operator who acts on flags keeps out.
pub(crate) fn evaluate(folder: &Path, report: &mut Map<String, Value>) -> Result<(), Box<dyn Error>> {
    let mut attempts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            attempts.extend(read(&fs::read_to_string(path)?)?);
        }
    }
    let all = Outcome::of(&attempts, |_| true);
    let mut ssh = Map::new();
    ssh.insert("after_flag".into(), json!(all.share()));
    ssh.insert("after_flag_bound".into(), rate(all.after, all.failed));
    ssh.insert("sources".into(), json!(all.sources));
    ssh.insert("flagged".into(), json!(all.flagged));
    ssh.insert("legitimate_restricted".into(), json!(all.legitimate_restricted));
    ssh.insert("legitimate_warned".into(), json!(all.legitimate_warned));
    ssh.insert("legitimate".into(), json!(all.legitimate));
    ssh.insert("service_raised".into(), json!(all.service_raised));
    for rule in [Rule::StuffingFailures, Rule::StuffingNames] {
        let alone = Outcome::of(&attempts, |of| of == rule);
        let share = json!({"alone_after_flag": alone.share(), "alone_flagged": alone.flagged});
        ssh.insert(format!("ablation.{}", rule.name()), share);
    }
    let (first, second) = attempts.split_at(attempts.len() / 2);
    for (name, half) in [("first_half", first), ("second_half", second)] {
        let of = Outcome::of(half, |_| true);
        ssh.insert(format!("{name}.after_flag"), json!(of.share()));
        ssh.insert(format!("{name}.failed"), json!(of.failed));
    }
    report.insert("ssh".into(), ssh.into());
    Ok(())
}

#[derive(Debug, Default)]
struct Outcome {
    failed: u64,
    after: u64,
    sources: usize,
    flagged: usize,
    legitimate: usize,
    legitimate_warned: usize,
    legitimate_restricted: usize,
    service_raised: u64,
}

impl Outcome {
    fn of(attempts: &[Attempt], counts: impl Fn(Rule) -> bool) -> Self {
        let mut sign_ins = SignIns::new(SOURCES);
        let mut flagged: BTreeMap<u64, Severity> = BTreeMap::new();
        let mut outcome = Self::default();
        for attempt in attempts {
            if !attempt.sign_in.has_succeeded {
                outcome.failed += 1;
                outcome.after += u64::from(flagged.contains_key(&attempt.sign_in.source));
            }
            sign_ins.take(attempt.at, &attempt.sign_in, &SignInParameters::default(), &mut |subject, finding| {
                let Finding::Raised(flag) = finding else { return };
                match subject {
                    Subject::Source(source) if counts(flag.rule) => {
                        let worst = flagged.entry(source).or_insert(flag.severity);
                        *worst = flag.severity.max(*worst);
                    }
                    Subject::Source(_) => {}
                    Subject::Service => outcome.service_raised += 1,
                }
            });
        }
        let sources: BTreeSet<u64> = attempts.iter().map(|attempt| attempt.sign_in.source).collect();
        let succeeded = attempts.iter().filter(|attempt| attempt.sign_in.has_succeeded);
        let legitimate: BTreeSet<u64> = succeeded.map(|attempt| attempt.sign_in.source).collect();
        let worst = |severity| legitimate.iter().filter(|source| flagged.get(source) == Some(&severity)).count();
        outcome.sources = sources.len();
        outcome.flagged = flagged.len();
        outcome.legitimate_warned = worst(Severity::Warn);
        outcome.legitimate_restricted = worst(Severity::Restrict);
        outcome.legitimate = legitimate.len();
        outcome
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of attempts")]
    fn share(&self) -> Option<f64> {
        (self.failed > 0).then(|| self.after as f64 / self.failed as f64)
    }
}

/// Lines of `time,source,account,outcome`, the time as syslog writes it, without a year.
fn read(text: &str) -> Result<Vec<Attempt>, Box<dyn Error>> {
    let mut attempts: Vec<Attempt> = Vec::new();
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        attempts.push(attempt(line).ok_or_else(|| format!("no attempt: {line}"))?);
    }
    Ok(attempts)
}

fn attempt(line: &str) -> Option<Attempt> {
    let mut fields = line.split(',');
    let mut time = fields.next()?.split_ascii_whitespace();
    let month = time.next()?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let day: i64 = time.next()?.parse().ok()?;
    let mut seconds = 0;
    for part in time.next()?.split(':') {
        seconds = seconds * 60 + part.parse::<i64>().ok()?;
    }
    // Months of 31 days keep the order and every difference within one; a log that runs into another has a day more.
    let days = i64::try_from(month).ok()? * 31 + day;
    Some(Attempt {
        at: Timestamp::from_millis((days * 86_400 + seconds) * 1_000),
        sign_in: SignIn {
            source: fields.next()?.parse().ok()?,
            name: fields.next()?.parse().ok()?,
            has_succeeded: fields.next()? == "ok",
        },
    })
}
