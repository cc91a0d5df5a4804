//! GraphQL over HTTP as strangers speak it: types, statuses, limits, pages, and what production hides.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use std::time::Duration;

use harness::{Home, PASSWORD, REGISTER, REPORT, Server};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TIERS: &str = "{ tiers { tier } }";
const JSON: &str = "application/json";
const GRAPHQL_JSON: &str = "application/graphql-response+json";
/// Every code that the contract names.
const CODES: [&str; 23] = [
    "UNAUTHENTICATED",
    "FORBIDDEN",
    "NOT_FOUND",
    "INVALID_INPUT",
    "INVALID_CREDENTIALS",
    "TOKEN_EXPIRED",
    "TOKEN_INVALID",
    "TOKEN_REUSED",
    "REAUTHENTICATION_REQUIRED",
    "WEAK_PASSWORD",
    "IDENTITY_UNAVAILABLE",
    "RATE_LIMITED",
    "BUSY",
    "SERVICE_READ_ONLY",
    "SERVICE_SUSPENDED",
    "SERVICE_CANCELLED",
    "QUOTA_EXCEEDED",
    "ATTESTATION_INVALID",
    "ATTESTATION_SPENT",
    "CONFLICT",
    "QUERY_TOO_COMPLEX",
    "PERSISTED_QUERY_NOT_FOUND",
    "INTERNAL",
];

/// What came back, whole.
struct Reply {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Reply {
    async fn to(request: RequestBuilder) -> Self {
        let response = request.timeout(Duration::from_secs(20)).send().await.expect("the server answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with("application/"))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}: {}", self.status, self.text))
    }

    fn code(&self) -> String {
        let answer = self.json();
        answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Whether it is a refusal of which every error has one of the contract's codes.
    fn assert_typed(&self, what: &str) {
        let answer = self.json();
        let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{what}: {answer}"));
        assert!(!errors.is_empty() && errors.len() <= 16, "{what}: {answer}");
        for error in errors {
            let code = error["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{what}: {answer}"));
            assert!(CODES.contains(&code), "{what}: {code}");
            assert!(code != "INVALID_INPUT" || error["extensions"]["field"].is_string(), "{what}: {answer}");
        }
    }
}

fn request(server: &Server, method: Method, path: &str) -> RequestBuilder {
    server.client().http.request(method, server.url(path))
}

/// A POST of that body as JSON.
fn post(server: &Server, body: impl Into<reqwest::Body>) -> RequestBuilder {
    request(server, Method::POST, "/graphql").header("content-type", JSON).body(body)
}

fn ask(server: &Server, query: &str) -> RequestBuilder {
    post(server, json!({ "query": query }).to_string())
}

async fn page(server: &Server, path: &str) -> Reply {
    Reply::to(request(server, Method::GET, path)).await
}

/// The path of a GET with these parameters.
fn path(parameters: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        let byte = |byte: u8| {
            if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        text.bytes().map(byte).collect()
    };
    let pairs: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("/graphql?{}", pairs.join("&"))
}

async fn assert_serves(server: &Server, after: &str) {
    let reply = Reply::to(ask(server, TIERS)).await;
    assert_eq!(reply.json()["data"]["tiers"].as_array().map(Vec::len), Some(4), "after {after}: {}", reply.text);
}

