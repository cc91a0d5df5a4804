use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use dimensionos_core::monitoring::{self, Counter, Level, Report, Sample};
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
}

impl UsageSampleInput {
    fn parse(&self, now: Timestamp) -> Result<(AccountId, Sample), Error> {
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
        Ok((account, sample))
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
        let samples = self.samples.iter().map(|sample| sample.parse(now)).collect::<Result<_, _>>()?;
        Ok(Report { source, sequence: self.sequence.0, samples })
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
