//! How much may be asked, how often, and by which documents.

mod harness;

use harness::http::{Reply, ask, path, post, request};
use harness::live::{Agent, PATIENCE, Socket, TIERS};
use harness::{Home, sha256};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn an_account_may_ask_as_often_as_it_is_granted_calls() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let operator = server.client().with_token(&home.print(&["operator", "create", "--name", "ops"]));
    let agent = Agent::of(&home, &server);
    let limit = "mutation($id: ID!, $until: DateTime!) { setLimit(account: $id, resource: API_CALLS, limit: 10, until: $until) { id } }";
    operator.data(limit, json!({ "id": ada.id, "until": "2099-01-01T00:00:00Z" })).await;
    // What its workload has used is no reason not to look at it.
    let sample = json!({ "account": ada.id, "apiCalls": 4_000 });
    agent.client.data(harness::REPORT, json!({ "input": { "sequence": 1, "samples": [sample] } })).await;
    let calls = "{ me { metrics { activity { apiCallsPerHour } } } }";
    for _ in 0..10 {
        assert_eq!(ada.client.data(calls, Value::Null).await["me"]["metrics"]["activity"]["apiCallsPerHour"], 4_000);
        // What is refused before it is executed is no call.
        ada.client.code("{ nonsense }", Value::Null).await;
    }
    let refused = ada.client.refusal("{ me { id } }", Value::Null).await;
    let facts = ["code", "resource", "limit", "used"].map(|fact| refused[fact].clone());
    assert_eq!(facts, [json!("QUOTA_EXCEEDED"), json!("API_CALLS"), json!(10), json!(10)]);
    assert!(refused["resetsAt"].is_string(), "{refused}");
    let mut socket = Socket::of(&server, Some(&ada.access)).await;
    assert_eq!(socket.refusal("1", "{ me { id } }").await["code"], "QUOTA_EXCEEDED");
    // Whoever has asked so often may still leave; others do not notice.
    assert_eq!(ada.client.data("mutation { logout }", Value::Null).await["logout"], true);
    server.client().register("bob@example.org").await.client.data("{ me { id } }", Value::Null).await;

    let home = Home::new().with("CHARGE_API_CALLS", "false");
    let server = home.serve();
    let free = server.client().register("ada@example.org").await;
    for _ in 0..1_001 {
        free.client.data("{ me { id } }", Value::Null).await;
    }
}

#[tokio::test]
async fn a_source_without_a_token_that_holds_may_ask_only_so_often() {
    let home = Home::new().with("SOURCE_RATE", "1").with("SOURCE_BURST", "20");
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    ada.client.data("{ me { id } }", Value::Null).await;
    let mut answers = Vec::new();
    for _ in 0..30 {
        answers.push(Reply::to(ask(&server, TIERS)).await);
    }
    let refused = answers.iter().find(|answer| answer.status == 429).expect("one is refused");
    assert_eq!(refused.code(), "RATE_LIMITED");
    assert!(refused.header("retry-after").is_some(), "{}", refused.text);
    assert!(refused.json()["errors"][0]["extensions"]["retryAfterSeconds"].as_u64().unwrap() >= 1);
    // A bad token is no way around it, and a known good one is. A second may pass in between, after which one more is
    // let in: so each is asked a few times.
    let nonsense = server.client().with_token("nonsense");
    let (mut codes, mut statuses) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        codes.push(nonsense.code("{ me { id } }", Value::Null).await);
        let upgrade =
            request(&server, Method::GET, "/graphql").header("connection", "upgrade").header("upgrade", "websocket");
        statuses.push(upgrade.send().await.unwrap().status().as_u16());
        ada.client.data("{ me { id } }", Value::Null).await;
    }
    assert!(codes.iter().any(|code| code == "RATE_LIMITED"), "{codes:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn every_answer_tells_what_it_cost_and_too_much_is_refused() {
    let home = Home::new();
    let server = home.serve();
    let operator = server.client().with_token(&home.print(&["operator", "create", "--name", "ops"]));
    let cost = async |query: &str, variables: Value| operator.ask(query, variables).await["extensions"]["cost"].clone();
    assert_eq!(cost("{ service { name version } }", Value::Null).await, 3);
    assert_eq!(cost("{ tiers { tier } }", Value::Null).await, 11);
    assert_eq!(cost("{ accounts(first: 5) { nodes { id tier } } }", Value::Null).await, 16);
    assert_eq!(cost("{ accounts { nodes { id tier } } }", Value::Null).await, 61);
    let page = "query($n: Int = 2) { accounts(first: $n) { nodes { ...F } } } fragment F on Account { id tier }";
    assert_eq!(cost(page, Value::Null).await, 7);
    assert_eq!(cost(page, json!({ "n": 50 })).await, 151);
    let much = "{ accounts(first: 100) { nodes { violations(first: 100) { nodes { id } } } } }";
    assert_eq!(operator.code(much, Value::Null).await, "QUERY_TOO_COMPLEX");
    let aliases: String = (0..65).map(|n| format!("a{n}: name ")).collect();
    assert_eq!(operator.code(&format!("{{ service {{ {aliases} }} }}"), Value::Null).await, "QUERY_TOO_COMPLEX");
}