/// Documents made to exhaust a stack, a processor or a memory.
fn hostile_documents() -> Vec<(&'static str, String)> {
    let nested =
        |open: &str, close: &str| format!("{}1{}", open.repeat(1_500 / open.len()), close.repeat(1_500 / open.len()));
    let (lists, objects) = (nested("[", "]"), nested("{a:", "}"));
    let doubling = |first: &str, last: &str| {
        let fragments: String =
            (0..28).map(|n| format!(" fragment F{n} on Query {{ ...F{0} ...F{0} }}", n + 1)).collect();
        format!("{{ tiers {{ tier }} {first} }}{fragments} fragment F28 on Query {{ {last} }}")
    };
    let quote = "\"\"\"";
    vec![
        ("lists in an argument", format!("{{ tiers(a: {lists}) {{ tier }} }}")),
        ("objects in an argument", format!("{{ tiers(a: {objects}) {{ tier }} }}")),
        ("lists that never close", format!("{{ tiers(a: {}", "[".repeat(3_000))),
        ("objects that never close", format!("{{ tiers(a: {}", "{a:".repeat(1_000))),
        ("lists in a default", format!("query($a: Int = {lists}) {{ tiers {{ tier }} }}")),
        ("objects in a default", format!("query($a: Int = {objects}) {{ tiers {{ tier }} }}")),
        ("lists in a type", format!("query($a: {}Int{}) {{ tiers {{ tier }} }}", "[".repeat(1_500), "]".repeat(1_500))),
        ("lists in a directive", format!("{{ tiers @a(b: {lists}) {{ tier }} }}")),
        ("selections", format!("{{ {}id{} }}", "a { ".repeat(700), " }".repeat(700))),
        ("inline fragments", format!("{{ {}id{} }}", "... { ".repeat(700), " }".repeat(700))),
        ("fragments that double", doubling("...F0", "__typename")),
        ("fragments that double to one that is not there", doubling("...F0", "...Missing")),
        ("fragments that double unused", doubling("", "__typename")),
        ("a circle of fragments", "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }".to_owned()),
        ("a circle beside the operation", "{ tiers { tier } } fragment A on Query { ...A }".to_owned()),
        ("aliases", format!("{{ {} }}", (0..10_000).map(|n| format!("a{n}: tiers {{ tier }} ")).collect::<String>())),
        (
            "root aliases",
            format!("{{ {} }}", (0..1_000).map(|n| format!("a{n}: tiers {{ tier }} ")).collect::<String>()),
        ),
        ("directives", format!("{{ tiers {} {{ tier }} }}", "@a ".repeat(100_000))),
        ("some directives", format!("{{ tiers {} {{ tier }} }}", "@a ".repeat(1_000))),
        ("whitespace", format!("{{ tiers {{ tier }} }}{}", " ".repeat(1_000_000))),
        ("an unclosed string", "{ tiers(a: \"x".to_owned()),
        ("an unclosed string that escapes its end", "{ tiers(a: \"x\\".to_owned()),
        ("an unclosed block string", format!("{{ tiers(a: {quote}x")),
        ("a string that its line ends, and lists", format!("{{ tiers(a: \"x\n{lists}\") {{ tier }} }}")),
        // The parser takes the two quotes before a block string that is never closed as a string of its own.
        ("lists behind an unclosed block string", format!("{{ tiers(a: [\"{quote} {lists}]) {{ tier }} }}")),
        ("objects behind an unclosed block string", format!("{{ tiers(a: [\"{quote} {objects}]) {{ tier }} }}")),
        ("lists behind a comment", format!("{{ tiers(a: # \"\n {lists}) {{ tier }} }}")),
        ("nothing", String::new()),
        ("bytes that mean nothing", "\u{0}\u{feff}\u{202e}{{{".to_owned()),
    ]
}

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
    assert_eq!(data, json!({ "data": { "service": {} } }));
    let data = client.ask("{ tiers @include(if: false) { tier } }", Value::Null).await;
    assert_eq!(data, json!({ "data": {} }));
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

#[tokio::test]
async fn a_hostile_document_is_refused_and_the_server_lives() {
    let home = Home::new();
    let server = home.serve();
    for (name, document) in hostile_documents() {
        let reply = Reply::to(ask(&server, &document)).await;
        reply.assert_typed(name);
        assert!(["QUERY_TOO_COMPLEX", "INVALID_INPUT"].contains(&reply.code().as_str()), "{name}: {}", reply.text);
        assert!(reply.json().get("data").is_none(), "{name}");
        // No refusal is much larger than what it refuses.
        assert!(reply.text.len() < 4 * 1024 + 4 * document.len(), "{name}: {} bytes", reply.text.len());
        assert_serves(&server, name).await;
        let path = path(&[("query", &document)]);
        // Past it, clients refuse to send.
        if path.len() < 60_000 {
            let reply = page(&server, &path).await;
            if reply.is_json() {
                reply.assert_typed(name);
            } else {
                assert!([414, 431].contains(&reply.status), "{name}: {} {}", reply.status, reply.text);
            }
            assert_serves(&server, name).await;
        }
    }
}

#[tokio::test]
async fn hostile_variables_are_refused_and_the_server_lives() {
    let home = Home::new();
    let server = home.serve();
    let login = "mutation($i: LoginInput!) { login(input: $i) { account { id } } }";
    let nested = |depth: usize| format!("{{\"i\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let many: String = (0..9_000).map(|n| format!("\"k{n}\": {n},")).collect();
    for (name, variables) in [
        ("a hundred deep", nested(100)),
        ("two hundred deep", nested(200)),
        ("twenty thousand deep", nested(20_000)),
        ("many names", format!("{{ {many} \"i\": 1 }}")),
        ("a long list", format!("{{ \"i\": [{}1] }}", "1,".repeat(60_000))),
        ("a large number", "{ \"i\": { \"identity\": 1e400, \"password\": \"x\" } }".to_owned()),
    ] {
        let body = format!("{{\"query\": {}, \"variables\": {variables}}}", json!(login));
        Reply::to(post(&server, body)).await.assert_typed(name);
        assert_serves(&server, name).await;
    }
}

