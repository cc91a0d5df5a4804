//! Live operations over a WebSocket, in the protocol `graphql-transport-ws`.

mod harness;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use harness::Home;
use harness::live::{ABOUT_A_SECOND, Agent, Events, PATIENCE, PROTOCOL, Socket, TIERS, USAGE, handshake, nested};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::test]
async fn a_watched_account_gives_its_reading_at_once_and_then_on_change() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let mut agent = Agent::of(&home, &server);
    let mut socket = Socket::of(&server, Some(&ada.access)).await;
    socket.start("1", USAGE).await;
    assert_eq!(socket.usage().await, Value::Null);
    for (megabytes, told) in [(5, 5.0), (7, 7.0)] {
        agent.report(&ada.id, megabytes).await;
        assert_eq!(socket.usage().await, json!(told));
    }
    // Nothing changes, so nothing is said; nor does another account's usage.
    let bob = server.client().register("bob@example.org").await;
    agent.report(&bob.id, 9).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    socket.assert_quiet().await;
}

#[tokio::test]
async fn quick_changes_become_one_value_an_interval_and_the_last_is_the_newest() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let mut agent = Agent::of(&home, &server);
    let mut socket = Socket::of(&server, Some(&ada.access)).await;
    let started = Instant::now();
    socket.start("1", "subscription { usage(intervalMs: 1000) { ram { megabytesUsed } } }").await;
    assert_eq!(socket.usage().await, Value::Null);
    for megabytes in 1..=20 {
        agent.report(&ada.id, megabytes).await;
    }
    let mut values = 1;
    while socket.usage().await != json!(20.0) {
        values += 1;
    }
    // One for each interval that has begun, and a little for a machine that was busy in between.
    assert!(values <= started.elapsed().as_secs() + 2, "{values} values in {:?}", started.elapsed());
    socket.assert_quiet().await;
}

#[tokio::test]
async fn a_query_on_a_socket_gives_one_answer_and_ends() {
    let home = Home::new();
    let server = home.serve();
    let mut socket = Socket::of(&server, None).await;
    for _ in 0..2 {
        socket.start("q", TIERS).await;
        let message = socket.hear().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!("q")), "{message}");
        assert_eq!(message["payload"]["data"]["tiers"][3]["tier"], "ENTERPRISE", "{message}");
        assert_eq!(socket.hear().await, json!({ "id": "q", "type": "complete" }));
        socket.assert_quiet().await;
    }
    let ada = server.client().register("ada@example.org").await;
    let mut socket = Socket::of(&server, Some(&ada.access)).await;
    socket.start("q", "{ me { id } }").await;
    assert_eq!(socket.hear().await["payload"]["data"]["me"]["id"], json!(ada.id));
    assert_eq!(socket.hear().await["type"], "complete");
    // What is done over a socket is done.
    socket.start("m", "mutation { logout }").await;
    assert_eq!(socket.hear().await["payload"]["data"]["logout"], true);
    assert_eq!(ada.client.code("{ me { id } }", Value::Null).await, "TOKEN_INVALID");
}

#[tokio::test]
async fn nobody_watches_without_a_token() {
    let home = Home::new();
    let server = home.serve();
    let mut socket = Socket::of(&server, None).await;
    assert_eq!(socket.refusal("1", USAGE).await["code"], "UNAUTHENTICATED");
    socket.assert_quiet().await;
    let agent = home.print(&["agent", "create", "--name", "a"]);
    let mut socket = Socket::of(&server, Some(&agent)).await;
    let code = socket.refusal("1", USAGE).await["code"].clone();
    assert!(code == "FORBIDDEN" || code == "UNAUTHENTICATED", "{code}");
}

#[tokio::test]
async fn a_token_that_does_not_hold_opens_no_socket() {
    let home = Home::new();
    let server = home.serve();
    let gone = server.client().register("ada@example.org").await;
    gone.client.data("mutation { logout }", Value::Null).await;
    let other_home = Home::new();
    let other = other_home.serve().client().register("ada@example.org").await;
    let bearer = |token: &str| json!({ "authorization": format!("Bearer {token}") });
    for payload in [
        bearer("nonsense"),
        bearer(""),
        bearer(&gone.access),
        bearer(&other.access),
        json!({ "authorization": gone.access }),
        json!({ "authorization": 5 }),
        json!({ "authorization": null }),
    ] {
        let mut socket = Socket::open(&server).await;
        socket.say(&json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.closed(PATIENCE).await, 4403, "{payload}");
    }
    let mut socket = Socket::open(&server).await;
    socket.say(&json!({ "type": "connection_init", "payload": [] })).await;
    assert_eq!(socket.closed(PATIENCE).await, 4400);
}

