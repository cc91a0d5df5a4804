//! The messages of `graphql-transport-ws`.

use async_graphql::ServerError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{Answer, Operation};

/// The name of the protocol, as clients ask for it.
pub(super) const NAME: &str = "graphql-transport-ws";

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    /// Opens the connection, with the client's credentials.
    ConnectionInit {
        #[serde(default)]
        payload: Option<Value>,
    },
    /// Starts an operation.
    Subscribe { id: String, payload: Operation },
    /// Ends an operation.
    Complete { id: String },
    /// Asks for a pong.
    Ping {
        #[serde(default)]
        payload: Option<Value>,
    },
    /// Answers a ping.
    Pong {
        #[serde(default, rename = "payload")]
        _payload: Option<Value>,
    },
}

/// What the server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    ConnectionAck,
    Error {
        id: &'a str,
        payload: &'a [ServerError],
    },
    Complete {
        id: &'a str,
    },
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Value>,
    },
}

impl ServerMessage<'_> {
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What an operation gave. The answer is JSON already, and may be everybody's who watches the same.
pub(super) fn next_text(id: &str, answer: &Answer) -> String {
    let answer = answer.to_json();
    let mut text = String::with_capacity(answer.len() + id.len() + 48);
    text.push_str("{\"id\":");
    text.push_str(&Value::from(id).to_string());
    text.push_str(",\"type\":\"next\",\"payload\":");
    text.push_str(&String::from_utf8_lossy(&answer));
    text.push('}');
    text
}

/// Why a socket is closed. A reason has at most 123 bytes on the wire; these are short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

const fn closing(code: u16, reason: &'static str) -> Closing {
    Closing { code, reason }
}

pub(super) const GOING_AWAY: Closing = closing(1001, "Going away");
pub(super) const TOO_BIG: Closing = closing(1009, "The message is larger than this server reads");
pub(super) const TOO_OFTEN: Closing = closing(1013, "RATE_LIMITED");
pub(super) const INTERNAL: Closing = closing(1011, "Internal error");
pub(super) const BAD_MESSAGE: Closing = closing(4400, "Invalid message received");
pub(super) const UNAUTHORIZED: Closing = closing(4401, "Unauthorized");
pub(super) const TOKEN_EXPIRED: Closing = closing(4401, "TOKEN_EXPIRED");
pub(super) const TOKEN_INVALID: Closing = closing(4403, "TOKEN_INVALID");
pub(super) const SUSPENDED: Closing = closing(4403, "SERVICE_SUSPENDED");
pub(super) const CANCELLED: Closing = closing(4403, "SERVICE_CANCELLED");
pub(super) const TERMS_NOT_ACCEPTED: Closing = closing(4403, "TERMS_NOT_ACCEPTED");
pub(super) const BAD_PROTOCOL: Closing = closing(4406, "Subprotocol not acceptable");
pub(super) const INIT_TIMEOUT: Closing = closing(4408, "Connection initialisation timeout");
pub(super) const DUPLICATE_ID: Closing = closing(4409, "Subscriber already exists");
pub(super) const SECOND_INIT: Closing = closing(4429, "Too many initialisation requests");
