//! Reports that are durable before they are counted: in a log that several processes share, from which each report is
//! counted by one of them. So agents are acknowledged while the storage is away.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::id::{AccessKeyId, AccountId};
use crate::monitoring::ledger::RETRY_AFTER;
use crate::monitoring::{MAX_AMOUNT, MAX_REPORT_SAMPLES, Monitoring, Receipt, Report};
use crate::platform::Inner;
use crate::replicas::{WireSample, sample, wire_sample};
use crate::store::StoreError;
use crate::tos::{Signal, Signals};

/// The first byte of every entry.
const FORMAT: u8 = 1;
/// The pause before a report that could not be counted is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How often one is tried whose format is not known: for a minute, in which a process of a later version may take it.
const STRANGE_ATTEMPTS: u32 = 120;

/// A report on its way into a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Names the report: an entry of the same name is the same report.
    pub name: String,
    /// The same for all reports of a source, and as good as evenly spread: reports of one lane are counted in their order.
    pub lane: u64,
    /// The report.
    pub bytes: Vec<u8>,
}

/// A log of reports that are to be counted.
#[async_trait]
pub trait ReportLog: std::fmt::Debug + Send + Sync + 'static {
    /// Makes a report durable, and says whether it was there already, as far as the log remembers.
    async fn append(&self, entry: LogEntry) -> Result<bool, StoreError>;

    /// The reports that wait, in lanes: of each the next comes once the one before it has been counted, by whichever
    /// process. A report that nobody counts comes again.
    fn lanes(&self) -> Vec<BoxStream<'static, Box<dyn LoggedReport>>>;
}

/// A report that waits to be counted.
#[async_trait]
pub trait LoggedReport: Send {
    /// The report, as it was appended.
    fn bytes(&self) -> &[u8];
    /// Says that it is being counted, and is not to be given to another process yet.
    async fn go_on(&self);
    /// Removes it from the log: it has been counted.
    async fn counted(self: Box<Self>);
    /// Removes it from the log and keeps it elsewhere, for somebody to look at: it cannot be counted. Says whether it is
    /// kept.
    async fn set_aside(&self) -> bool;
}

type Id = [u8; 16];

#[derive(Serialize, Deserialize)]
struct Wire {
    agent: Id,
    source: String,
    sequence: u64,
    samples: Vec<(Id, WireSample)>,
    /// The place of a sample, a bit for each signal that was counted, and the counts of those.
    signals: Vec<(usize, u32, Vec<u64>)>,
}

fn encode(agent: AccessKeyId, report: &Report) -> Option<LogEntry> {
    let mut digest = Sha256::new();
    digest.update(agent.bits().to_be_bytes());
    digest.update(report.source.as_str());
    let lane = digest.finalize().iter().take(8).fold(0, |lane, byte| lane << 8 | u64::from(*byte));
    let counted = |(place, signals): &(usize, Signals)| {
        let all = Signal::ALL.into_iter().enumerate();
        let counts = all.filter_map(|(bit, signal)| Some((1_u32 << bit, signals.get(signal)?)));
        let (bits, counts): (Vec<u32>, Vec<u64>) = counts.unzip();
        (*place, bits.into_iter().sum(), counts)
    };
    let wire = Wire {
        agent: agent.bits().to_be_bytes(),
        source: report.source.as_str().to_owned(),
        sequence: report.sequence,
        samples: report.samples.iter().map(|(id, one)| (id.bits().to_be_bytes(), wire_sample(one))).collect(),
        signals: report.signals.iter().map(counted).collect(),
    };
    let bytes = postcard::to_extend(&wire, vec![FORMAT]).ok()?;
    Some(LogEntry { name: format!("{agent}.{}.{}", report.source.as_str(), report.sequence), lane, bytes })
}

fn decode(bytes: &[u8]) -> Option<(AccessKeyId, Report)> {
    let (format, bytes) = bytes.split_first()?;
    if *format != FORMAT {
        return None;
    }
    let wire: Wire = postcard::from_bytes(bytes).ok()?;
    let signals = wire.signals.iter().map(|(place, bits, counts)| {
        let named = Signal::ALL.into_iter().enumerate().filter(|(bit, _)| bits >> bit & 1 != 0);
        let signals = named.zip(counts).fold(Signals::new(), |all, ((_, signal), count)| all.with(signal, *count));
        (*place, signals)
    });
    let report = Report {
        source: wire.source.parse().ok()?,
        sequence: wire.sequence,
        samples: wire
            .samples
            .iter()
            .map(|(id, one)| (AccountId::from_bits(u128::from_be_bytes(*id)), sample(one)))
            .collect(),
        signals: signals.collect(),
    };
    let is_whole = (1..=MAX_AMOUNT).contains(&report.sequence)
        && report.samples.len() <= MAX_REPORT_SAMPLES
        && report.signals.iter().all(|(place, _)| *place < report.samples.len());
    is_whole.then(|| (AccessKeyId::from_bits(u128::from_be_bytes(wire.agent)), report))
}