#[tokio::test]
async fn messages_out_of_turn_close_the_socket_with_the_protocols_codes() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let mut early = Socket::open(&server).await;
    early.start("1", TIERS).await;
    assert_eq!(early.closed(PATIENCE).await, 4401);
    let mut twice = Socket::of(&server, None).await;
    twice.say(&json!({ "type": "connection_init" })).await;
    assert_eq!(twice.closed(PATIENCE).await, 4429);
    let mut duplicate = Socket::of(&server, Some(&ada.access)).await;
    duplicate.start("1", USAGE).await;
    duplicate.usage().await;
    duplicate.start("1", TIERS).await;
    assert_eq!(duplicate.closed(PATIENCE).await, 4409);
}

#[tokio::test]
async fn a_message_that_means_nothing_closes_the_socket() {
    let home = Home::new();
    let server = home.serve();
    let deep = format!("{{\"type\": \"ping\", \"payload\": {}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
    for nonsense in [
        "",
        "nonsense",
        "[]",
        "{}",
        "{\"type\": \"nonsense\"}",
        "{\"type\": \"next\", \"id\": \"1\", \"payload\": {}}",
        "{\"type\": \"subscribe\", \"payload\": {\"query\": \"{ tiers { tier } }\"}}",
        "{\"type\": \"subscribe\", \"id\": 5, \"payload\": {\"query\": \"{ tiers { tier } }\"}}",
        "{\"type\": \"subscribe\", \"id\": \"1\"}",
        "{\"type\": \"subscribe\", \"id\": \"1\", \"payload\": {}}",
        "{\"type\": \"complete\"}",
        &deep,
    ] {
        let mut socket = Socket::of(&server, None).await;
        socket.0.send(Message::text(nonsense)).await.unwrap();
        assert_eq!(socket.closed(PATIENCE).await, 4400, "{nonsense:.80}");
    }
    let mut socket = Socket::of(&server, None).await;
    socket.0.send(Message::binary(json!({ "type": "ping" }).to_string().into_bytes())).await.unwrap();
    assert_eq!(socket.closed(PATIENCE).await, 4400);
    // Larger than is read; which code it gets is the library's.
    let mut socket = Socket::of(&server, None).await;
    let _ = socket.0.send(Message::text(" ".repeat(2_000_000))).await;
    socket.closed(PATIENCE).await;
    Socket::of(&server, None).await.assert_quiet().await;
}

#[tokio::test]
async fn a_socket_without_the_subprotocol_is_closed() {
    let home = Home::new();
    let server = home.serve();
    let (stream, response) = tokio_tungstenite::connect_async(handshake(&server, &[])).await.unwrap();
    assert!(!response.headers().contains_key("sec-websocket-protocol"));
    assert_eq!(Socket(stream).closed(PATIENCE).await, 4406);
}

#[tokio::test]
async fn a_socket_that_does_not_say_who_it_is_is_closed() {
    let home = Home::new();
    let server = home.serve();
    let mut socket = Socket::open(&server).await;
    let started = Instant::now();
    // Talking of something else wins no time.
    socket.assert_quiet().await;
    assert_eq!(socket.closed(2 * PATIENCE).await, 4408);
    assert!(started.elapsed() > Duration::from_secs(5));
}

#[tokio::test]
async fn nothing_follows_a_complete_and_its_id_can_be_used_again() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let mut agent = Agent::of(&home, &server);
    let mut socket = Socket::of(&server, Some(&ada.access)).await;
    for megabytes in 1..=3 {
        socket.start("1", USAGE).await;
        socket.usage().await;
        socket.say(&json!({ "id": "1", "type": "complete" })).await;
        // Completing what is not there is no fault.
        socket.say(&json!({ "id": "2", "type": "complete" })).await;
        socket.assert_quiet().await;
        agent.report(&ada.id, megabytes).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        socket.assert_quiet().await;
    }
    socket.start("1", USAGE).await;
    assert_eq!(socket.usage().await, json!(3.0));
}

