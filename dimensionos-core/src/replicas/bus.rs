use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

/// Where messages go: a text of letters, digits, dots, hyphens and underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// A topic of that name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What comes over a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A message.
    Message(Vec<u8>),
    /// Messages may have been lost before the next one.
    Gap,
}

/// Carries messages between the processes of a deployment. A message reaches everybody who listens to its topic, whoever
/// sends it too, once at most: it may be lost, and then whoever listens hears of a [`Gap`](Delivery::Gap) once it can be
/// known.
#[async_trait]
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// Sends a message. Never waits: where it cannot be sent it is lost.
    fn publish(&self, topic: &Topic, message: Vec<u8>);

    /// Listens to some topics from now on: what is published once this has returned is heard.
    async fn subscribe(&self, topics: &[Topic]) -> BoxStream<'static, Delivery>;

    /// Whether messages get through, as far as is known.
    fn is_connected(&self) -> bool;
}
