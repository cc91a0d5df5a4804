//! Those who watch: over a WebSocket, and over server-sent events.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Client, Home, REPORT, Server};

/// Longer than anything that is waited for takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// The contract gives a second; a busy machine may take some more.
pub const ABOUT_A_SECOND: Duration = Duration::from_secs(3);
pub const USAGE: &str = "subscription { usage(intervalMs: 100) { ram { megabytesUsed } } }";
pub const TIERS: &str = "{ tiers { tier } }";
/// Overflows the parser's stack where it is parsed.
pub fn nested() -> String {
    format!("{{ tiers(a: {}1{}) {{ tier }} }}", "[".repeat(1_500), "]".repeat(1_500))
}

/// A client of one WebSocket.
pub struct Socket<S = MaybeTlsStream<TcpStream>>(pub WebSocketStream<S>);

pub fn handshake(server: &Server, headers: &[(&'static str, &str)]) -> Request {
    let url = server.url("/graphql").replacen("http", "ws", 1);
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

pub const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

impl Socket {
    pub async fn open(server: &Server) -> Self {
        Self(tokio_tungstenite::connect_async(handshake(server, &[PROTOCOL])).await.unwrap().0)
    }

    /// One whose `connection_init` has been acknowledged.
    pub async fn of(server: &Server, token: Option<&str>) -> Self {
        let mut socket = Self::open(server).await;
        socket.init(token).await;
        socket
    }
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Socket<S> {
    pub async fn init(&mut self, token: Option<&str>) {
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        self.say(&payload.map_or(
            json!({ "type": "connection_init" }),
            |payload| json!({ "type": "connection_init", "payload": payload }),
        ))
        .await;
        assert_eq!(self.hear().await, json!({ "type": "connection_ack" }));
    }

    pub async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    pub async fn start(&mut self, id: &str, query: &str) {
        self.say(&json!({ "id": id, "type": "subscribe", "payload": { "query": query } })).await;
    }

    /// The next message, which is no close.
    pub async fn hear(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("no message but {other:?}"),
            }
        }
    }

    /// What the next value says is in use.
    pub async fn usage(&mut self) -> Value {
        let message = self.hear().await;
        assert_eq!(message["type"], "next", "{message}");
        message["payload"]["data"]["usage"]["ram"]["megabytesUsed"].clone()
    }

    /// The extensions of an operation's one error, whether it fails before its first value or in its place.
    pub async fn refusal(&mut self, id: &str, query: &str) -> Value {
        self.start(id, query).await;
        let message = self.hear().await;
        assert_eq!(message["id"], id, "{message}");
        let errors = match message["type"].as_str().unwrap() {
            "error" => message["payload"].clone(),
            "next" => {
                assert_eq!(self.hear().await, json!({ "id": id, "type": "complete" }));
                message["payload"]["errors"].clone()
            }
            other => panic!("{other}"),
        };
        errors[0]["extensions"].clone()
    }

    /// The code with which the server closes, whatever it says before.
    pub async fn closed(&mut self, patience: Duration) -> u16 {
        let closing = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                    Some(Ok(Message::Close(None)) | Err(_)) | None => return 1006,
                    Some(Ok(_)) => {}
                }
            }
        };
        timeout(patience, closing).await.expect("the server closes the socket in time")
    }

    /// Asks for a pong, which has to be the very next message: nothing else was under way.
    pub async fn assert_quiet(&mut self) {
        let payload = json!({ "at": [1, "two"] });
        self.say(&json!({ "type": "ping", "payload": payload })).await;
        assert_eq!(self.hear().await, json!({ "type": "pong", "payload": payload }));
    }
}

/// Who reports what accounts use.
pub struct Agent {
    pub client: Client,
    pub sequence: u64,
}

impl Agent {
    pub fn of(home: &Home, server: &Server) -> Self {
        let token = home.print(&["agent", "create", "--name", "a"]);
        Self { client: server.client().with_token(&token), sequence: 0 }
    }

    pub async fn report(&mut self, account: &str, megabytes: u64) {
        self.sequence += 1;
        let sample = json!({ "account": account, "ramBytes": megabytes << 20 });
        let input = json!({ "sequence": self.sequence, "samples": [sample] });
        self.client.data(REPORT, json!({ "input": input })).await;
    }
}

/// A response of server-sent events, read one by one.
pub struct Events {
    pub response: reqwest::Response,
    pub unread: String,
}

impl Events {
    pub async fn of(client: &Client, query: &str) -> Self {
        let request =
            client.http.post(format!("{}/graphql", client.address)).header("content-type", "application/json");
        let request = request.body(json!({ "query": query }).to_string());
        Self::to(client, request).await
    }

    pub async fn to(client: &Client, mut request: reqwest::RequestBuilder) -> Self {
        if let Some(token) = &client.token {
            request = request.bearer_auth(token);
        }
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), 200);
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        assert!(response.headers().contains_key("x-request-id"));
        Self { response, unread: String::new() }
    }

    /// The next event's name and data; none at the end.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.unread.find("\n\n") {
                let event: String = self.unread.drain(..end + 2).collect();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let data = field("data:").filter(|data| !data.is_empty());
                let data = data.map_or(Value::Null, |data| serde_json::from_str(data).unwrap());
                match field("event:") {
                    Some(name) => return Some((name.to_owned(), data)),
                    // A comment, which keeps the connection alive.
                    None => continue,
                }
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("an event in time").unwrap()?;
            self.unread += std::str::from_utf8(&chunk).unwrap();
        }
    }

    pub async fn result(&mut self) -> Value {
        // Comments that keep the connection alive are no event.
        let (event, data) = timeout(PATIENCE, self.next()).await.expect("an event in time").expect("an event");
        assert_eq!(event, "next", "{data}");
        data
    }

    pub async fn assert_complete(&mut self) {
        assert_eq!(self.next().await, Some(("complete".to_owned(), Value::Null)));
        assert_eq!(self.next().await, None);
    }
}