/// Sixteen errors that each repeat the largest value are sixteen times what was sent.
#[tokio::test]
async fn a_refusal_does_not_multiply_what_it_refuses() {
    let home = Home::new();
    let server = home.serve();
    let aliases: String = (0..16).map(|n| format!("a{n}: login(input: $i) {{ account {{ id }} }} ")).collect();
    let query = format!("mutation($i: LoginInput!) {{ {aliases} }}");
    let body = json!({ "query": query, "variables": { "i": ["x".repeat(200_000)] } }).to_string();
    let reply = Reply::to(post(&server, body.clone())).await;
    reply.assert_typed("a long value");
    assert!(reply.text.len() < 2 * body.len(), "{} bytes for {}", reply.text.len(), body.len());
}

#[tokio::test]
async fn a_connection_that_does_not_finish_its_headers_is_closed() {
    let home = Home::new();
    let server = home.serve();
    let address = server.address.strip_prefix("http://").unwrap();
    let half = |sent: &'static str| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "still open after {sent:?}");
    };
    let dribbling = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"POST /graphql HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
        for _ in 0..30 {
            let read = tokio::time::timeout(Duration::from_millis(500), stream.read_u8()).await;
            let is_open = read.is_err() || read.is_ok_and(|read| read.is_ok());
            if !is_open || stream.write_all(b"x").await.is_err() {
                return;
            }
        }
        panic!("still open after 15 s of one byte at a time");
    };
    tokio::join!(half("POST /gra"), half("POST /graphql HTTP/1.1\r\nHost: x\r\n"), dribbling);
    assert_serves(&server, "half requests").await;
}

#[tokio::test]
async fn only_a_listed_origin_may_read_answers() {
    const ALLOW: &str = "access-control-allow-origin";
    let home = Home::new().with("ALLOWED_ORIGINS", "https://app.example,https://b.example");
    let server = home.serve();
    for listed in ["https://app.example", "https://b.example"] {
        let reply = Reply::to(ask(&server, TIERS).header("origin", listed)).await;
        assert_eq!(reply.header(ALLOW), Some(listed));
    }
    let preflight = |origin: &'static str| {
        let asked = request(&server, Method::OPTIONS, "/graphql").header("origin", origin);
        let asked = asked.header("access-control-request-method", "POST");
        Reply::to(asked.header("access-control-request-headers", "authorization,content-type"))
    };
    let allowed = preflight("https://app.example").await;
    assert_eq!((allowed.status, allowed.header(ALLOW)), (200, Some("https://app.example")));
    assert!(allowed.header("access-control-allow-methods").unwrap().contains("POST"));
    let headers = allowed.header("access-control-allow-headers").unwrap().to_lowercase();
    assert!(headers.contains("authorization") && headers.contains("content-type"), "{headers}");
    for foreign in ["https://evil.example", "null", "http://app.example", "https://app.example.evil.example"] {
        let reply = Reply::to(ask(&server, TIERS).header("origin", foreign)).await;
        assert_eq!(reply.header(ALLOW), None, "{foreign}");
        assert_eq!(preflight(foreign).await.header(ALLOW), None, "{foreign}");
    }
    let closed_home = Home::new();
    let closed = closed_home.serve();
    let reply = Reply::to(ask(&closed, TIERS).header("origin", "https://app.example")).await;
    assert_eq!(reply.header(ALLOW), None);
}

#[tokio::test]
async fn a_server_that_runs_is_live_and_ready() {
    let home = Home::new();
    let server = home.serve();
    for path in ["/health/live", "/health/ready"] {
        let reply = page(&server, path).await;
        assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("ok")), "{path}");
        assert_eq!(reply.header("content-type"), Some(JSON), "{path}");
    }
}

