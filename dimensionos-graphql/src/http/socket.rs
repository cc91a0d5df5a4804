//! One WebSocket: any number of operations over `graphql-transport-ws`, for one caller.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dimensionos_core::auth::Source;
use dimensionos_core::{Caller, Error, Refusal};
use futures_util::stream::once;
use futures_util::{SinkExt, Stream, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_stream::StreamMap;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use crate::engine::{Answer, Answers, Operation as Asked};
use crate::error::{request_error, too_often, whole_seconds};
use crate::http::bearer::Unheard;
use crate::http::listeners::{Ended, Listening};
use crate::http::protocol::{
    BAD_MESSAGE, BAD_PROTOCOL, CANCELLED, ClientMessage, Closing, GOING_AWAY, INIT_TIMEOUT, INTERNAL, NAME, Object,
    SECOND_INIT, SUSPENDED, ServerMessage, TERMS_NOT_ACCEPTED, TOKEN_EXPIRED, TOKEN_INVALID, TOO_BIG, TOO_OFTEN,
    UNAUTHORIZED, duplicate_id, next_text,
};
use crate::http::{App, bearer, cookie, upgrade};
use crate::metrics::Subscribed;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// How long a client may take to say who it is.
const INIT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a client may take to read what it is sent; past it the socket is dropped, and nobody else has noticed.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// How long what was asked before may still be answered once the caller may no longer listen: a sign-out is told that it
/// was done before its own socket is closed.
const LAST_ANSWERS: Duration = Duration::from_millis(300);
/// How often a client is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long a client may be silent: nearly two pings it did not answer, looked at with each, so that it is dropped
/// within half a minute. Whoever has stopped reading answers none, however much the systems on the way still take for it.
const SILENCE_LIMIT: Duration = Duration::from_secs(19);
/// How long a client may take to close what this server has closed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// Operations of one socket at once: more than a page has panels.
const MAX_OPERATIONS: usize = 64;
/// Bytes that are read at once. The library's own buffer is 128 KB a socket; what clients send is small, and what is
/// not takes some more calls.
const READ_BUFFER_BYTES: usize = 512;

pub(super) fn open(app: Arc<App>, source: Option<Source>, mut request: Request<Body>) -> Response {
    if !app.origins.may_connect(request.headers()) {
        return (StatusCode::FORBIDDEN, "this origin may not connect\n").into_response();
    }
    // No browser sends it with a handshake. Whoever does would be handed refresh tokens in clear all the same.
    if request.headers().contains_key(cookie::ASKED) {
        return (StatusCode::BAD_REQUEST, "a session in a cookie takes POST\n").into_response();
    }
    if let Some(wait) = app.rates.wait(source) {
        let told = [(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)))];
        return (StatusCode::TOO_MANY_REQUESTS, told, "too many requests from here\n").into_response();
    }
    let (response, upgraded, speaks) = match upgrade::accept(&mut request, NAME) {
        Ok(accepted) => accepted,
        Err(refused) => return refused,
    };
    let max_message_bytes = app.engine.limits().body_bytes;
    let config = WebSocketConfig::default()
        .max_message_size(Some(max_message_bytes))
        .max_frame_size(Some(max_message_bytes))
        .read_buffer_size(READ_BUFFER_BYTES)
        // Written at once: a message waits for no other.
        .write_buffer_size(0)
        .max_write_buffer_size(usize::MAX);
    let sockets = app.sockets.clone();
    sockets.spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        let mut connection = Connection::new(app, socket, source);
        let closing = if speaks { connection.serve().await } else { Some(BAD_PROTOCOL) };
        // Apart, as all that happens once: what a socket carries while it listens is what counts.
        Box::pin(connection.close(closing)).await;
    });
    response
}

/// One operation under way.
struct Operation {
    answers: Answers,
    has_ended: bool,
    _watching: Subscribed,
}

/// What an operation gives; absent once it has ended.
impl Stream for Operation {
    type Item = Option<Answer>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let answer = ready!(Pin::new(&mut self.answers).poll_next(context));
        self.has_ended = answer.is_none();
        Poll::Ready(Some(answer))
    }
}

struct Connection {
    app: Arc<App>,
    socket: Socket,
    /// Where it comes from.
    source: Option<Source>,
    /// Who listens, once `connection_init` has said so.
    caller: Option<Caller>,
    listening: Option<Listening>,
    operations: StreamMap<String, Operation>,
    /// Those of the operations that answer once.
    one_shots: HashSet<String>,
    /// Why the socket is closed once they have answered, and when at the latest.
    ending: Option<(Instant, Closing)>,
    heard_at: Instant,
}

/// The socket is to end: with a reason, or without where the client is gone.
type End = Option<Closing>;

impl Connection {
    fn new(app: Arc<App>, socket: Socket, source: Option<Source>) -> Self {
        Self {
            app,
            socket,
            source,
            caller: None,
            listening: None,
            operations: StreamMap::new(),
            one_shots: HashSet::new(),
            ending: None,
            heard_at: Instant::now(),
        }
    }