#[tokio::test]
async fn a_document_that_was_sent_with_its_digest_is_asked_for_by_it() {
    let home = Home::new();
    let server = home.serve();
    let by = |query: &str, hash: &str| {
        json!({ "query": query, "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } }).to_string()
    };
    let alone =
        |hash: &str| json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } }).to_string();
    let digest = sha256(TIERS);
    let unknown = Reply::to(post(&server, alone(&digest))).await;
    assert_eq!(unknown.code(), "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(unknown.json()["errors"][0]["message"], "PersistedQueryNotFound");
    for (body, code) in [
        (by(TIERS, &sha256("{ me { id } }")), "INVALID_INPUT"),
        (by(TIERS, "nonsense"), "INVALID_INPUT"),
        (by("{ nonsense }", &sha256("{ nonsense }")), "INVALID_INPUT"),
        (alone(&sha256("{ nonsense }")), "PERSISTED_QUERY_NOT_FOUND"),
        (by(TIERS, &digest).replace("\"version\":1", "\"version\":2"), "INVALID_INPUT"),
        ("{}".to_owned(), "INVALID_INPUT"),
    ] {
        assert_eq!(Reply::to(post(&server, body.clone())).await.code(), code, "{body}");
    }
    assert_eq!(Reply::to(post(&server, by(TIERS, &digest))).await.json()["data"]["tiers"][3]["tier"], "ENTERPRISE");
    assert_eq!(Reply::to(post(&server, alone(&digest))).await.json()["data"]["tiers"][3]["tier"], "ENTERPRISE");
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": digest } }).to_string();
    let got = harness::http::page(&server, &path(&[("extensions", &extensions)])).await;
    assert_eq!(got.json()["data"]["tiers"][3]["tier"], "ENTERPRISE", "{}", got.text);
    let mut socket = Socket::of(&server, None).await;
    socket.say(&json!({ "id": "1", "type": "subscribe", "payload": serde_json::from_str::<Value>(&alone(&digest)).unwrap() })).await;
    assert_eq!(socket.hear().await["payload"]["data"]["tiers"][0]["tier"], "FREE");
}

#[tokio::test]
async fn from_a_list_nothing_else_is_executed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queries.json");
    std::fs::write(&file, json!({ (sha256(TIERS)): TIERS }).to_string()).unwrap();
    let home = Home::new().with("PERSISTED_QUERIES", "only").with("PERSISTED_QUERIES_FILE", file.to_str().unwrap());
    let server = home.serve();
    assert_eq!(Reply::to(ask(&server, TIERS)).await.json()["data"]["tiers"][0]["tier"], "FREE");
    let alone =
        json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": sha256(TIERS) } } }).to_string();
    assert_eq!(Reply::to(post(&server, alone)).await.json()["data"]["tiers"][0]["tier"], "FREE");
    for other in ["{ service { name } }", "{ __schema { types { name } } }", "{"] {
        assert_eq!(Reply::to(ask(&server, other)).await.code(), "PERSISTED_QUERY_NOT_FOUND", "{other}");
    }
}

#[tokio::test]
async fn variables_are_settled_before_anything_is_executed() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    // Left out without a default, a variable leaves its argument out too.
    let page =
        "query($first: Int, $after: String) { me { violations(first: $first, after: $after) { nodes { id } } } }";
    assert!(ada.client.data(page, Value::Null).await["me"]["violations"]["nodes"].is_array());
    assert!(ada.client.data(page, json!({ "first": 5 })).await["me"]["violations"]["nodes"].is_array());
    // A default counts where a directive asks.
    let included = "query($with: Boolean = true) { me { id tier @include(if: $with) } }";
    assert_eq!(ada.client.data(included, Value::Null).await["me"]["tier"], "FREE");
    assert_eq!(ada.client.data(included, json!({ "with": false })).await["me"]["tier"], Value::Null);
    let history = "query($r: Resource!, $from: DateTime!) { me { usageHistory(resource: $r, from: $from) { at } } }";
    let login = "mutation($i: LoginInput!) { login(input: $i) { account { id } } }";
    for (query, variables) in [
        (history, json!({ "r": "NONSENSE", "from": "2026-01-01T00:00:00Z" })),
        (history, json!({ "r": "CPU", "from": "yesterday" })),
        (history, json!({ "r": "CPU" })),
        (history, json!({ "r": null, "from": "2026-01-01T00:00:00Z" })),
        (page, json!({ "first": "5" })),
        (page, json!({ "first": 5_000_000_000_u64 })),
        (included, json!({ "with": "yes" })),
        (login, json!({ "i": { "identity": { "email": "a@b.example", "accountNumber": "x" }, "password": "x" } })),
        (login, json!({ "i": { "identity": { "email": null }, "password": "x" } })),
        (login, json!({ "i": { "identity": { "email": "a@b.example" } } })),
        (login, json!({ "i": { "identity": { "email": "a@b.example" }, "password": "x", "more": 1 } })),
        (login, json!({ "i": [] })),
    ] {
        let answer = ada.client.ask(query, variables.clone()).await;
        assert_eq!(answer["errors"][0]["extensions"]["field"], "variables", "{variables}: {answer}");
        assert!(answer.get("data").is_none(), "{answer}");
    }
}

#[tokio::test]
async fn a_message_larger_than_the_limit_closes_the_socket_and_says_so() {
    let home = Home::new();
    let server = home.serve();
    let mut socket = Socket::of(&server, None).await;
    let query = format!("{TIERS}{}", " ".repeat(1_000_000));
    let said = json!({ "id": "1", "type": "subscribe", "payload": { "query": query } }).to_string();
    let message = tokio_tungstenite::tungstenite::Message::text(said);
    // The server need not have read all of it before it closes.
    let _ = futures_util::SinkExt::send(&mut socket.0, message).await;
    assert_eq!(socket.closed(PATIENCE).await, 1009);
}

#[tokio::test]
async fn fragments_at_the_root_of_a_subscription_are_followed() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let mut socket = Socket::of(&server, Some(&ada.access)).await;
    socket.start("1", "subscription { ...F } fragment F on Subscription { usage { ram { megabytesUsed } } }").await;
    assert_eq!(socket.usage().await, Value::Null);
}
