//! One WebSocket: any number of operations over `graphql-transport-ws`, for one caller.

use std::collections::HashSet;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use dimensionos_core::auth::Source;
use dimensionos_core::{Caller, Error, Platform, Refusal};
use futures_util::stream::{BoxStream, once};
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};
use tokio_stream::StreamMap;

use crate::engine::{Answer, Operation};
use crate::error::request_error;
use crate::http::protocol::{
    BAD_MESSAGE, BAD_PROTOCOL, CANCELLED, ClientMessage, Closing, DUPLICATE_ID, GOING_AWAY, INIT_TIMEOUT, INTERNAL,
    NAME, SECOND_INIT, SUSPENDED, ServerMessage, TERMS_NOT_ACCEPTED, TOKEN_EXPIRED, TOKEN_INVALID, UNAUTHORIZED,
};
use crate::http::{App, bearer};

/// How long a client may take to say who it is.
const INIT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a client may take to read what it is sent; past it the socket is dropped, and nobody else has noticed.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked whether the caller may still listen; the contract gives a second.
const RECHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How long what was asked before may still be answered once the caller may no longer listen: a sign-out is told that it
/// was done before its own socket is closed.
const LAST_ANSWERS: Duration = Duration::from_millis(300);
/// How often a quiet client is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long a client may be silent: three pings it did not answer.
const SILENCE_LIMIT: Duration = Duration::from_secs(65);
/// Bytes of a message: as of a request's body.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// Operations of one socket at once: more than a page has panels.
const MAX_OPERATIONS: usize = 64;
/// The library's own buffer for reading is 128 KB a socket; our messages are small.
const BUFFER_BYTES: usize = 4 * 1024;

pub(super) fn open(app: App, headers: &HeaderMap, source: Option<Source>, upgrade: WebSocketUpgrade) -> Response {
    if !app.origins.may_connect(headers) {
        return (StatusCode::FORBIDDEN, "this origin may not connect\n").into_response();
    }
    let upgrade = upgrade
        .protocols([NAME])
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(2 * MAX_MESSAGE_BYTES);
    upgrade.on_upgrade(move |socket| {
        let sockets = app.sockets.clone();
        sockets.track_future(async move {
            let speaks = socket.protocol().is_some_and(|protocol| protocol.as_bytes() == NAME.as_bytes());
            let mut connection = Connection::new(app, socket, source);
            let closing = if speaks { connection.serve().await } else { Some(BAD_PROTOCOL) };
            connection.close(closing).await;
        })
    })
}

/// What an operation's stream gives.
enum Event {
    Answer(Box<Answer>),
    Done,
}

struct Connection {
    app: App,
    socket: WebSocket,
    /// Where it comes from.
    source: Option<Source>,
    /// Who listens, once `connection_init` has said so.
    caller: Option<Caller>,
    operations: StreamMap<String, BoxStream<'static, Event>>,
    /// Those of the operations that answer once.
    one_shots: HashSet<String>,
    /// Why the socket is closed once they have answered, and when at the latest.
    ending: Option<(Instant, Closing)>,
    heard_at: Instant,
}

/// The socket is to end: with a reason, or without where the client is gone.
type End = Option<Closing>;

impl Connection {
    fn new(app: App, socket: WebSocket, source: Option<Source>) -> Self {
        Self {
            app,
            socket,
            source,
            caller: None,
            operations: StreamMap::new(),
            one_shots: HashSet::new(),
            ending: None,
            heard_at: Instant::now(),
        }
    }

