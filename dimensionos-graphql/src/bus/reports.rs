//! A log of reports in a stream of NATS: a report is acknowledged once the stream has it, and counted by one of the servers
//! that share it.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, AckKind, Context};
use async_trait::async_trait;
use dimensionos_core::id::DeploymentId;
use dimensionos_core::monitoring::{LogEntry, LoggedReport, ReportLog};
use dimensionos_core::store::StoreError;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::NatsBus;

/// Lanes, of which each has one report on its way at a time, so that a source's are counted in their order. As many as are
/// well put into one transaction: at 5 ms each they are 12,000 reports a second, of up to 1,000 samples.
const LANES: u64 = 64;
/// How long the stream may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a server may take to count a report, or to say that it is at it, before another is given it.
const COUNTED_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that the stream holds at most: at 200 a report of one sample, 20 million reports, which is an hour of a database's
/// absence at 5,000 reports a second. What comes then is refused, and agents keep it.
const MAX_BYTES: i64 = 4 << 30;
/// How long the stream knows a report again that is sent twice; the database knows it for ever.
const REMEMBERED_FOR: Duration = Duration::from_secs(120);
/// How long a report is kept: its samples are refused once they are older.
const MAX_AGE: Duration = Duration::from_hours(31 * 24);
/// The pause before the stream is asked for again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long a server asks for the next report before it asks anew.
const ASKED_FOR: Duration = Duration::from_secs(30);

/// A [`ReportLog`] in a stream of NATS.
#[derive(Debug, Clone)]
pub struct ReportStream {
    context: Context,
    deployment: DeploymentId,
    copies: usize,
}

impl ReportStream {
    /// The stream of a deployment, made where it is missing, in so many copies on a cluster's servers.
    #[must_use]
    pub fn new(bus: &NatsBus, deployment: DeploymentId, copies: usize) -> Self {
        let mut context = jetstream::new(bus.client().clone());
        context.set_timeout(PATIENCE);
        Self { context, deployment, copies }
    }

    fn name(&self) -> String {
        format!("dimensionos-{}", self.deployment)
    }

    fn subject(&self, lane: u64) -> String {
        format!("dimensionos.{}.reports.{lane}", self.deployment)
    }

    fn config(&self) -> Config {
        Config {
            name: self.name(),
            subjects: vec![format!("dimensionos.{}.reports.*", self.deployment)],
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            max_bytes: MAX_BYTES,
            max_age: MAX_AGE,
            duplicate_window: REMEMBERED_FOR,
            num_replicas: self.copies,
            ..Config::default()
        }
    }

    fn refused(&self) -> String {
        format!("dimensionos.{}.refused", self.deployment)
    }

    /// Where reports are kept that cannot be counted. Where there is no room the oldest give way.
    fn config_of_refused(&self) -> Config {
        Config {
            name: format!("{}-refused", self.name()),
            subjects: vec![self.refused()],
            storage: StorageType::File,
            discard: DiscardPolicy::Old,
            max_bytes: MAX_BYTES / 4,
            max_age: MAX_AGE,
            num_replicas: self.copies,
            ..Config::default()
        }
    }

    async fn consumer(&self, lane: u64) -> Result<PullConsumer, async_nats::Error> {
        self.context.get_or_create_stream(self.config_of_refused()).await?;
        let stream = self.context.get_or_create_stream(self.config()).await?;
        let config = pull::Config {
            durable_name: Some(format!("lane-{lane}")),
            filter_subject: self.subject(lane),
            ack_policy: AckPolicy::Explicit,
            ack_wait: COUNTED_WITHIN,
            max_ack_pending: 1,
            ..pull::Config::default()
        };
        Ok(stream.get_or_create_consumer(&format!("lane-{lane}"), config).await?)
    }

    /// Gives the reports of a lane, until nobody takes them.
    async fn read(self, lane: u64, taken: mpsc::Sender<Box<dyn LoggedReport>>) {
        let mut is_failing = false;
        while !taken.is_closed() {
            match self.read_on(lane, &taken).await {
                Ok(()) => is_failing = false,
                // Once for as long as it lasts.
                Err(error) if !std::mem::replace(&mut is_failing, true) => {
                    tracing::warn!(error = &*error as &dyn std::error::Error, "logged reports cannot be read");
                }
                Err(_) => {}
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn read_on(&self, lane: u64, taken: &mpsc::Sender<Box<dyn LoggedReport>>) -> Result<(), async_nats::Error> {
        let consumer = self.consumer(lane).await?;
        let mut messages = consumer.stream().max_messages_per_batch(1).expires(ASKED_FOR).messages().await?;
        while let Some(message) = messages.next().await {
            let (message, context, refused) = (message?, self.context.clone(), self.refused());
            if taken.send(Box::new(Logged { message, context, refused })).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl ReportLog for ReportStream {
    async fn append(&self, entry: LogEntry) -> Result<bool, StoreError> {
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, entry.name);
        let subject = self.subject(entry.lane % LANES);
        let sent = self.context.publish_with_headers(subject, headers, entry.bytes.into());
        let acknowledged =
            async { sent.await.map_err(StoreError::unavailable)?.await.map_err(StoreError::unavailable) };
        // Also where the client itself waits for a connection.
        let acknowledged = tokio::time::timeout(PATIENCE, acknowledged).await;
        acknowledged.map_err(StoreError::unavailable)?.map(|acknowledged| acknowledged.duplicate)
    }

    fn lanes(&self) -> Vec<BoxStream<'static, Box<dyn LoggedReport>>> {
        let lane = |lane| {
            let (give, taken) = mpsc::channel(1);
            tokio::spawn(self.clone().read(lane, give));
            ReceiverStream::new(taken).boxed()
        };
        (0..LANES).map(lane).collect()
    }
}

struct Logged {
    message: jetstream::Message,
    context: Context,
    refused: String,
}

#[async_trait]
impl LoggedReport for Logged {
    fn bytes(&self) -> &[u8] {
        &self.message.payload
    }

    async fn go_on(&self) {
        // Where it is lost another server counts the report as well, and the database knows it again.
        let _ = self.message.ack_with(AckKind::Progress).await;
    }

    async fn counted(self: Box<Self>) {
        let _ = self.message.ack().await;
    }

    async fn set_aside(&self) -> bool {
        let kept = async {
            self.context.publish(self.refused.clone(), self.message.payload.clone()).await.ok()?.await.ok()?;
            self.message.ack().await.ok()
        };
        matches!(tokio::time::timeout(PATIENCE, kept).await, Ok(Some(())))
    }
}
