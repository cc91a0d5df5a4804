//! Follows an account's usage over a WebSocket, in the protocol `graphql-transport-ws`.
//!
//! `cargo run -p examples --bin watch -- http://127.0.0.1:8000 ACCESS_TOKEN`

use std::error::Error;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const QUERY: &str = "subscription {
    usage { at cpu { coresUsed percent } ram { megabytesUsed } storage { gigabytesUsed } activity { apiCallsPerHour } }
}";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(token)) = (arguments.next(), arguments.next()) else {
        return Err("usage: watch http://HOST:PORT ACCESS_TOKEN".into());
    };
    let mut request = format!("{}/graphql", server.replacen("http", "ws", 1)).into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse()?);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
    let say = |message: Value| Message::text(message.to_string());
    let credentials = json!({ "authorization": format!("Bearer {token}") });
    socket.send(say(json!({ "type": "connection_init", "payload": credentials }))).await?;
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(text) => {
                let message: Value = serde_json::from_str(&text)?;
                match message["type"].as_str() {
                    Some("connection_ack") => {
                        let operation = json!({ "type": "subscribe", "id": "1", "payload": { "query": QUERY } });
                        socket.send(say(operation)).await?;
                    }
                    Some("next") => println!("{}", message["payload"]["data"]["usage"]),
                    _ => println!("{message}"),
                }
            }
            Message::Close(frame) => {
                println!("closed: {frame:?}");
                break;
            }
            _ => {}
        }
    }
    Ok(())
}
