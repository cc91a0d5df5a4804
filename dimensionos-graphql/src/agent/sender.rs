//! Sends what is in the spool, report after report, in the order it was measured.

use std::time::Duration;

use dimensionos_core::{Entropy, OsEntropy};
use tokio_util::sync::CancellationToken;

use super::AgentError;
use super::answer::{Answer, Reason};
use super::backoff::Backoff;
use super::client::Client;
use super::spool::{Report, SharedSpool, Spool};

/// Sends until it is told to finish and nothing is left.
pub(super) struct Sender {
    spool: SharedSpool,
    client: Client,
    finish: CancellationToken,
    backoff: Backoff,
    attempts: Attempts,
    is_away: bool,
}

/// What became of the report at the head of the spool so far.
#[derive(Debug, Default)]
struct Attempts {
    sequence: u64,
    made: u32,
    /// It is sent under a new source, since the server knew its sequence without having had it.
    is_renewed: bool,
}

impl Attempts {
    fn begin(&mut self, sequence: u64) {
        if self.sequence != sequence {
            *self = Self { sequence, ..Self::default() };
        }
        self.made += 1;
    }

    /// Whether a duplicate cannot be one: the report was made by this run, which has never sent it before.
    ///
    /// The server then knows a later sequence of this source than the spool remembers, because the spool was restored
    /// from a backup or lost its latest state in a power cut. Taken for a receipt it would drop what was measured.
    fn contradict_a_duplicate(&self, report: &Report) -> bool {
        report.is_of_this_run && self.made == 1 && !self.is_renewed
    }
}

impl Sender {
    pub(super) fn new(spool: SharedSpool, client: Client, finish: CancellationToken) -> Self {
        Self { spool, client, finish, backoff: Backoff::new(), attempts: Attempts::default(), is_away: false }
    }

    /// Sends for as long as there is, or may be, something to send.
    pub(super) async fn run(mut self) -> Result<(), AgentError> {
        loop {
            match self.spool.with(Spool::oldest).await? {
                Some(report) => self.send(report).await?,
                None if self.finish.is_cancelled() => return Ok(()),
                None => tokio::select! {
                    () = self.spool.appended() => {}
                    () = self.finish.cancelled() => {}
                },
            }
        }
    }

    async fn send(&mut self, report: Report) -> Result<(), AgentError> {
        let sequence = report.sequence;
        self.attempts.begin(sequence);
        match self.client.report(&report.source, sequence, &report.samples).await {
            Answer::Received { duplicate: true } if self.attempts.contradict_a_duplicate(&report) => {
                tracing::warn!("the spool is older than what the server has of it: reporting on under a new name");
                self.attempts.is_renewed = true;
                self.spool.with(Spool::renew_source).await?;
            }
            Answer::Received { .. } => {
                self.is_back();
                self.spool.with(move |spool| spool.delivered(sequence)).await?;
            }
            Answer::Retry { asked, reason } => {
                self.is_gone(&reason);
                self.wait(asked).await;
            }
            Answer::Fatal(refusal) => return Err(AgentError::Refused(refusal)),
            Answer::Refused(refusal) => {
                self.is_back();
                let samples = report.samples.len();
                tracing::warn!(samples, "the server refuses a report, which is set aside: {refusal}");
                self.spool.with(move |spool| spool.set_aside(sequence)).await?;
            }
        }
        Ok(())
    }

    /// Waits before the next try; being told to finish cuts it short, once.
    async fn wait(&mut self, asked: Option<Duration>) {
        let mut chance = [20];
        // Without chance the delay is the middle one, which does as well.
        let _ = OsEntropy.fill(&mut chance);
        let delay = tokio::time::sleep(self.backoff.delay(asked, chance[0]));
        if self.finish.is_cancelled() {
            return delay.await;
        }
        tokio::select! {
            () = delay => {}
            () = self.finish.cancelled() => self.backoff.reset(),
        }
    }

    fn is_gone(&mut self, reason: &Reason) {
        if !std::mem::replace(&mut self.is_away, true) {
            tracing::warn!("{reason}; metering goes on, and the reports wait");
        }
    }

    fn is_back(&mut self) {
        self.backoff.reset();
        if std::mem::replace(&mut self.is_away, false) {
            tracing::info!("the server takes reports again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(sequence: u64, is_of_this_run: bool) -> Report {
        Report { source: "s".to_owned(), sequence, samples: Vec::new(), is_of_this_run }
    }

    #[test]
    fn only_a_duplicate_of_what_was_never_sent_is_contradicted() {
        let mut attempts = Attempts::default();
        attempts.begin(7);
        assert!(attempts.contradict_a_duplicate(&report(7, true)));
        assert!(!attempts.contradict_a_duplicate(&report(7, false)), "an earlier run may have sent it");
        attempts.begin(7);
        assert!(!attempts.contradict_a_duplicate(&report(7, true)), "the first attempt may have arrived");
        attempts.begin(8);
        assert!(attempts.contradict_a_duplicate(&report(8, true)));
        attempts.is_renewed = true;
        assert!(!attempts.contradict_a_duplicate(&report(8, true)), "one new name is enough");
    }
}
