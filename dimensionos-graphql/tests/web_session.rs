//! Sessions of web front ends: the refresh token is in a cookie, for pages that may have one, and nowhere else.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use harness::http::{JSON, Reply, path, post, request};
use harness::live::{PROTOCOL, handshake};
use harness::{Home, PASSWORD, REGISTER, Server};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const ASKED: &str = "x-dimensionos-session";
const TOKENS: &str = "tokens { accessToken refreshToken refreshTokenExpiresAt }";
const OTHER_PASSWORD: &str = "copper lantern meadow 58";

fn local(server: &Server) -> String {
    format!("dimensionos-refresh-{}", server.address.rsplit(':').next().unwrap())
}

/// A page in a browser, as far as cookies go.
struct Page<'a> {
    server: &'a Server,
    origin: String,
    cookie: Option<String>,
    access: Option<String>,
}

impl<'a> Page<'a> {
    fn of(server: &'a Server) -> Self {
        Self { server, origin: server.address.clone(), cookie: None, access: None }
    }

    /// What its cookie is called, on this machine.
    fn name(&self) -> String {
        local(self.server)
    }

    fn request(&self, query: &str) -> RequestBuilder {
        let mut request = post(self.server, json!({ "query": query }).to_string()).header(ASKED, "cookie");
        request = request.header("origin", &self.origin);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("theme=dark; {}={cookie}", self.name()));
        }
        if let Some(access) = &self.access {
            request = request.bearer_auth(access);
        }
        request
    }

    /// Asks, and does with the cookie what a browser does.
    async fn ask(&mut self, query: &str) -> Value {
        let reply = Reply::to(self.request(query)).await;
        if let Some(set) = reply.header("set-cookie") {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            assert_eq!(name, self.name());
            self.cookie = (!set.contains("Max-Age=0;")).then(|| value.to_owned());
        }
        reply.json()
    }

    /// Asks for a pair of tokens, which has to come with a new cookie and without the refresh token.
    async fn sign_in(&mut self, mutation: &str) {
        let before = self.cookie.clone();
        let answer = self.ask(&format!("mutation {{ it: {mutation} {{ {TOKENS} }} }}")).await;
        let tokens = &answer["data"]["it"]["tokens"];
        assert_eq!(tokens["refreshToken"], "", "{answer}");
        assert!(tokens["refreshTokenExpiresAt"].is_string(), "{answer}");
        self.access = Some(tokens["accessToken"].as_str().unwrap().to_owned());
        assert!(self.cookie.as_ref().is_some_and(|cookie| cookie.starts_with("dimr_")), "{answer}");
        assert_ne!(self.cookie, before, "{mutation}");
        assert!(!answer.to_string().contains("dimr_"), "{answer}");
    }

    async fn code(&mut self, query: &str) -> String {
        let answer = self.ask(query).await;
        answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

const REFRESH: &str = "refresh(refreshToken: \"\")";
const DO_REFRESH: &str = "mutation { refresh(refreshToken: \"\") { tokens { refreshToken } } }";

fn identity(email: &str, password: &str) -> String {
    format!("input: {{ identity: {{ email: \"{email}\" }}, password: \"{password}\" }}")
}

fn register(email: &str) -> String {
    format!("register({})", identity(email, PASSWORD))
}

fn login(email: &str) -> String {
    format!("login({})", identity(email, PASSWORD))
}

#[tokio::test]
async fn every_pair_of_tokens_sets_the_cookie_and_leaves_the_refresh_token_out() {
    let home = Home::new();
    let server = home.serve();
    let mut page = Page::of(&server);
    page.sign_in(&register("ada@example.org")).await;
    page.sign_in(&login("ada@example.org")).await;
    page.sign_in(REFRESH).await;
    let codes = page.ask("mutation { renewRecoveryCodes { recoveryCodes } }").await;
    let code = codes["data"]["renewRecoveryCodes"]["recoveryCodes"][0].as_str().unwrap().to_owned();
    page.sign_in(&format!("changePassword(current: \"{PASSWORD}\", new: \"{OTHER_PASSWORD}\")")).await;
    page.sign_in(REFRESH).await;
    page.sign_in(&format!(
        "recover(input: {{ identity: {{ email: \"ada@example.org\" }}, recoveryCode: \"{code}\", newPassword: \"{PASSWORD}\" }})"
    ))
    .await;
    let refreshed = page.cookie.clone().unwrap();
    page.sign_in(REFRESH).await;
    // What asks for no tokens says nothing of the cookie.
    let me = Reply::to(page.request("{ me { id } }")).await;
    assert_eq!((me.header("set-cookie"), me.json()["data"]["me"]["id"].is_string()), (None, true));
    // A client that held its token itself moves it into the cookie by one refresh.
    let mut moved = Page::of(&server);
    moved.sign_in(&format!("refresh(refreshToken: \"{refreshed}\")")).await;

    let cookie = page.cookie.unwrap();
    for (file, content) in home.files() {
        let holds = |secret: &str| content.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
        assert!(!holds(&cookie) && !holds(&refreshed), "{}", file.display());
    }
}

#[tokio::test]
async fn the_end_of_the_own_session_is_the_end_of_the_cookie() {
    let home = Home::new();
    let server = home.serve();
    let mut page = Page::of(&server);
    page.sign_in(&register("ada@example.org")).await;
    for end in ["logout", "logout(everywhere: true)"] {
        page.sign_in(&login("ada@example.org")).await;
        let answer = page.ask(&format!("mutation {{ done: {end} }}")).await;
        assert_eq!((&answer["data"]["done"], &page.cookie), (&json!(true), &None), "{answer}");
    }
    // Another session of the account is not the page's own.
    page.sign_in(&login("ada@example.org")).await;
    let mut other = Page::of(&server);
    other.sign_in(&login("ada@example.org")).await;
    let sessions = page.ask("{ me { sessions { id current } } }").await["data"]["me"]["sessions"].clone();
    let (own, others): (Vec<_>, Vec<_>) = sessions.as_array().unwrap().iter().partition(|one| one["current"] == true);
    let end = |session: &Value| format!("mutation {{ endSession(session: {}) }}", session["id"]);
    page.ask(&end(others[0])).await;
    assert!(page.cookie.is_some());
    page.ask(&end(own[0])).await;
    assert_eq!(page.cookie, None);
    // The other's cookie opens nothing any more, and goes at the first use.
    assert_eq!(other.code(DO_REFRESH).await, "TOKEN_INVALID");
    assert_eq!(other.cookie, None);

    // A refusal that says nothing of the cookie's token leaves it: a wrong password, a wrong token that was typed in.
    page.sign_in(&login("ada@example.org")).await;
    for refused in [
        format!("mutation {{ eraseAccount(password: \"{OTHER_PASSWORD}\") }}"),
        "mutation { refresh(refreshToken: \"dimr_another\") { tokens { accessToken } } }".to_owned(),
    ] {
        page.code(&refused).await;
        assert!(page.cookie.is_some(), "{refused}");
    }
    let erased = page.ask(&format!("mutation {{ eraseAccount(password: \"{PASSWORD}\") }}")).await;
    assert_eq!((&erased["data"]["eraseAccount"], &page.cookie), (&json!(true), &None), "{erased}");
}

#[tokio::test]
async fn a_cookie_that_was_used_before_or_has_run_out_is_removed_with_its_refusal() {
    let home = Home::new();
    let server = home.serve_with(&["serve", "--test-clock"]).0;
    let wait = |seconds: u64| {
        let body = json!({ "advanceSeconds": seconds }).to_string();
        let moved = request(&server, Method::POST, "/development/clock").header("content-type", JSON).body(body);
        async move { assert_eq!(Reply::to(moved).await.status, 200) }
    };
    let mut page = Page::of(&server);
    page.sign_in(&register("ada@example.org")).await;
    let mut thief = Page { cookie: page.cookie.clone(), ..Page::of(&server) };
    // Two tabs that wake together share one cookie, and both go on.
    page.sign_in(REFRESH).await;
    thief.sign_in(REFRESH).await;
    let mut late = Page { cookie: page.cookie.clone(), ..Page::of(&server) };
    page.sign_in(REFRESH).await;
    wait(60).await;
    assert_eq!(late.code(DO_REFRESH).await, "TOKEN_REUSED");
    assert_eq!(late.cookie, None);
    assert_eq!(page.code(DO_REFRESH).await, "TOKEN_INVALID");
    assert_eq!(page.cookie, None);
    page.sign_in(&login("ada@example.org")).await;
    let reply = Reply::to(page.request(DO_REFRESH)).await;
    let told = reply.header("set-cookie").unwrap();
    let seconds: u64 = told.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
    let thirty_days = 30 * 86_400;
    assert!((thirty_days - 20..=thirty_days).contains(&seconds), "{told}");
    page.sign_in(&login("ada@example.org")).await;
    wait(thirty_days).await;
    let code = page.code(DO_REFRESH).await;
    // Whichever comes first: the token has run out, or what had run out was removed.
    assert!(["TOKEN_EXPIRED", "TOKEN_INVALID"].contains(&code.as_str()), "{code}");
    assert_eq!(page.cookie, None);
}

#[tokio::test]
async fn a_cookie_without_the_header_changes_nothing() {
    let home = Home::new();
    let server = home.serve();
    let mut page = Page::of(&server);
    page.sign_in(&register("ada@example.org")).await;
    let without = |query: &str| {
        let cookie = format!("{}={}", page.name(), page.cookie.as_ref().unwrap());
        let request = post(&server, json!({ "query": query }).to_string()).header("cookie", cookie);
        Reply::to(request.header("origin", &page.origin).bearer_auth(page.access.as_ref().unwrap()))
    };
    let refused = without(DO_REFRESH).await;
    assert_eq!((refused.code().as_str(), refused.header("set-cookie")), ("TOKEN_INVALID", None));
    let signed_in = without(&format!("mutation {{ {} {{ {TOKENS} }} }}", login("ada@example.org"))).await;
    assert_eq!(signed_in.header("set-cookie"), None);
    let token = signed_in.json()["data"]["login"]["tokens"]["refreshToken"].clone();
    assert!(token.as_str().unwrap().starts_with("dimr_"));
    assert_eq!(without("{ me { id } }").await.header("set-cookie"), None);
    // It was not used up meanwhile.
    page.sign_in(REFRESH).await;
}

#[tokio::test]
async fn only_pages_of_this_server_and_of_allowed_origins_have_one() {
    let home = Home::new().with("ALLOWED_ORIGINS", "https://app.example");
    let server = home.serve();
    let own = server.address.clone();
    let registering = json!({ "query": REGISTER, "variables": { "email": "ada@example.org", "password": PASSWORD } });
    let ask = |origin: Option<&str>, kinds: &[&str]| {
        let mut request = post(&server, registering.to_string());
        for kind in kinds {
            request = request.header(ASKED, *kind);
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        Reply::to(request)
    };
    let foreign = ["https://evil.example", "null", "https://app.example.evil.example", "http://app.example"];
    for origin in foreign.map(Some).into_iter().chain([None]) {
        let reply = ask(origin, &["cookie"]).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "FORBIDDEN"), "{origin:?}");
        assert!(reply.header("set-cookie").is_none() && reply.json().get("data").is_none(), "{origin:?}");
    }
    for kinds in [&["token"][..], &[""], &["cookie", "cookie"], &["Cookie"]] {
        let reply = ask(Some(&own), kinds).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "INVALID_INPUT"), "{kinds:?}");
    }
    // Had any of them been done, the address would be taken.
    let reply = ask(Some("https://app.example"), &["cookie"]).await;
    assert!(reply.header("set-cookie").is_some(), "{}", reply.text);
    assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));

    let preflight = |origin: &'static str| {
        let asked = request(&server, Method::OPTIONS, "/graphql").header("origin", origin);
        let asked = asked.header("access-control-request-method", "POST");
        Reply::to(asked.header("access-control-request-headers", "content-type,x-dimensionos-session"))
    };
    let allowed = preflight("https://app.example").await;
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(allowed.header("access-control-allow-credentials"), Some("true"));
    assert!(allowed.header("access-control-allow-headers").unwrap().to_lowercase().contains(ASKED));
    for origin in foreign {
        let refused = preflight(origin).await;
        assert_eq!(refused.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(refused.header("access-control-allow-credentials"), None, "{origin}");
    }
}

