//! GraphQL over HTTP as its specification has it: types, statuses, forms.

mod harness;

use harness::http::{GRAPHQL_JSON, JSON, Reply, TIERS, ask, assert_serves, page, path, post, request};
use harness::{Home, PASSWORD, REGISTER, REPORT};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_body_that_is_not_declared_json_is_refused_unread() {
    let home = Home::new();
    let server = home.serve();
    let body = json!({ "query": TIERS }).to_string();
    let types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "json"];
    for kind in types.map(Some).into_iter().chain([None]) {
        let mut asked = request(&server, Method::POST, "/graphql").body(body.clone());
        if let Some(kind) = kind {
            asked = asked.header("content-type", kind);
        }
        let reply = Reply::to(asked).await;
        assert_eq!((reply.status, reply.code().as_str()), (415, "INVALID_INPUT"), "{kind:?}");
    }
    for kind in [JSON, "application/json; charset=utf-8", "Application/JSON"] {
        let asked = request(&server, Method::POST, "/graphql").body(body.clone()).header("content-type", kind);
        assert_eq!(Reply::to(asked).await.status, 200, "{kind}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_request_is_a_bad_one() {
    let home = Home::new();
    let server = home.serve();
    let deep = format!("{{\"query\": \"{TIERS}\", \"variables\": {}1{}}}", "{\"a\":".repeat(200), "}".repeat(200));
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        "[{\"query\": \"{ tiers { tier } }\"}]",
        "{}",
        "{\"query\": 5}",
        "{\"query\": null}",
        "{\"query\": \"{ tiers { tier } }\", \"variables\": []}",
        "{\"query\": \"{ tiers { tier } }\", \"operationName\": 5}",
        "\u{feff}{\"query\": \"{ tiers { tier } }\"}",
        &deep,
    ];
    for accept in [JSON, GRAPHQL_JSON] {
        for body in bodies {
            let reply = Reply::to(post(&server, body.to_owned()).header("accept", accept)).await;
            assert_eq!(reply.status, 400, "{body}: {}", reply.text);
            reply.assert_typed(body);
            assert!(reply.json().get("data").is_none(), "{body}");
        }
    }
    let not_utf8 = Reply::to(post(&server, b"{\"query\": \"\xff\"}".to_vec())).await;
    assert_eq!((not_utf8.status, not_utf8.code().as_str()), (400, "INVALID_INPUT"));
    assert_serves(&server, "bad bodies").await;
}

#[tokio::test]
async fn only_an_agent_may_send_a_large_body() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let agent = home.print(&["agent", "create", "--name", "a"]);
    let sample = json!({
        "account": ada.id, "cpuMillicores": 1_000, "ramBytes": 1_000_000, "storageBytes": 1_000_000, "fileCount": 1_000,
        "connections": 1_000, "tableCount": 1_000, "recordCount": 1_000, "cpuMicroseconds": 1_000, "bytesSent": 1_000,
        "bytesReceived": 1_000, "databaseQueries": 1_000, "apiCalls": 1_000, "fileOperations": 1_000,
    });
    let input = json!({ "sequence": 1, "samples": vec![sample; 1_000] });
    let report = json!({ "query": REPORT, "variables": { "input": input } }).to_string();
    let filled = |bytes: usize| report.clone() + &" ".repeat(bytes - report.len());
    for token in [None, Some(&ada.access)] {
        let mut asked = post(&server, filled(700_000));
        if let Some(token) = token {
            asked = asked.bearer_auth(token);
        }
        let reply = Reply::to(asked).await;
        assert_eq!((reply.status, reply.code().as_str()), (413, "QUERY_TOO_COMPLEX"));
    }
    let taken = Reply::to(post(&server, filled(700_000)).bearer_auth(&agent)).await;
    assert_eq!(taken.json()["data"]["reportUsage"]["samples"], 1_000, "{}", taken.text);
    let reply = Reply::to(post(&server, filled(1_100_000)).bearer_auth(&agent)).await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "QUERY_TOO_COMPLEX"));
    assert_serves(&server, "large bodies").await;
}