#[tokio::test]
async fn a_ping_gets_its_payload_back() {
    let home = Home::new();
    let server = home.serve();
    let mut socket = Socket::of(&server, None).await;
    socket.assert_quiet().await;
    socket.say(&json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await, json!({ "type": "pong" }));
    socket.say(&json!({ "type": "pong", "payload": { "a": 1 } })).await;
    socket.assert_quiet().await;
}

#[tokio::test]
async fn an_operation_that_is_not_executed_ends_with_its_error() {
    let home = Home::new();
    let server = home.serve();
    let mut socket = Socket::of(&server, None).await;
    for (query, code) in [
        ("{", "INVALID_INPUT"),
        ("{ nonsense other }", "INVALID_INPUT"),
        ("subscription { nonsense }", "INVALID_INPUT"),
        ("query A { tiers { tier } } query B { tiers { tier } }", "INVALID_INPUT"),
        ("fragment F on Query { tiers { tier } }", "INVALID_INPUT"),
        (&nested(), "QUERY_TOO_COMPLEX"),
        (&"tiers ".repeat(9_000), "QUERY_TOO_COMPLEX"),
    ] {
        socket.start("1", query).await;
        let message = socket.hear().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("1")), "{message}");
        for error in message["payload"].as_array().unwrap() {
            assert_eq!(error["extensions"]["code"], code, "{message}");
        }
        socket.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_subscription_follows_one_thing() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let mut socket = Socket::of(&server, Some(&ada.access)).await;
    for query in [
        "subscription { usage { at } a: usage { at } }",
        "subscription { usage { at } ...F } fragment F on Subscription { a: usage { at } }",
    ] {
        socket.start("1", query).await;
        let message = socket.hear().await;
        assert_eq!(message["type"], "error", "{message}");
        assert_eq!(message["payload"][0]["extensions"]["code"], "INVALID_INPUT", "{message}");
        socket.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_hostile_document_on_a_socket_costs_nobody_else_anything() {
    let home = Home::new();
    let server = home.serve();
    let doubling: String = (0..28).map(|n| format!(" fragment F{n} on Query {{ ...F{0} ...F{0} }}", n + 1)).collect();
    let mut bystander = Socket::of(&server, None).await;
    for document in [
        nested(),
        format!("{{ ...F0 }}{doubling} fragment F28 on Query {{ __typename }}"),
        format!("{{ ...F0 }}{doubling} fragment F28 on Query {{ ...Missing }}"),
        format!("subscription {{ usage(a: [\"\"\"\" {}1{}]) {{ at }} }}", "[".repeat(1_500), "]".repeat(1_500)),
    ] {
        let mut socket = Socket::of(&server, None).await;
        assert_eq!(socket.refusal("1", &document).await["code"], "QUERY_TOO_COMPLEX", "{document:.80}");
        socket.assert_quiet().await;
        bystander.assert_quiet().await;
        server.client().data(TIERS, Value::Null).await;
    }
}

#[tokio::test]
async fn a_page_of_another_site_opens_no_socket() {
    let home = Home::new().with("ALLOWED_ORIGINS", "https://app.example");
    let server = home.serve();
    for foreign in ["https://evil.example", "null", "https://app.example.evil.example"] {
        let refused = tokio_tungstenite::connect_async(handshake(&server, &[PROTOCOL, ("origin", foreign)])).await;
        let Err(Error::Http(response)) = refused else { panic!("{foreign}: {refused:?}") };
        assert_eq!(response.status(), 403, "{foreign}");
    }
    for own in ["https://app.example", &server.address] {
        let opened = tokio_tungstenite::connect_async(handshake(&server, &[PROTOCOL, ("origin", own)])).await;
        Socket(opened.unwrap().0).init(None).await;
    }
}

#[tokio::test]
async fn signing_out_closes_the_sockets_of_that_session_alone() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let bob = server.client().register("bob@example.org").await;
    let mut watching = Socket::of(&server, Some(&ada.access)).await;
    watching.start("1", USAGE).await;
    watching.usage().await;
    let mut idle = Socket::of(&server, Some(&ada.access)).await;
    let mut other = Socket::of(&server, Some(&bob.access)).await;
    ada.client.data("mutation { logout }", Value::Null).await;
    let (watching, idle) = tokio::join!(watching.closed(ABOUT_A_SECOND), idle.closed(ABOUT_A_SECOND));
    assert_eq!((watching, idle), (4403, 4403));
    other.start("1", USAGE).await;
    assert_eq!(other.usage().await, Value::Null);
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_says_so_to_everybody_and_leaves() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let mut watching = Socket::of(&server, Some(&ada.access)).await;
    watching.start("1", USAGE).await;
    watching.usage().await;
    let mut silent = Socket::open(&server).await;
    let mut events = Events::of(&ada.client, USAGE).await;
    events.result().await;
    let stopped = tokio::task::spawn_blocking(move || server.stop());
    let (watching, silent) = tokio::join!(watching.closed(PATIENCE), silent.closed(PATIENCE));
    assert_eq!((watching, silent), (1001, 1001));
    events.assert_complete().await;
    assert_eq!(timeout(PATIENCE, stopped).await.unwrap().unwrap(), Some(0));
}

