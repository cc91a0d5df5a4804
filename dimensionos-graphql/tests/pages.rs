//! What the server answers beside GraphQL, to whom, and what production hides.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use std::io::Read;

use harness::http::{JSON, Reply, TIERS, ask, assert_serves, page, path, request};
use harness::{Home, REPORT, Server};
use reqwest::Method;
use serde_json::{Value, json};

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

/// Whether the server was built with its pages; without them, others stand in their place.
const HAS_PAGES: bool = cfg!(has_pages);

#[tokio::test]
async fn the_pages_are_served_from_the_binary_and_name_no_other_host() {
    let home = Home::new();
    let server = home.serve();
    for path in ["/", "/graphiql"] {
        let reply = page(&server, path).await;
        assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-cache")), "{path}");
        assert!(reply.header("content-type").unwrap().starts_with("text/html"), "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("http"), "{policy}");
        assert!(policy.contains("script-src 'self';") && !reply.text.contains("<script>"), "{path}");
        assert!(!names_a_host(&reply.text), "{path}: {}", reply.text);
        let head = Reply::to(request(&server, Method::HEAD, path)).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        assert_eq!(head.header("content-length"), Some(reply.text.len().to_string().as_str()), "{path}");
        let mut loaded = 0;
        for source in loads(&reply.text) {
            loaded += 1;
            assert_asset(&server, source).await;
        }
        assert_eq!(loaded > 0, HAS_PAGES, "{path}: {}", reply.text);
        assert_eq!(reply.text.contains("was built without its pages"), !HAS_PAGES, "{path}");
        if HAS_PAGES {
            let tag = reply.header("etag").unwrap();
            let again = Reply::to(request(&server, Method::GET, path).header("if-none-match", tag)).await;
            assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", Some(tag)), "{path}");
        }
    }
    assert_eq!(page(&server, "/assets/nothing-00000000.js").await.status, 404);
    assert!(page(&server, "/schema.graphql").await.text.contains("type Query"));
}

/// The files that a page loads.
fn loads(html: &str) -> impl Iterator<Item = &str> {
    let quoted = ["src=\"", "href=\""].into_iter().flat_map(|name| html.split(name).skip(1));
    quoted.filter_map(|rest| rest.split('"').next()).filter(|source| source.starts_with("/assets/"))
}

/// It comes in every form, as a file that never changes.
async fn assert_asset(server: &Server, path: &str) {
    let plain = page(server, path).await;
    assert_eq!((plain.status, plain.header("content-encoding")), (200, None), "{path}");
    assert_eq!(plain.header("cache-control"), Some("public, max-age=31536000, immutable"), "{path}");
    assert_eq!(plain.header("x-content-type-options"), Some("nosniff"), "{path}");
    let varies = plain.headers.get_all("vary").iter().any(|vary| vary == "accept-encoding");
    assert!(varies && !plain.text.is_empty(), "{path}");
    for (accepted, expected) in [("gzip, deflate, br", "br"), ("gzip", "gzip")] {
        let packed = request(server, Method::GET, path).header("accept-encoding", accepted);
        let packed = packed.send().await.unwrap();
        assert_eq!(packed.headers()["content-encoding"], expected, "{path}");
        let unpacked = unpack(expected, &packed.bytes().await.unwrap());
        assert!(unpacked.is_none_or(|unpacked| unpacked == plain.text), "{path} as {expected}");
    }
}

/// What is in a packed file; absent where the form needs a library that the tests have not.
fn unpack(form: &str, packed: &[u8]) -> Option<String> {
    if form != "gzip" {
        return None;
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    Some(text)
}

fn names_a_host(text: &str) -> bool {
    ["http:", "https:", "ws:", "wss:", "=\"//", "url(//", "'//", "(\"//"].iter().any(|scheme| text.contains(scheme))
}

fn production() -> Home {
    let home = Home::new().with("ENV", "production").with("ALLOWED_ORIGINS", "https://app.example");
    let home = home.with("PEPPER", &"ab".repeat(32)).with("SIGNING_KEY", &"cd".repeat(32));
    home.with("BILLING_PUBLIC_KEY", &"ef".repeat(32))
}

#[tokio::test]
async fn production_tells_nobody_what_it_could_be_asked() {
    let home = production();
    let server = home.serve();
    for path in ["/graphiql", "/schema.graphql"] {
        assert_eq!(page(&server, path).await.status, 404, "{path}");
    }
    assert_eq!(page(&server, "/").await.status, 200);
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