/// A client that is still sending when it is refused has to see why, not a connection that broke.
#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_words_every_time() {
    let home = Home::new();
    let server = home.serve();
    for _ in 0..20 {
        let reply = Reply::to(post(&server, " ".repeat(2_000_000))).await;
        assert_eq!((reply.status, reply.code().as_str()), (413, "QUERY_TOO_COMPLEX"));
    }
}

#[tokio::test]
async fn a_query_may_come_by_get_with_variables_and_a_name() {
    let home = Home::new();
    let server = home.serve();
    let reply = page(&server, &path(&[("query", TIERS)])).await;
    assert_eq!((reply.status, &reply.json()["data"]["tiers"][0]["tier"]), (200, &json!("FREE")));
    let two = "query A($yes: Boolean!) { tiers @include(if: $yes) { tier } service { name } } query B { service { version } }";
    let parameters = |name, variables| path(&[("query", two), ("operationName", name), ("variables", variables)]);
    let a = page(&server, &parameters("A", "{\"yes\": false}")).await.json();
    assert_eq!(a["data"].as_object().unwrap().keys().collect::<Vec<_>>(), ["service"], "{a}");
    let a = page(&server, &parameters("A", "{\"yes\": true}")).await.json();
    assert_eq!(a["data"]["tiers"].as_array().unwrap().len(), 4, "{a}");
    let b = page(&server, &parameters("B", "")).await.json();
    assert!(b["data"]["service"]["version"].is_string(), "{b}");
    let c = page(&server, &parameters("C", "{}")).await;
    assert_eq!(c.json()["errors"][0]["extensions"], json!({ "code": "INVALID_INPUT", "field": "operationName" }));
    let unnamed = page(&server, &path(&[("query", two)])).await;
    assert_eq!(unnamed.code(), "INVALID_INPUT");
    for bad in ["/graphql".to_owned(), path(&[("variables", "{}")]), parameters("A", "[]"), parameters("A", "{")] {
        let reply = page(&server, &bad).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "INVALID_INPUT"), "{bad}");
    }
    let ada = server.client().register("ada@example.org").await;
    let me = request(&server, Method::GET, &path(&[("query", "{ me { id } }")])).bearer_auth(&ada.access);
    assert_eq!(Reply::to(me).await.json()["data"]["me"]["id"], json!(ada.id));
}

#[tokio::test]
async fn a_mutation_by_get_is_refused_and_not_done() {
    let home = Home::new();
    let server = home.serve();
    let who = json!({ "email": "ada@example.org", "password": PASSWORD });
    let two = format!("query Q {TIERS} {}", REGISTER.replacen("mutation", "mutation M", 1));
    let variables = who.to_string();
    for parameters in [
        path(&[("query", REGISTER), ("variables", &variables)]),
        path(&[("query", &two), ("operationName", "M"), ("variables", &variables)]),
    ] {
        for accept in [JSON, GRAPHQL_JSON] {
            let reply = Reply::to(request(&server, Method::GET, &parameters).header("accept", accept)).await;
            assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{}", reply.text);
            reply.assert_typed("a mutation by GET");
        }
        Reply::to(request(&server, Method::HEAD, &parameters)).await;
    }
    // Had any of them been done, the address would be taken.
    server.client().register("ada@example.org").await;
    let other = Reply::to(request(&server, Method::PUT, "/graphql")).await;
    assert!(other.status == 405 && other.header("allow").is_some_and(|allow| allow.contains("POST")));
}