impl Inner {
    /// Makes a report durable in the log. It is counted a moment later, or once the storage is there again.
    pub(super) async fn log(&self, log: &dyn ReportLog, agent: AccessKeyId, report: &Report) -> Result<Receipt, Error> {
        for (account, _) in report.by_account() {
            // Known here, whatever of it has changed since: what is counted of one that is gone is dropped.
            if self.metering.is_resident(account) || self.directory.has_heard_of(account) {
                continue;
            }
            // Where the storage cannot say, it is found out when it is counted.
            if let Err(error @ Error::NotFound { .. }) = self.entry(account).await {
                return Err(error);
            }
        }
        let entry = encode(agent, report).ok_or(Error::Internal { what: "a report could not be written" })?;
        let is_duplicate = log.append(entry).await.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "the log takes no reports");
            Error::Busy { retry_after: RETRY_AFTER }
        })?;
        Ok(Receipt { sequence: report.sequence, is_duplicate, samples: report.samples.len() })
    }
}

/// Counts what is logged, for as long as the platform is there.
pub(crate) fn count_logged(inner: &Arc<Inner>, log: &dyn ReportLog) {
    for lane in log.lanes() {
        tokio::spawn(count_lane(Arc::downgrade(inner), lane));
    }
}

async fn count_lane(platform: Weak<Inner>, mut lane: BoxStream<'static, Box<dyn LoggedReport>>) {
    while let Some(logged) = lane.next().await {
        let mut attempts = 0;
        loop {
            let Some(inner) = platform.upgrade() else { return };
            let fault = match decode(logged.bytes()) {
                Some((agent, report)) => Monitoring(&inner).count(agent, report, false).await.err(),
                None => Some(Error::Internal { what: "a logged report is of a format that is not known" }),
            };
            drop(inner);
            let Some(error) = fault else {
                logged.counted().await;
                break;
            };
            attempts += 1;
            // What will be refused again is not let keep all others waiting. It was acknowledged, and is kept.
            let is_strange = attempts > STRANGE_ATTEMPTS && decode(logged.bytes()).is_none();
            if (is_strange || will_be_refused_again(&error)) && logged.set_aside().await {
                tracing::error!(error = &error as &dyn std::error::Error, "a logged report is set aside");
                break;
            }
            // Once for as long as it lasts.
            if attempts == 1 {
                tracing::warn!(error = &error as &dyn std::error::Error, "a logged report waits to be counted");
            }
            logged.go_on().await;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// Whether it is the report that is refused, and not the moment.
const fn will_be_refused_again(error: &Error) -> bool {
    matches!(error, Error::Conflict { .. } | Error::InvalidInput { .. } | Error::NotFound { .. } | Error::Forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitoring::{Counter, Level, Sample};
    use crate::time::Timestamp;

    #[test]
    fn a_report_is_read_as_it_was_logged_and_one_source_has_one_lane() {
        let at = Timestamp::from_millis(1_700_000_000_000);
        let report = |source: &str, sequence| Report {
            source: source.parse().unwrap(),
            sequence,
            samples: vec![
                (AccountId::from_bits(7), Sample::at(at).with_level(Level::RamBytes, 5)),
                (AccountId::from_bits(8), Sample::at(at).with_added(Counter::ApiCalls, 3)),
            ],
            signals: vec![(1, Signals::new().with(Signal::PacketsSent, 9).with(Signal::FailedLoginNames, 0))],
        };
        let agent = AccessKeyId::from_bits(1 << 99 | 3);
        let entry = encode(agent, &report("web", 17)).unwrap();
        let (known, read) = decode(&entry.bytes).unwrap();
        let sent = report("web", 17);
        assert_eq!((known, read.source, read.sequence), (agent, sent.source, sent.sequence));
        assert_eq!((read.samples, read.signals), (sent.samples, sent.signals));
        let [next, other] = [report("web", 18), report("db", 17)].map(|report| encode(agent, &report).unwrap());
        assert_eq!(next.lane, entry.lane);
        assert_ne!(other.lane, entry.lane);
        assert_ne!(next.name, entry.name);
        for broken in [&[][..], &[FORMAT], &[FORMAT + 1, 0], &entry.bytes[..20]] {
            assert!(decode(broken).is_none());
        }
    }
}
