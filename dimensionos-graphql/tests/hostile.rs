//! What is sent to exhaust the server is refused, and the server lives.

mod harness;

use std::time::Duration;

use harness::Home;
use harness::http::{Reply, ask, assert_serves, page, path, post};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
async fn many_readings_in_one_operation_are_refused_and_take_no_connection_from_others() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let from = "2026-01-01T00:00:00Z";
    let histories = |count: usize| {
        let one = |n| format!("h{n}: usageHistory(resource: RAM, from: \"{from}\", resolution: DAY) {{ at }} ");
        format!("{{ me {{ {} }} }}", (0..count).map(one).collect::<String>())
    };
    assert_eq!(ada.client.code(&histories(400), serde_json::Value::Null).await, "QUERY_TOO_COMPLEX");
    ada.client.data(&histories(16), serde_json::Value::Null).await;
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