#[tokio::test]
async fn the_status_tells_a_bad_request_from_a_failed_field_where_the_client_knows_how_to_read_it() {
    let home = Home::new();
    let server = home.serve();
    let bodies = [
        json!({ "query": "{ tiers {" }),
        json!({ "query": "" }),
        json!({ "query": "{ tiers { nonsense } }" }),
        json!({ "query": "query A { tiers { tier } }", "operationName": "B" }),
        json!({ "query": "subscription { usage { at } }" }),
        json!({ "query": format!("{{ {} }}", "tiers { tier } ".repeat(20)) }),
    ];
    for body in bodies {
        for (accept, status) in [(GRAPHQL_JSON, 400), (JSON, 200), ("*/*", 200)] {
            let reply = Reply::to(post(&server, body.to_string()).header("accept", accept)).await;
            assert_eq!(reply.status, status, "{body}: {}", reply.text);
            reply.assert_typed(&body.to_string());
            assert!(reply.json().get("data").is_none(), "{body}: {}", reply.text);
            let kind = if status == 400 { GRAPHQL_JSON } else { JSON };
            assert!(reply.header("content-type").unwrap().starts_with(kind), "{:?}", reply.headers);
        }
    }
    for accept in [GRAPHQL_JSON, JSON] {
        let failed = Reply::to(ask(&server, "{ me { id } }").header("accept", accept)).await;
        assert_eq!((failed.status, failed.code().as_str()), (200, "UNAUTHENTICATED"));
        assert_eq!(failed.json().get("data"), Some(&Value::Null));
    }
}

#[tokio::test]
async fn nothing_is_done_where_a_variable_is_missing_or_wrong() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    for query in [
        "mutation($new: String!) { logout changePassword(current: \"x\", new: $new) { account { id } } }",
        "mutation($new: String!) { logout register(input: { password: $new }) { account { id } } }",
    ] {
        for variables in [json!({}), json!({ "new": null }), json!({ "new": 5 }), json!({ "new": ["x"] })] {
            let asked = post(&server, json!({ "query": query, "variables": variables }).to_string());
            let reply = Reply::to(asked.bearer_auth(&ada.access).header("accept", GRAPHQL_JSON)).await;
            assert_eq!((reply.status, reply.code().as_str()), (400, "INVALID_INPUT"), "{variables}: {}", reply.text);
            assert!(reply.json().get("data").is_none(), "{variables}: {}", reply.text);
            ada.client.data("{ me { id } }", Value::Null).await;
        }
    }
}

#[tokio::test]
async fn a_failed_field_that_is_never_null_takes_its_parent_with_it() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let client = server.client();
    for (client, query, code) in [
        (&client, "{ service { name } me { id } }", "UNAUTHENTICATED"),
        (&client, "{ me { id } node(id: \"x\") { id } service { name } }", "UNAUTHENTICATED"),
        (&ada.client, "mutation { logout refresh(refreshToken: \"x\") { account { id } } }", "TOKEN_INVALID"),
    ] {
        let answer = client.ask(query, Value::Null).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{answer}");
        assert_eq!(answer.get("data"), Some(&Value::Null), "{query}: {answer}");
    }
    // One that may be null is null, and not left out.
    let node = format!("{{ service {{ name }} node(id: \"{}\") {{ id }} }}", ada.id);
    let answer = client.ask(&node, Value::Null).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{answer}");
    assert_eq!(answer["data"], json!({ "service": { "name": "DimensionOS" }, "node": null }), "{answer}");
}

#[tokio::test]
async fn a_selection_of_which_everything_is_skipped_is_empty_and_not_null() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let data = client.ask("{ service { name @skip(if: true) } }", Value::Null).await;
    assert_eq!(data["data"], json!({ "service": {} }));
    let data = client.ask("{ tiers @include(if: false) { tier } }", Value::Null).await;
    assert_eq!(data["data"], json!({}));
}

#[tokio::test]
async fn an_answer_has_a_form_the_client_accepts() {
    let home = Home::new();
    let server = home.serve();
    for refused in ["text/html", "image/png, application/xml", "application/graphql"] {
        let reply = Reply::to(ask(&server, TIERS).header("accept", refused)).await;
        assert_eq!(reply.status, 406, "{refused}");
    }
    for (accept, kind) in [
        ("text/html, application/json;q=0.9", JSON),
        ("application/graphql-response+json; charset=utf-8, application/json", GRAPHQL_JSON),
        ("Application/JSON", JSON),
        ("*/*", JSON),
    ] {
        let reply = Reply::to(ask(&server, TIERS).header("accept", accept)).await;
        assert_eq!(reply.status, 200, "{accept}");
        assert!(reply.header("content-type").unwrap().starts_with(kind), "{accept}");
    }
    let two = ask(&server, TIERS).header("accept", "text/html").header("accept", JSON);
    assert_eq!(Reply::to(two).await.status, 200);
}