#[tokio::test]
async fn the_cookie_is_held_to_the_host_and_to_tls_but_on_the_developers_own_machine() {
    let key = |byte: &str| byte.repeat(32);
    let development = Home::new();
    let production = Home::new().with("ENV", "production").with("ALLOWED_ORIGINS", "");
    let production = production.with("PEPPER", &key("ab")).with("SIGNING_KEY", &key("cd"));
    let production = production.with("BILLING_PUBLIC_KEY", &key("ef"));
    for (home, email, host, expected) in [
        (&development, "ada@example.org", None, "dimensionos-refresh-"),
        (&development, "bob@example.org", Some("api.example"), "__Host-dimensionos-refresh=dimr_"),
        (&production, "ada@example.org", None, "__Host-dimensionos-refresh=dimr_"),
    ] {
        let server = home.serve();
        let (host, origin) = match host {
            Some(host) => (host.to_owned(), format!("https://{host}")),
            None => (server.address.replace("http://", ""), server.address.clone()),
        };
        let ask = |query: &str, cookie: &str| {
            let request = post(&server, json!({ "query": query }).to_string()).header("host", &host);
            Reply::to(request.header("origin", &origin).header(ASKED, "cookie").header("cookie", cookie))
        };
        let reply = ask(&format!("mutation {{ {} {{ {TOKENS} }} }}", register(email)), "theme=dark").await;
        let set = reply.header("set-cookie").unwrap_or_else(|| panic!("{}", reply.text)).to_owned();
        assert!(set.starts_with(expected), "{set}");
        assert!(set.contains("; Path=/; HttpOnly; SameSite=Strict") && !set.contains("Domain"), "{set}");
        assert_eq!(set.ends_with("; Secure"), expected.starts_with("__Host-"), "{set}");
        // The other name, which a subdomain may have set, is not looked at.
        let (name, rest) = set.split_once('=').unwrap();
        let token = rest.split(';').next().unwrap();
        let other = if name.starts_with("__Host-") { local(&server) } else { "__Host-dimensionos-refresh".to_owned() };
        assert_eq!(ask(DO_REFRESH, &format!("{other}={token}")).await.code(), "TOKEN_INVALID");
        let refreshed = ask(DO_REFRESH, &format!("{other}=dimr_planted; {name}={token}")).await;
        assert_eq!(refreshed.json()["data"]["refresh"]["tokens"]["refreshToken"], "", "{}", refreshed.text);
    }
}

