use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use dimensionos_core::monitoring::{self, Counter, Level, Report, Sample};
use dimensionos_core::tos::{Signal, Signals};
use dimensionos_core::{AccountId, Error, Timestamp};

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::{DateTime, UInt53};

/// What one source measured. Levels are readings of now; increments are what was added since this source's last report.
#[derive(InputObject)]
pub struct UsageSampleInput {
    /// Whose usage.
    account: ID,
    /// When it was measured: at most 31 days ago, at most 5 minutes ahead; now when left out.
    at: Option<DateTime>,
    /// Processor in use, in thousandths of a core.
    cpu_millicores: Option<UInt53>,
    /// Memory in use.
    ram_bytes: Option<UInt53>,
    /// Storage in use.
    storage_bytes: Option<UInt53>,
    /// Files stored.
    file_count: Option<UInt53>,
    /// Network connections open.
    connections: Option<UInt53>,
    /// Database tables.
    table_count: Option<UInt53>,
    /// Database records.
    record_count: Option<UInt53>,
    /// Processor time spent, in microseconds of one core.
    cpu_microseconds: Option<UInt53>,
    /// Bytes sent over the network.
    bytes_sent: Option<UInt53>,
    /// Bytes received over the network.
    bytes_received: Option<UInt53>,
    /// Database queries answered.
    database_queries: Option<UInt53>,
    /// API calls served.
    api_calls: Option<UInt53>,
    /// File operations done.
    file_operations: Option<UInt53>,
    /// Packets sent.
    packets_sent: Option<UInt53>,
    /// Packets received.
    packets_received: Option<UInt53>,
    /// Connections opened to others.
    outbound_connections: Option<UInt53>,
    /// Of these, how many nobody took or were refused.
    failed_connections: Option<UInt53>,
    /// How many different peers, not which.
    distinct_peers: Option<UInt53>,
    /// Bytes read from storage.
    bytes_read: Option<UInt53>,
    /// Bytes written to storage.
    bytes_written: Option<UInt53>,
    /// Files written over.
    files_overwritten: Option<UInt53>,
    /// Files renamed.
    files_renamed: Option<UInt53>,
    /// Files deleted.
    files_deleted: Option<UInt53>,
    /// Messages sent.
    messages_sent: Option<UInt53>,
    /// Recipients who had never been written to before.
    new_recipients: Option<UInt53>,
    /// Messages that came back.
    messages_bounced: Option<UInt53>,
    /// Messages that were answered.
    messages_answered: Option<UInt53>,
    /// Sign-ins that failed.
    failed_logins: Option<UInt53>,
    /// How many different sign-in names the failures were for.
    failed_login_names: Option<UInt53>,
}

impl UsageSampleInput {
    fn parse(&self, now: Timestamp) -> Result<(AccountId, Sample, Signals), Error> {
        let account = self.account.parse();
        let account =
            account.map_err(|_| Error::InvalidInput { field: "account", reason: "not an account id".to_owned() })?;
        let mut sample = Sample::at(self.at.map_or(now, |at| at.0));
        for (level, value) in [
            (Level::CpuMillicores, self.cpu_millicores),
            (Level::RamBytes, self.ram_bytes),
            (Level::StorageBytes, self.storage_bytes),
            (Level::FileCount, self.file_count),
            (Level::Connections, self.connections),
            (Level::TableCount, self.table_count),
            (Level::RecordCount, self.record_count),
        ] {
            if let Some(UInt53(value)) = value {
                sample.set_level(level, value);
            }
        }
        for (counter, amount) in [
            (Counter::CpuMicroseconds, self.cpu_microseconds),
            (Counter::BytesSent, self.bytes_sent),
            (Counter::BytesReceived, self.bytes_received),
            (Counter::DatabaseQueries, self.database_queries),
            (Counter::ApiCalls, self.api_calls),
            (Counter::FileOperations, self.file_operations),
        ] {
            if let Some(UInt53(amount)) = amount {
                sample.add(counter, amount);
            }
        }
        Ok((account, sample, self.signals()))
    }

    fn signals(&self) -> Signals {
        let mut signals = Signals::new();
        for (signal, count) in [
            (Signal::PacketsSent, self.packets_sent),
            (Signal::PacketsReceived, self.packets_received),
            (Signal::OutboundConnections, self.outbound_connections),
            (Signal::FailedConnections, self.failed_connections),
            (Signal::DistinctPeers, self.distinct_peers),
            (Signal::BytesRead, self.bytes_read),
            (Signal::BytesWritten, self.bytes_written),
            (Signal::FilesOverwritten, self.files_overwritten),
            (Signal::FilesRenamed, self.files_renamed),
            (Signal::FilesDeleted, self.files_deleted),
            (Signal::MessagesSent, self.messages_sent),
            (Signal::NewRecipients, self.new_recipients),
            (Signal::MessagesBounced, self.messages_bounced),
            (Signal::MessagesAnswered, self.messages_answered),
            (Signal::FailedLogins, self.failed_logins),
            (Signal::FailedLoginNames, self.failed_login_names),
        ] {
            if let Some(UInt53(count)) = count {
                signals.add(signal, count);
            }
        }
        signals
    }
}

/// A source's report.
#[derive(InputObject)]
pub struct UsageReportInput {
    /// Tells apart the sources that report with one agent's token, each with a sequence of its own: at most 64
    /// lower-case letters, digits and hyphens. Left out: the token has one source.
    source: Option<String>,
    /// This source's own count of its reports: 1, 2, 3, ... A sequence seen before is acknowledged and counted no
    /// second time, also after a restart.
    sequence: UInt53,
    /// At most 1,000. All are taken, or none is.
    samples: Vec<UsageSampleInput>,
}

impl UsageReportInput {
    fn parse(&self, now: Timestamp) -> Result<Report, Error> {
        let source = self.source.as_deref().unwrap_or_default().parse();
        let source = source.map_err(|invalid: monitoring::InvalidSource| Error::InvalidInput {
            field: "source",
            reason: invalid.to_string(),
        })?;
        let mut report = Report { source, sequence: self.sequence.0, samples: Vec::new(), signals: Vec::new() };
        for input in &self.samples {
            let (account, sample, signals) = input.parse(now)?;
            if !signals.is_empty() {
                report.signals.push((report.samples.len(), signals));
            }
            report.samples.push((account, sample));
        }
        Ok(report)
    }
}

/// Given only after the report is durable.
#[derive(Debug, SimpleObject)]
pub struct UsageReceipt {
    /// The report's sequence.
    sequence: UInt53,
    /// Whether it had been counted before, and so was counted no second time.
    duplicate: bool,
    /// How many samples it had.
    samples: i32,
}

#[derive(Debug, Default)]
pub struct ReportMutation;

#[Object]
impl ReportMutation {
    /// Agents only.
    async fn report_usage(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The sequence and the samples.")] input: UsageReportInput,
    ) -> Result<UsageReceipt> {
        let asked = Asked::of(context)?;
        let receipt = async {
            let report = input.parse(asked.platform.clock().now())?;
            asked.platform.monitoring().report(&asked.context, report).await
        };
        let receipt = receipt.await.map_err(|error| dress(&error, asked))?;
        Ok(UsageReceipt {
            sequence: receipt.sequence.into(),
            duplicate: receipt.is_duplicate,
            samples: i32::try_from(receipt.samples).unwrap_or(i32::MAX),
        })
    }
}
