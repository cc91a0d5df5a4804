//! What cannot be done without: a text, made once a change, written to every socket that is to have it.

use std::io::Write;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::figures::microseconds;
use crate::server::{PARTS, obey};

pub(crate) fn run(accounts: usize) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let texts: Arc<Vec<watch::Sender<Utf8Bytes>>> =
            Arc::new((0..PARTS).map(|_| watch::channel(text(microseconds())).0).collect());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        (0..accounts).for_each(|number| println!("{number}"));
        std::io::stdout().flush().expect("said");
        tokio::spawn(accept(listener, Arc::clone(&texts)));
        let last = obey(accounts, move |number| {
            // The first of a part changes it for all.
            if number < PARTS {
                let now = microseconds();
                texts[number].send_replace(text(now));
            }
            value(&texts[number % PARTS].borrow())
        });
        let last = last.await;
        println!("{}", last.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    });
    std::process::exit(0);
}

/// As long as what the server under test sends.
fn text(now: u64) -> Utf8Bytes {
    format!(
        r#"{{"id":"1","type":"next","payload":{{"data":{{"usage":{{"at":"2026-01-01T00:00:00.000Z","cpu":{{"coresUsed":0.25,"percent":25.0}},"ram":{{"megabytesUsed":123.0,"percent":12.5}},"network":{{"connections":{now},"bytesSent":1234}}}}}},"extensions":{{"cost":10}}}}}}"#
    )
    .into()
}

fn value(text: &str) -> u64 {
    let digits = text.split("\"connections\":").nth(1).and_then(|rest| rest.split(',').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

async fn accept(listener: tokio::net::TcpListener, texts: Arc<Vec<watch::Sender<Utf8Bytes>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let texts = Arc::clone(&texts);
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let config = WebSocketConfig::default().read_buffer_size(512).write_buffer_size(0);
            #[expect(clippy::result_large_err, reason = "as the library has it")]
            let agree = |_: &Request, mut response: Response| {
                let protocol = "graphql-transport-ws".parse().expect("a header");
                response.headers_mut().insert("sec-websocket-protocol", protocol);
                Ok(response)
            };
            let accepted = tokio_tungstenite::accept_hdr_async_with_config(stream, agree, Some(config)).await;
            let Ok(mut socket) = accepted else { return };
            let Some(Ok(Message::Text(init))) = socket.next().await else { return };
            let number = init.split("Bearer ").nth(1).and_then(|rest| rest.split('"').next()?.parse::<usize>().ok());
            let _ = socket.send(Message::text(r#"{"type":"connection_ack"}"#)).await;
            let _ = socket.next().await;
            let mut changes = texts[number.unwrap_or(0) % PARTS].subscribe();
            loop {
                let text = changes.borrow_and_update().clone();
                if socket.send(Message::Text(text)).await.is_err() {
                    return;
                }
                tokio::select! {
                    told = changes.changed() => if told.is_err() { return },
                    message = socket.next() => if !matches!(message, Some(Ok(_))) { return },
                }
            }
        });
    }
}
