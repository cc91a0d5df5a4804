//! A bus over NATS.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use async_trait::async_trait;
use dimensionos_core::replicas::{Bus, Delivery, Topic};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::{broadcast, mpsc};
use zeroize::Zeroizing;

/// Messages that wait for the connection; past it they are lost, as they are while there is none. At some hundreds of bytes
/// each they are some megabytes.
const WAITING: usize = 8_192;
/// Messages that wait for this process to take them up; past it the server's are lost to it, which it learns of.
const UNREAD: usize = 65_536;
/// How often the server is asked whether it is there: twice without an answer is a connection that is gone.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// How long to wait before another try to connect, at first and at most. A server that restarts is back in a second.
const RECONNECT_DELAY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long an attempt to connect may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// How long it is waited for the server to answer. Where it is not there it will be told later what it was to know.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where NATS is, and how it knows this process.
#[derive(Clone)]
pub struct NatsSettings {
    /// `nats://` or `tls://`, with a user and a password where they are needed; several of one cluster are separated by
    /// commas.
    pub url: Zeroizing<String>,
    /// A file of credentials, as `nsc` makes it.
    pub credentials: Option<PathBuf>,
    /// A file of root certificates, in place of the system's.
    pub root_certificates: Option<PathBuf>,
    /// A certificate of this client's own, and its key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

impl std::fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the URL, which may hold a password.
        f.debug_struct("NatsSettings").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

/// Why there is no bus.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// A file that was named cannot be read, or holds what it should not.
    #[error("NATS_CREDENTIALS cannot be used")]
    Credentials(#[source] std::io::Error),
    /// The settings cannot be used. That the server cannot be reached, or lets nobody in, is no error: it may come, or change
    /// its mind. `doctor` says whether it answers.
    #[error("NATS_URL cannot be used: {reason}")]
    Refused {
        /// What NATS says of it, without the URL.
        reason: String,
    },
}

/// A [`Bus`] over NATS. While there is no connection messages are lost, and the connection is tried again.
#[derive(Debug, Clone)]
pub struct NatsBus {
    client: Client,
    waiting: mpsc::Sender<(async_nats::Subject, Vec<u8>)>,
    gaps: broadcast::Sender<()>,
}

impl NatsBus {
    /// Connects, or goes on trying to where the server is not there.
    ///
    /// # Errors
    /// [`NatsError`] where the settings cannot be used.
    pub async fn connect(settings: &NatsSettings) -> Result<Self, NatsError> {
        let gaps = broadcast::channel(16).0;
        let client = options(settings, gaps.clone()).await?;
        let client =
            client.connect(addresses(settings)?).await.map_err(|error| NatsError::Refused { reason: kind(&error) })?;
        let (waiting, messages) = mpsc::channel(WAITING);
        tokio::spawn(send(client.clone(), messages));
        Ok(Self { client, waiting, gaps })
    }

    /// The connection itself.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    async fn listen(&self, topic: &Topic) -> Option<Subscriber> {
        let heard = self.client.subscribe(topic.as_str().to_owned()).await;
        heard
            .inspect_err(|error| tracing::error!(error = error as &dyn std::error::Error, "NATS takes no subscription"))
            .ok()
    }

    /// Waits until the server knows all that it was told before, and says whether it does.
    pub(crate) async fn answers(&self) -> bool {
        let inbox = self.client.new_inbox();
        let echoed = async {
            let mut echo = self.client.subscribe(inbox.clone()).await.ok()?;
            self.client.publish(inbox, Vec::new().into()).await.ok()?;
            echo.next().await
        };
        matches!(tokio::time::timeout(PATIENCE, echoed).await, Ok(Some(_)))
    }

    /// Whether the server keeps streams.
    pub(crate) async fn has_streams(&self) -> bool {
        let context = async_nats::jetstream::new(self.client.clone());
        matches!(tokio::time::timeout(PATIENCE, context.query_account()).await, Ok(Ok(_)))
    }
}

fn addresses(settings: &NatsSettings) -> Result<Vec<ServerAddr>, NatsError> {
    let addresses = settings.url.split(',').map(str::trim).filter(|one| !one.is_empty());
    let parsed: Result<Vec<ServerAddr>, _> = addresses.map(str::parse).collect();
    parsed.map_err(|_| NatsError::Refused { reason: "it is no address".to_owned() })
}

async fn options(settings: &NatsSettings, gaps: broadcast::Sender<()>) -> Result<ConnectOptions, NatsError> {
    // The library leaves the user of a URL to whoever sets the options.
    let known = addresses(settings)?.into_iter().find(ServerAddr::has_user_pass);
    let user = known.as_ref().and_then(|address| Some((address.username()?, address.password()?)));
    let options = match user {
        Some((user, password)) => ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned()),
        None => ConnectOptions::new(),
    };
    let mut options = options
        .name("dimensionos")
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_PATIENCE)
        .subscription_capacity(UNREAD)
        .reconnect_delay_callback(|attempt| {
            let (first, most) = RECONNECT_DELAY;
            first.saturating_mul(1 << attempt.min(10)).min(most)
        })
        .event_callback(move |event| {
            note(&event, &gaps);
            std::future::ready(())
        });
    if let Some(path) = &settings.root_certificates {
        options = options.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &settings.client_certificate {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    if let Some(path) = &settings.credentials {
        options = options.credentials_file(path).await.map_err(NatsError::Credentials)?;
    }
    Ok(options)
}

fn note(event: &Event, gaps: &broadcast::Sender<()>) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("the connection to NATS is gone, and is tried again"),
        Event::SlowConsumer(_) => {
            tracing::warn!("messages of NATS were lost, for they came faster than they were taken");
        }
        Event::ServerError(error) => tracing::warn!(error = %error, "NATS reports an error"),
        _ => return,
    }
    if matches!(event, Event::Connected | Event::SlowConsumer(_)) {
        // Nobody listening is no fault.
        let _ = gaps.send(());
    }
}

/// What an error says that names no address.
fn kind(error: &async_nats::ConnectError) -> String {
    error.kind().to_string()
}

async fn send(client: Client, mut messages: mpsc::Receiver<(async_nats::Subject, Vec<u8>)>) {
    while let Some((subject, message)) = messages.recv().await {
        // What would wait for a connection is old by then, and everybody asks the database when there is one again.
        if client.connection_state() == State::Connected
            && let Err(error) = client.publish(subject, message.into()).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "a message was lost");
        }
    }
}

#[async_trait]
impl Bus for NatsBus {
    fn publish(&self, topic: &Topic, message: Vec<u8>) {
        // Where there is no room it is lost, and whoever misses it learns the same from the database.
        let _ = self.waiting.try_send((topic.as_str().into(), message));
    }

    async fn subscribe(&self, topics: &[Topic]) -> BoxStream<'static, Delivery> {
        let mut heard: Vec<BoxStream<'static, Delivery>> = Vec::new();
        let gaps = stream::unfold(self.gaps.subscribe(), |mut gaps| async move {
            match gaps.recv().await {
                Err(broadcast::error::RecvError::Closed) => None,
                _ => Some((Delivery::Gap, gaps)),
            }
        });
        heard.push(gaps.boxed());
        for topic in topics {
            if let Some(messages) = self.listen(topic).await {
                heard.push(messages.map(|message| Delivery::Message(message.payload.to_vec())).boxed());
            }
        }
        if !self.answers().await {
            tracing::warn!("NATS is not there; what others change is learnt of from the database until it is");
        }
        stream::select_all(heard).boxed()
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }
}
