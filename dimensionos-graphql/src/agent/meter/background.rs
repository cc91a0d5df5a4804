//! A reading that may take longer than a sample can wait for it.

use std::time::Duration;

use dimensionos_core::monitoring::Sample;
use tokio::task::JoinHandle;

/// What a reading gives back: the collector, what it measured, and how it went.
type Read<C, E> = (C, Sample, Result<(), E>);

/// A collector that is at rest, or at work in a task of its own.
pub(super) struct Background<C, E> {
    state: State<C, E>,
}

enum State<C, E> {
    Resting(C),
    Working(JoinHandle<Read<C, E>>),
    /// The task broke off, and the collector went with it.
    Lost,
}

impl<C: Send + 'static, E: Send + 'static> Background<C, E> {
    pub(super) const fn new(collector: C) -> Self {
        Self { state: State::Resting(collector) }
    }

    /// Begins a reading where none is under way, and hands out the one that ends within `grace`; one that takes longer
    /// is handed out by a later call.
    pub(super) async fn read<F>(&mut self, grace: Duration, begin: fn(C) -> F) -> Option<(Sample, Result<(), E>)>
    where
        F: Future<Output = Read<C, E>> + Send + 'static,
    {
        let mut work = match std::mem::replace(&mut self.state, State::Lost) {
            State::Resting(collector) => tokio::spawn(begin(collector)),
            State::Working(work) => work,
            State::Lost => return None,
        };
        match tokio::time::timeout(grace, &mut work).await {
            Ok(Ok((collector, sample, result))) => {
                self.state = State::Resting(collector);
                Some((sample, result))
            }
            Ok(Err(_)) => None,
            Err(_) => {
                self.state = State::Working(work);
                None
            }
        }
    }
}

impl<C, E> Drop for Background<C, E> {
    fn drop(&mut self) {
        if let State::Working(work) = &self.state {
            work.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dimensionos_core::Timestamp;
    use dimensionos_core::monitoring::Level;

    async fn slowly(turn: u64) -> Read<u64, ()> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        (turn + 1, Sample::at(Timestamp::EPOCH).with_level(Level::FileCount, turn), Ok(()))
    }

    #[tokio::test]
    async fn a_slow_reading_is_handed_out_once_and_later() {
        let mut background = Background::new(7);
        assert!(background.read(Duration::from_millis(1), slowly).await.is_none());
        let (sample, _) = background.read(Duration::from_mins(1), slowly).await.unwrap();
        assert_eq!(sample.level(Level::FileCount), Some(7));
        let (sample, _) = background.read(Duration::from_mins(1), slowly).await.unwrap();
        assert_eq!(sample.level(Level::FileCount), Some(8));
    }
}
