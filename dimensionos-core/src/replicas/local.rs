use std::sync::Arc;

use async_trait::async_trait;
use dashmap::DashMap;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::broadcast;

use crate::replicas::{Bus, Delivery, Topic};

/// Messages that wait for a listener that is slow; past it the oldest are lost to it.
const BACKLOG: usize = 4_096;

/// A [`Bus`] within one process. Clones are the same bus.
#[derive(Debug, Clone, Default)]
pub struct LocalBus {
    topics: Arc<DashMap<Topic, broadcast::Sender<Arc<[u8]>>>>,
}

impl LocalBus {
    /// A bus on which nobody is yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Bus for LocalBus {
    fn publish(&self, topic: &Topic, message: Vec<u8>) {
        if let Some(listeners) = self.topics.get(topic) {
            // Nobody left to hear it is no fault.
            let _ = listeners.send(message.into());
        }
    }

    async fn subscribe(&self, topics: &[Topic]) -> BoxStream<'static, Delivery> {
        let listen = |topic: &Topic| {
            let listeners = self.topics.entry(topic.clone()).or_insert_with(|| broadcast::channel(BACKLOG).0);
            let heard = stream::unfold(listeners.subscribe(), |mut messages| async move {
                match messages.recv().await {
                    Ok(message) => Some((Delivery::Message(message.to_vec()), messages)),
                    Err(broadcast::error::RecvError::Lagged(_)) => Some((Delivery::Gap, messages)),
                    Err(broadcast::error::RecvError::Closed) => None,
                }
            });
            heard.boxed()
        };
        stream::select_all(topics.iter().map(listen)).boxed()
    }

    fn is_connected(&self) -> bool {
        true
    }
}