    async fn serve(&mut self) -> End {
        let init_deadline = Instant::now() + INIT_PATIENCE;
        let mut rechecks = steady(RECHECK_INTERVAL);
        let mut pings = steady(PING_INTERVAL);
        let stopping = self.app.stopping.clone();
        loop {
            let done = tokio::select! {
                () = stopping.cancelled() => Err(Some(GOING_AWAY)),
                () = tokio::time::sleep_until(init_deadline), if self.caller.is_none() => Err(Some(INIT_TIMEOUT)),
                () = last_moment(self.ending), if self.ending.is_some() => self.end(),
                _ = rechecks.tick() => self.recheck().await,
                _ = pings.tick() => self.ping().await,
                message = self.socket.recv() => self.receive(message).await,
                Some((id, event)) = self.operations.next() => self.tell(&id, event).await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn receive(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        self.heard_at = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(message) => self.act(message).await,
                Err(_) => Err(Some(BAD_MESSAGE)),
            },
            Some(Ok(Message::Binary(_))) => Err(Some(BAD_MESSAGE)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(None),
        }
    }

    async fn act(&mut self, message: ClientMessage) -> Result<(), End> {
        match message {
            ClientMessage::ConnectionInit { payload } => self.init(payload).await,
            ClientMessage::Subscribe { id, payload } => self.subscribe(id, payload).await,
            ClientMessage::Complete { id } => {
                self.forget(&id);
                Ok(())
            }
            ClientMessage::Ping { payload } => self.answer_ping(payload).await,
            ClientMessage::Pong { .. } => Ok(()),
        }
    }

    async fn init(&mut self, payload: Option<Value>) -> Result<(), End> {
        if self.caller.is_some() {
            return Err(Some(SECOND_INIT));
        }
        let credentials = match &payload {
            None | Some(Value::Null) => None,
            Some(Value::Object(_)) => credentials(payload.as_ref()),
            Some(_) => return Err(Some(BAD_MESSAGE)),
        };
        self.caller = Some(match credentials {
            None => Caller::Anonymous,
            Some(credentials) => presented(self.app.engine.platform(), credentials).await?,
        });
        self.send(&ServerMessage::ConnectionAck).await
    }

    /// Answers a ping. One that carries credentials renews the connection's token in place: whatever is under way goes
    /// on, for the same account alone.
    async fn answer_ping(&mut self, payload: Option<Value>) -> Result<(), End> {
        let Some(credentials) = credentials(payload.as_ref()) else {
            return self.send(&ServerMessage::Pong { payload }).await;
        };
        let Some(before) = &self.caller else { return Err(Some(UNAUTHORIZED)) };
        let account = |caller: &Caller| match caller {
            Caller::Account(principal) => Some(principal.account),
            _ => None,
        };
        let before = account(before);
        let renewed = presented(self.app.engine.platform(), credentials).await?;
        if before.is_none() || account(&renewed) != before {
            return Err(Some(TOKEN_INVALID));
        }
        self.caller = Some(renewed);
        // The token is not sent back.
        self.send(&ServerMessage::Pong { payload: None }).await
    }

    async fn subscribe(&mut self, id: String, operation: Operation) -> Result<(), End> {
        let Some(caller) = self.caller.clone() else { return Err(Some(UNAUTHORIZED)) };
        if self.ending.is_some() {
            return self.end();
        }
        if self.operations.contains_key(&id) {
            return Err(Some(DUPLICATE_ID));
        }
        if self.operations.len() >= MAX_OPERATIONS {
            let answer = Answer::refused(request_error("too many operations on one connection", "BUSY"));
            return self.send(&ServerMessage::Error { id: &id, payload: answer.errors() }).await;
        }
        let context = self.app.engine.context(caller, self.source);
        let prepared = self.app.engine.prepare(operation);
        if !prepared.as_ref().is_ok_and(|prepared| prepared.kind == OperationType::Subscription) {
            self.one_shots.insert(id.clone());
        }
        let answers = match prepared {
            Ok(prepared) => self.app.engine.stream(prepared, context).boxed(),
            Err(error) => once(async { Answer::refused(error) }).boxed(),
        };
        let watching = self.app.metrics.subscribed();
        let answers = answers.map(move |answer| {
            let _ = &watching;
            Event::Answer(Box::new(answer))
        });
        self.operations.insert(id, answers.chain(once(async { Event::Done })).boxed());
        Ok(())
    }

    /// Passes on what an operation gave. Nothing is taken from any operation while this waits for a slow reader: what
    /// a usage stream gives afterwards is its newest value.
    async fn tell(&mut self, id: &str, event: Event) -> Result<(), End> {
        match event {
            Event::Answer(answer) => {
                self.app.metrics.answered(&answer);
                if answer.is_request_error {
                    // An error ends its operation: nothing follows it, not even `complete`.
                    self.forget(id);
                    return self.send(&ServerMessage::Error { id, payload: answer.errors() }).await;
                }
                self.send(&ServerMessage::Next { id, payload: &answer }).await
            }
            Event::Done => {
                self.forget(id);
                self.send(&ServerMessage::Complete { id }).await?;
                if self.ending.is_some() && self.operations.is_empty() { self.end() } else { Ok(()) }
            }
        }
    }

    fn forget(&mut self, id: &str) {
        self.operations.remove(id);
        self.one_shots.remove(id);
    }

    /// Ends every live operation, and the socket once what answers once has done so.
    fn wind_up(&mut self, closing: Closing) -> Result<(), End> {
        let live: Vec<String> = self.operations.keys().filter(|id| !self.one_shots.contains(*id)).cloned().collect();
        live.iter().for_each(|id| self.forget(id));
        let (at, _) = *self.ending.get_or_insert((Instant::now() + LAST_ANSWERS, closing));
        if self.operations.is_empty() || at <= Instant::now() { self.end() } else { Ok(()) }
    }

    fn end(&self) -> Result<(), End> {
        Err(self.ending.map(|(_, closing)| closing))
    }

    async fn recheck(&mut self) -> Result<(), End> {
        let Some(caller) = &self.caller else { return Ok(()) };
        let closing = match self.app.engine.platform().recheck_listener(caller).await {
            // The storage may be away for a moment; the next look decides.
            Ok(()) | Err(Error::Store(_)) => return Ok(()),
            Err(Error::TokenExpired) => TOKEN_EXPIRED,
            Err(Error::ServiceSuspended { .. }) => SUSPENDED,
            Err(Error::ServiceCancelled { .. }) => CANCELLED,
            Err(Error::TermsNotAccepted) => TERMS_NOT_ACCEPTED,
            Err(_) => TOKEN_INVALID,
        };
        self.wind_up(closing)
    }

    async fn ping(&mut self) -> Result<(), End> {
        if self.heard_at.elapsed() > SILENCE_LIMIT {
            return Err(None);
        }
        self.write(Message::Ping(bytes::Bytes::new())).await
    }

    async fn send(&mut self, message: &ServerMessage<'_>) -> Result<(), End> {
        self.write(Message::Text(message.to_text().into())).await
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        match timeout(WRITE_PATIENCE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }

    async fn close(mut self, closing: End) {
        if let Some(Closing { code, reason }) = closing {
            let frame = CloseFrame { code, reason: reason.into() };
            if self.write(Message::Close(Some(frame))).await.is_ok() {
                // The client's own close, so that it reads ours before the connection is gone.
                let answer = async { while let Some(Ok(_)) = self.socket.recv().await {} };
                let _ = timeout(Duration::from_secs(1), answer.fuse()).await;
            }
        }
    }
}

async fn last_moment(ending: Option<(Instant, Closing)>) {
    if let Some((at, _)) = ending {
        tokio::time::sleep_until(at).await;
    }
}

/// What a payload has under `authorization`.
fn credentials(payload: Option<&Value>) -> Option<&Value> {
    let payload = payload?.as_object()?;
    payload.get("authorization").or_else(|| payload.get("Authorization"))
}

/// Whose credentials these are; the connection ends where they are refused.
async fn presented(platform: &Platform, credentials: &Value) -> Result<Caller, End> {
    let Value::String(text) = credentials else { return Err(Some(TOKEN_INVALID)) };
    match bearer::of_credentials(platform, text).await.map_err(|_| Some(INTERNAL))? {
        Caller::Refused(Refusal::Expired) => Err(Some(TOKEN_EXPIRED)),
        Caller::Refused(Refusal::Invalid) => Err(Some(TOKEN_INVALID)),
        caller => Ok(caller),
    }
}

fn steady(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