#[tokio::test]
async fn figures_name_no_account() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let agent = home.print(&["agent", "create", "--name", "collector-of-ada"]);
    let input = json!({ "sequence": 1, "samples": [{ "account": ada.id, "ramBytes": 1_000_000 }] });
    server.client().with_token(&agent).data(REPORT, json!({ "input": input })).await;
    let me = ada.client.data("{ me { anonymousId metrics { at } } }", Value::Null).await;
    let reply = page(&server, "/metrics").await;
    assert_eq!(reply.status, 200);
    assert!(reply.text.contains("dimensionos_") && reply.text.ends_with("# EOF\n"), "{}", reply.text);
    let tag = me["me"]["anonymousId"].as_str().unwrap();
    for secret in [ada.id.as_str(), tag, "acc_", "ada@", "collector-of-ada", &agent] {
        assert!(!reply.text.contains(secret), "{secret}: {}", reply.text);
    }
}

#[tokio::test]
async fn the_published_keys_verify_and_do_not_sign() {
    let home = Home::new();
    let server = home.serve();
    let keys = page(&server, "/.well-known/jwks.json").await.json();
    let key = &keys["keys"][0];
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")), "{keys}");
    assert_eq!(key["x"].as_str().unwrap().len(), 43);
    assert!(key["kid"].is_string() && key.get("d").is_none(), "{keys}");
}

#[tokio::test]
async fn the_pages_ask_nothing_of_another_host() {
    let home = Home::new();
    let server = home.serve();
    for path in ["/", "/graphiql"] {
        let reply = page(&server, path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.header("content-type").unwrap().starts_with("text/html"), "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("http"), "{policy}");
        assert!(!policy.contains("script-src 'unsafe-inline'") && !reply.text.contains("<script>"), "{path}");
        for source in reply.text.split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            let script = page(&server, source).await;
            assert!(script.status == 200 && !names_a_host(&script.text), "{source}");
        }
        assert!(!names_a_host(&reply.text), "{path}");
    }
    assert!(page(&server, "/schema.graphql").await.text.contains("type Query"));
}

fn names_a_host(text: &str) -> bool {
    ["http:", "https:", "ws:", "wss:", "=\"//", "url(//", "'//", "(\"//"].iter().any(|scheme| text.contains(scheme))
}

fn production() -> Home {
    let home = Home::new().with("ENV", "production").with("ALLOWED_ORIGINS", "https://app.example");
    home.with("PEPPER", &"ab".repeat(32)).with("SIGNING_KEY", &"cd".repeat(32))
}

#[tokio::test]
async fn production_tells_nobody_what_it_could_be_asked() {
    let home = production();
    let server = home.serve();
    for path in ["/graphiql", "/graphiql.js", "/schema.graphql"] {
        assert_eq!(page(&server, path).await.status, 404, "{path}");
    }
    let typename = Reply::to(ask(&server, "{ __typename }")).await;
    assert_eq!(typename.json()["data"]["__typename"], "Query");
    for query in [
        "{ __schema { queryType { name } } }",
        "{ __type(name: \"Account\") { fields { name } } }",
        "{ ...F } fragment F on Query { s: __schema { types { name } } }",
    ] {
        let reply = Reply::to(ask(&server, query)).await;
        reply.assert_typed(query);
        assert!(!reply.text.contains("fields\":[") && !reply.text.contains("types\":["), "{}", reply.text);
        assert_eq!(page(&server, &path(&[("query", query)])).await.text, reply.text);
    }
}

#[tokio::test]
async fn production_suggests_no_name() {
    let home = production();
    let server = home.serve();
    // One letter short of a name that is there.
    for (query, name) in [
        ("{ tier { tier } }", "tiers"),
        ("{ tiers { cpuCore } }", "cpuCores"),
        ("{ me { anonymousI } }", "anonymousId"),
        ("{ me { usage(perio: DAY) { from } } }", "period"),
        ("{ me { usage(period: DA) { from } } }", "DAY"),
        ("mutation { registe }", "register"),
        ("mutation { login(input: { passwor: 1 }) { account { id } } }", "password"),
        ("subscription { usag { at } }", "usage"),
        ("{ ... on Quer { tiers { tier } } }", "Query"),
        ("query($a: LoginInpu) { tiers { tier } }", "LoginInput"),
        ("{ tiers @includ(if: true) { tier } }", "include"),
    ] {
        let reply = Reply::to(ask(&server, query)).await;
        reply.assert_typed(query);
        let told = reply.text.replace("\"Query\"", "").replace("\"field\":", "");
        let is_told = told.split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
        assert!(!is_told && !told.contains("mean"), "{query}: {}", reply.text);
    }
    assert_serves(&server, "curiosity").await;
}