    async fn serve(&mut self) -> End {
        let stopping = self.app.stopping.clone();
        let begun = tokio::select! {
            () = stopping.cancelled() => Err(Some(GOING_AWAY)),
            begun = timeout(INIT_PATIENCE, Box::pin(self.begin())) => begun.unwrap_or(Err(Some(INIT_TIMEOUT))),
        };
        match begun {
            Ok(()) => self.run().await,
            Err(end) => end,
        }
    }

    /// Until the client has said who it is.
    async fn begin(&mut self) -> Result<(), End> {
        while self.caller.is_none() {
            let message = self.socket.next().await;
            self.receive(message).await?;
        }
        Ok(())
    }

    async fn run(&mut self) -> End {
        let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                ended = ended(self.listening.as_ref()) => self.stop_listening(&ended),
                () = last_moment(self.ending.as_ref().map(|(at, _)| *at)), if self.ending.is_some() => self.end(),
                _ = pings.tick() => self.ping().await,
                message = self.socket.next() => self.receive(message).await,
                Some((id, answer)) = self.operations.next() => self.tell(&id, answer).await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn receive(&mut self, message: Option<Result<Message, SocketError>>) -> Result<(), End> {
        self.heard_at = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                // Apart, so that a socket on which little is said does not carry the room for it.
                Ok(message) => Box::pin(self.act(message)).await,
                Err(_) => Err(Some(BAD_MESSAGE)),
            },
            Some(Ok(Message::Binary(_))) => Err(Some(BAD_MESSAGE)),
            Some(Ok(Message::Ping(_))) => self.flush().await,
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Err(SocketError::Capacity(_))) => Err(Some(TOO_BIG)),
            Some(Ok(Message::Close(_))) => {
                // The answer to it is written already, and goes out here.
                let _ = self.flush().await;
                Err(None)
            }
            Some(Err(_)) | None => Err(None),
        }
    }

    async fn act(&mut self, message: ClientMessage) -> Result<(), End> {
        match message {
            ClientMessage::ConnectionInit { payload } => self.init(payload).await,
            ClientMessage::Subscribe { id, payload } => self.subscribe(id.0, payload).await,
            ClientMessage::Complete { id } => {
                self.forget(&id.0);
                Ok(())
            }
            ClientMessage::Ping { payload } => self.answer_ping(payload).await,
            ClientMessage::Pong { .. } => Ok(()),
        }
    }

    async fn init(&mut self, payload: Option<Object>) -> Result<(), End> {
        if self.caller.is_some() {
            return Err(Some(SECOND_INIT));
        }
        let caller = match credentials(payload.as_ref()) {
            None => Caller::Anonymous,
            Some(credentials) => presented(&self.app, credentials, self.source).await?,
        };
        let App { engine, listeners, stopping, .. } = &*self.app;
        self.listening = Some(listeners.enlist(engine.platform(), stopping, caller.clone()));
        self.caller = Some(caller);
        self.send(&ServerMessage::ConnectionAck).await
    }

    /// Answers a ping. One that carries credentials renews the connection's token in place: whatever is under way goes
    /// on, for the same account alone.
    async fn answer_ping(&mut self, payload: Option<Object>) -> Result<(), End> {
        let Some(credentials) = credentials(payload.as_ref()) else {
            return self.send(&ServerMessage::Pong { payload }).await;
        };
        let Some(before) = &self.caller else { return Err(Some(UNAUTHORIZED)) };
        let account = |caller: &Caller| match caller {
            Caller::Account(principal) => Some(principal.account),
            _ => None,
        };
        let before = account(before);
        let renewed = presented(&self.app, credentials, self.source).await?;
        if before.is_none() || account(&renewed) != before {
            return Err(Some(TOKEN_INVALID));
        }
        if let Some(listening) = &self.listening {
            listening.replace(renewed.clone());
        }
        self.caller = Some(renewed);
        // The token is not sent back.
        self.send(&ServerMessage::Pong { payload: None }).await
    }

    async fn subscribe(&mut self, id: String, operation: Asked) -> Result<(), End> {
        let Some(caller) = self.caller.clone() else { return Err(Some(UNAUTHORIZED)) };
        if operation.is_empty() {
            return Err(Some(BAD_MESSAGE));
        }
        if self.ending.is_some() {
            return self.end();
        }
        if self.operations.contains_key(&id) {
            return Err(Some(duplicate_id(&id)));
        }
        if self.operations.len() >= MAX_OPERATIONS {
            let answer = Answer::refused(request_error("too many operations on one connection", "BUSY"));
            return self.send(&ServerMessage::Error { id: &id, payload: answer.errors() }).await;
        }
        if let Err(Unheard::TooOften(wait)) = bearer::count(&self.app, &caller, self.source) {
            let answer = Answer::refused(too_often(wait));
            return self.send(&ServerMessage::Error { id: &id, payload: answer.errors() }).await;
        }
        let context = self.app.engine.context(caller, self.source);
        let prepared = self.app.engine.prepare(operation);
        if !prepared.as_ref().is_ok_and(|prepared| prepared.kind == OperationType::Subscription) {
            self.one_shots.insert(id.clone());
        }
        let answers = match prepared {
            Ok(prepared) => self.app.engine.stream(prepared, context),
            Err(error) => Answers::Going(once(async { Answer::refused(error) }).boxed()),
        };
        let operation = Operation { answers, has_ended: false, _watching: self.app.metrics.subscribed() };
        self.operations.insert(id, operation);
        Ok(())
    }

    /// Passes on what an operation gave. Nothing is taken from any operation while this waits for a slow reader: what
    /// a usage stream gives afterwards is its newest value.
    async fn tell(&mut self, id: &str, answer: Option<Answer>) -> Result<(), End> {
        let Some(answer) = answer else {
            self.forget(id);
            self.send(&ServerMessage::Complete { id }).await?;
            return if self.ending.is_some() && self.operations.is_empty() { self.end() } else { Ok(()) };
        };
        self.app.metrics.answered(&answer);
        if answer.is_request_error() {
            // An error ends its operation: nothing follows it, not even `complete`.
            self.forget(id);
            return self.send(&ServerMessage::Error { id, payload: answer.errors() }).await;
        }
        self.write(Message::text(next_text(id, &answer))).await
    }

    fn forget(&mut self, id: &str) {
        self.operations.remove(id);
        self.one_shots.remove(id);
    }

    /// Ends every live operation, and the socket once what answers once has done so.
    fn wind_up(&mut self, closing: Closing) -> Result<(), End> {
        let live: Vec<String> = self.operations.keys().filter(|id| !self.one_shots.contains(*id)).cloned().collect();
        live.iter().for_each(|id| self.forget(id));
        let at = self.ending.get_or_insert((Instant::now() + LAST_ANSWERS, closing)).0;
        if self.operations.is_empty() || at <= Instant::now() { self.end() } else { Ok(()) }
    }

    fn end(&self) -> Result<(), End> {
        Err(self.ending.as_ref().map(|(_, closing)| closing.clone()))
    }

    fn stop_listening(&mut self, ended: &Ended) -> Result<(), End> {
        self.wind_up(match ended {
            Ended::Stopping => return Err(Some(GOING_AWAY)),
            Ended::Refused(Error::TokenExpired) => TOKEN_EXPIRED,
            Ended::Refused(Error::ServiceSuspended { .. }) => SUSPENDED,
            Ended::Refused(Error::ServiceCancelled { .. }) => CANCELLED,
            Ended::Refused(Error::TermsNotAccepted) => TERMS_NOT_ACCEPTED,
            Ended::Refused(_) => TOKEN_INVALID,
        })
    }

    async fn ping(&mut self) -> Result<(), End> {
        if self.heard_at.elapsed() > SILENCE_LIMIT {
            return Err(None);
        }
        self.write(Message::Ping(bytes::Bytes::new())).await
    }

    async fn send(&mut self, message: &ServerMessage<'_>) -> Result<(), End> {
        self.write(Message::text(message.to_text())).await
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        match timeout(WRITE_PATIENCE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        match timeout(WRITE_PATIENCE, self.socket.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }

    async fn close(mut self, closing: End) {
        let Some(Closing { code, reason }) = closing else { return };
        let frame = CloseFrame { code: code.into(), reason: reason.as_ref().into() };
        if self.write(Message::Close(Some(frame))).await.is_err() {
            return;
        }
        // What the client is still sending is read and thrown away, until it closes too: a connection that is dropped
        // with something unread is reset, and the client would never see why.
        let mut stream = self.socket.into_inner();
        let rest = async move {
            // Clients wait for this before they call the connection closed.
            let _ = stream.shutdown().await;
            let mut thrown_away = [0; 1024];
            while matches!(stream.read(&mut thrown_away).await, Ok(1..)) {}
        };
        let _ = timeout(CLOSE_PATIENCE, rest).await;
    }
}

async fn ended(listening: Option<&Listening>) -> Ended {
    match listening {
        Some(listening) => listening.ended().await,
        None => std::future::pending().await,
    }
}

async fn last_moment(ending: Option<Instant>) {
    if let Some(at) = ending {
        tokio::time::sleep_until(at).await;
    }
}

/// What a payload has under `authorization`.
fn credentials(payload: Option<&Object>) -> Option<&Value> {
    let payload = payload?;
    payload.get("authorization").or_else(|| payload.get("Authorization"))
}

/// Whose credentials these are; the connection ends where they are refused.
async fn presented(app: &App, credentials: &Value, source: Option<Source>) -> Result<Caller, End> {
    let Value::String(text) = credentials else { return Err(Some(TOKEN_INVALID)) };
    let presented = bearer::of_credentials(app, text, source).await;
    let counted = presented.and_then(|caller| bearer::count(app, &caller, source).map(|()| caller));
    match counted {
        Err(Unheard::TooOften(_)) => Err(Some(TOO_OFTEN)),
        Err(Unheard::Unavailable(_)) => Err(Some(INTERNAL)),
        Ok(Caller::Refused(Refusal::Expired)) => Err(Some(TOKEN_EXPIRED)),
        Ok(Caller::Refused(Refusal::Invalid)) => Err(Some(TOKEN_INVALID)),
        Ok(caller) => Ok(caller),
    }
}