#[tokio::test]
async fn of_several_changes_in_one_document_the_last_one_stays() {
    let home = Home::new();
    let server = home.serve();
    let mut page = Page::of(&server);
    page.sign_in(&register("ada@example.org")).await;
    page.sign_in(&register("bob@example.org")).await;
    let (ada, bob) = (login("ada@example.org"), login("bob@example.org"));
    page.access = None;
    let both =
        page.ask(&format!("mutation {{ a: {ada} {{ {TOKENS} }} b: {bob} {{ account {{ id }} {TOKENS} }} }}")).await;
    assert_eq!(
        (&both["data"]["a"]["tokens"]["refreshToken"], &both["data"]["b"]["tokens"]["refreshToken"]),
        (&json!(""), &json!(""))
    );
    let who = page.ask("mutation { refresh(refreshToken: \"\") { account { id } tokens { accessToken } } }").await;
    assert_eq!(who["data"]["refresh"]["account"]["id"], both["data"]["b"]["account"]["id"], "{who}");
    page.access = who["data"]["refresh"]["tokens"]["accessToken"].as_str().map(str::to_owned);
    let left = page.ask(&format!("mutation {{ a: {ada} {{ {TOKENS} }} logout }}")).await;
    assert_eq!((&left["data"]["logout"], &page.cookie), (&json!(true), &None), "{left}");
}

