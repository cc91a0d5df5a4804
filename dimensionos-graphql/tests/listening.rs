//! How long a socket may listen: until its account may not, or its token runs out and is not renewed.

mod harness;

use std::time::Duration;

use futures_util::StreamExt;
use harness::Home;
use harness::live::{ABOUT_A_SECOND, Agent, PATIENCE, Socket, USAGE};
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_suspended_accounts_socket_is_closed_within_a_second_and_a_read_only_ones_goes_on() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let operator = client.with_token(&home.print(&["operator", "create", "--name", "ops"]));
    let set =
        "mutation($a: ID!, $s: ServiceStatus!) { setServiceStatus(account: $a, status: $s, reason: \"r\") { id } }";
    for (status, reason) in [("SUSPENDED", "SERVICE_SUSPENDED"), ("CANCELLED", "SERVICE_CANCELLED")] {
        let ada = client.register(&format!("{}@example.org", status.to_lowercase())).await;
        let mut socket = Socket::of(&server, Some(&ada.access)).await;
        socket.start("1", USAGE).await;
        socket.usage().await;
        operator.data(set, json!({ "a": ada.id, "s": "READ_ONLY" })).await;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        socket.assert_quiet().await;
        operator.data(set, json!({ "a": ada.id, "s": status })).await;
        let closed = timeout(ABOUT_A_SECOND, socket.0.next()).await.expect("the socket closes in time");
        match closed {
            Some(Ok(Message::Close(Some(frame)))) => {
                assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4403, reason));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_is_renewed_in_place_for_the_same_account_alone() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let mut agent = Agent::of(&home, &server);
    let (ada, bob) = (client.register("ada@example.org").await, client.register("bob@example.org").await);
    let refresh = "mutation($t: String!) { refresh(refreshToken: $t) { tokens { accessToken } } }";
    let renewed = client.data(refresh, json!({ "t": ada.refresh })).await["refresh"]["tokens"]["accessToken"].clone();
    let renew = |token: &str| json!({ "type": "ping", "payload": { "authorization": format!("Bearer {token}") } });

    let mut socket = Socket::of(&server, Some(&ada.access)).await;
    socket.start("1", USAGE).await;
    socket.usage().await;
    socket.say(&renew(renewed.as_str().unwrap())).await;
    // The token does not come back.
    assert_eq!(socket.hear().await, json!({ "type": "pong" }));
    agent.report(&ada.id, 7).await;
    assert_eq!(socket.usage().await, json!(7.0));

    for (token, code) in [(bob.access.as_str(), 4403), ("nonsense", 4403)] {
        let mut socket = Socket::of(&server, Some(&ada.access)).await;
        socket.say(&renew(token)).await;
        assert_eq!(socket.closed(PATIENCE).await, code, "{token}");
    }
    // Nobody becomes somebody that way.
    let mut socket = Socket::of(&server, None).await;
    socket.say(&renew(&ada.access)).await;
    assert_eq!(socket.closed(PATIENCE).await, 4403);
}