#[tokio::test]
async fn every_answer_is_named_and_kept_by_nobody() {
    let home = Home::new();
    let server = home.serve();
    let mut seen = Vec::new();
    for asked in [ask(&server, TIERS), ask(&server, "{"), post(&server, "{"), ask(&server, "{ me { id } }")] {
        let reply = Reply::to(asked).await;
        seen.push(reply.header("x-request-id").expect("a request has an id").to_owned());
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4);
    for path in ["/nowhere", "/health/live", "/metrics", "/.well-known/jwks.json", "/", "/graphiql"] {
        assert_eq!(page(&server, path).await.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
}

#[tokio::test]
async fn every_error_has_a_code_of_the_contract() {
    let home = Home::new();
    let server = home.serve();
    let login = "mutation($i: LoginInput!) { login(input: $i) { account { id } } }";
    let who = |identity: Value| json!({ "i": { "identity": identity, "password": PASSWORD } });
    let two = json!({ "email": "a@example.org", "accountNumber": "1" });
    let wrong = [
        ("{ me { id } }", json!({})),
        ("{ nonsense }", json!({})),
        ("{ tiers }", json!({})),
        ("{ tiers { tier { name } } }", json!({})),
        ("{ tiers(first: 5) { tier } }", json!({})),
        ("{ tiers @nonsense { tier } }", json!({})),
        ("{ tiers @include { tier } }", json!({})),
        ("{ ... on Nonsense { tiers { tier } } }", json!({})),
        ("{ ...Nonsense }", json!({})),
        ("query($a: Nonsense) { tiers { tier } }", json!({})),
        ("query($a: Int) { tiers { tier } }", json!({})),
        ("query A { tiers { tier } } query A { tiers { tier } }", json!({})),
        ("{ me { usage(period: YEAR) { from } } }", json!({})),
        ("{ me { usage(period: \"DAY\") { from } } }", json!({})),
        ("{ node(id: []) { id } }", json!({})),
        ("{ a: tiers { tier } a: service { name } }", json!({})),
        ("subscription { usage { at } }", json!({})),
        ("type Query { a: Int }", json!({})),
        ("{ nonsense1 nonsense2 } ", json!({ "unused": { "deep": [[[[1]]]] } })),
        (login, json!({})),
        (login, json!({ "i": 5 })),
        (login, who(json!({}))),
        (login, who(two)),
        (login, who(json!({ "email": null }))),
        (login, who(json!({ "email": "not an address" }))),
        (login, who(json!({ "emailDigest": "xyz" }))),
        (login, who(json!({ "email": "nobody@example.org" }))),
        ("mutation { register(input: { password: \"short\" }) { account { id } } }", json!({})),
        ("mutation { refresh(refreshToken: \"\") { account { id } } }", json!({})),
        ("mutation { logout }", json!({})),
        (REPORT, json!({ "input": { "sequence": 1, "samples": [] } })),
        (REPORT, json!({ "input": { "sequence": -1, "samples": [] } })),
        (REPORT, json!({ "input": { "sequence": 9_007_199_254_740_993_u64, "samples": [] } })),
    ];
    for (query, variables) in wrong {
        let body = json!({ "query": query, "variables": variables }).to_string();
        for token in [None, Some("nonsense"), Some("eyJhbGciOiJub25lIn0.e30.")] {
            let mut asked = post(&server, body.clone());
            if let Some(token) = token {
                asked = asked.bearer_auth(token);
            }
            Reply::to(asked).await.assert_typed(&body);
        }
    }
    for credentials in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer \u{e9}"] {
        let asked = ask(&server, "{ me { id } }").header("authorization", credentials.as_bytes());
        let reply = Reply::to(asked).await;
        reply.assert_typed(credentials);
        assert_eq!(reply.code(), "TOKEN_INVALID", "{credentials}");
    }
}