#[tokio::test]
async fn an_interval_out_of_range_is_refused_by_name() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let mut socket = Socket::of(&server, Some(&ada.access)).await;
    for interval in [-1, 0, 99, 3_600_001] {
        let refusal = socket.refusal("1", &format!("subscription {{ usage(intervalMs: {interval}) {{ at }} }}")).await;
        assert_eq!(
            (&refusal["code"], &refusal["field"]),
            (&json!("INVALID_INPUT"), &json!("intervalMs")),
            "{interval}"
        );
    }
    for interval in [100, 3_600_000] {
        let id = interval.to_string();
        socket.start(&id, &format!("subscription {{ usage(intervalMs: {interval}) {{ at }} }}")).await;
        assert_eq!(socket.hear().await["type"], "next");
    }
}

#[tokio::test]
async fn a_reader_that_stops_reading_costs_the_others_nothing_and_is_dropped() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let mut agent = Agent::of(&home, &server);
    // It takes in little, asks for much, and never reads.
    let stuck = TcpSocket::new_v4().unwrap();
    stuck.set_recv_buffer_size(4096).unwrap();
    let address = server.address.strip_prefix("http://").unwrap().parse().unwrap();
    let stuck = stuck.connect(address).await.unwrap();
    let (stuck, _) = tokio_tungstenite::client_async(handshake(&server, &[PROTOCOL]), stuck).await.unwrap();
    let mut stuck = Socket(stuck);
    stuck.init(Some(&ada.access)).await;
    stuck.start("usage", USAGE).await;
    let aliases: String = (0..1_900).map(|n| format!("a{n}:tier ")).collect();
    for query in 0..60 {
        stuck.start(&query.to_string(), &format!("{{ tiers {{ {aliases} }} }}")).await;
    }
    let mut reading = Socket::of(&server, Some(&ada.access)).await;
    reading.start("1", USAGE).await;
    reading.usage().await;
    let reports = async {
        for megabytes in 1..=200 {
            agent.report(&ada.id, megabytes).await;
        }
    };
    let values = async {
        let mut values = 0;
        while reading.usage().await != json!(200.0) {
            values += 1;
        }
        values
    };
    let ((), values) = tokio::join!(reports, values);
    assert!(values > 1, "{values}");
    let still_open = async {
        loop {
            let metrics = server.client().http.get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
            if metrics.lines().any(|line| line == "dimensionos_streams 1") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    // The other goes on reading, and so answers the pings that tell the two apart.
    let reads_on = async { while let Some(Ok(_)) = reading.0.next().await {} };
    let dropped = async {
        tokio::select! {
            () = still_open => true,
            () = reads_on => false,
        }
    };
    let dropped = timeout(Duration::from_secs(45), dropped).await.expect("the reader that is stuck is dropped");
    assert!(dropped, "the one that reads is not");
    reading.assert_quiet().await;
}