#[tokio::test]
async fn ways_in_that_cannot_set_a_cookie_refuse_what_would_need_one() {
    let home = Home::new();
    let server = home.serve();
    let page = Page::of(&server);
    let register = format!("mutation {{ {} {{ {TOKENS} }} }}", register("ada@example.org"));
    let streamed = Reply::to(page.request(&register).header("accept", "text/event-stream")).await;
    assert_eq!((streamed.status, streamed.code().as_str()), (400, "INVALID_INPUT"));
    let request_by_get = |query: &str| {
        let request = request(&server, Method::GET, &path(&[("query", query)])).header(ASKED, "cookie");
        Reply::to(request.header("origin", &page.origin))
    };
    assert_eq!(request_by_get(&register).await.status, 405);
    // What only reads is answered as without.
    assert_eq!(request_by_get("{ tiers { tier } }").await.status, 200);
    let streamed = Reply::to(page.request("{ tiers { tier } }").header("accept", "text/event-stream")).await;
    assert!(streamed.text.contains("FREE") && streamed.header("set-cookie").is_none(), "{}", streamed.text);
    let refused = tokio_tungstenite::connect_async(handshake(&server, &[PROTOCOL, (ASKED, "cookie")])).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(refused)) = refused else { panic!("the handshake is refused") };
    assert_eq!(refused.status(), 400);
    // Nothing of it was done.
    server.client().register("ada@example.org").await;
}
