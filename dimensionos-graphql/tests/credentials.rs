//! Recovery, a changed password, sessions, step-up, export and erasure, from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use harness::live::{ABOUT_A_SECOND, PATIENCE, Socket, USAGE};
use harness::{Client, Home, PASSWORD};
use serde_json::{Value, json};

const REGISTER: &str = "mutation($input: RegisterInput!) {
    register(input: $input) { account { id } accountNumber recoveryCodes tokens { accessToken refreshToken } }
}";
const RECOVER: &str =
    "mutation($input: RecoverInput!) { recover(input: $input) { account { id } tokens { accessToken } } }";
const LOGIN: &str = "mutation($input: LoginInput!) { login(input: $input) { account { id terms { acceptedVersion } } tokens { accessToken } } }";
const CHANGE: &str =
    "mutation($c: String!, $n: String!) { changePassword(current: $c, new: $n) { tokens { accessToken } } }";
const ANOTHER: &str = "copper lantern meadow 58";

fn login(password: &str) -> Value {
    json!({ "input": { "identity": { "email": "ada@example.org" }, "password": password } })
}

fn recover(identity: &Value, code: &str) -> Value {
    json!({ "input": { "identity": identity, "recoveryCode": code, "newPassword": ANOTHER } })
}

async fn register(client: &Client) -> Value {
    let input = json!({ "input": { "identity": { "email": "ada@example.org" }, "password": PASSWORD } });
    client.data(REGISTER, input).await["register"].clone()
}

#[tokio::test]
async fn a_lost_password_is_replaced_by_a_code_that_works_once() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let ada = register(&client).await;
    let codes = ada["recoveryCodes"].as_array().unwrap();
    assert_eq!(codes.len(), 10);
    let before = client.with_token(ada["tokens"]["accessToken"].as_str().unwrap());
    let mut socket = Socket::of(&server, before.token.as_deref()).await;
    socket.start("1", USAGE).await;
    socket.usage().await;

    let email = json!({ "email": "ada@example.org" });
    let code = codes[0].as_str().unwrap();
    let recovered = client.data(RECOVER, recover(&email, &code.to_lowercase().replace('-', ""))).await;
    assert_eq!(recovered["recover"]["account"]["id"], ada["account"]["id"]);
    assert_eq!(before.code("{ me { id } }", Value::Null).await, "TOKEN_INVALID");
    assert_eq!(socket.closed(ABOUT_A_SECOND).await, 4403);
    let after = client.with_token(recovered["recover"]["tokens"]["accessToken"].as_str().unwrap());
    assert_eq!(after.data("{ me { recoveryCodesLeft } }", Value::Null).await["me"]["recoveryCodesLeft"], 9);
    assert_eq!(client.code(LOGIN, login(PASSWORD)).await, "INVALID_CREDENTIALS");
    client.data(LOGIN, login(ANOTHER)).await;

    // A used code, another's, and nobody's look alike.
    let stranger = client.data(REGISTER, json!({ "input": { "password": PASSWORD } })).await["register"].clone();
    let mut answers = Vec::new();
    for (identity, code) in [
        (&email, code),
        (&email, stranger["recoveryCodes"][0].as_str().unwrap()),
        (&json!({ "email": "nobody@example.org" }), code),
    ] {
        answers.push(client.ask(RECOVER, recover(identity, code)).await);
    }
    assert_eq!(answers[0]["errors"][0]["extensions"]["code"], "INVALID_CREDENTIALS");
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let number = json!({ "accountNumber": stranger["accountNumber"] });
    client.data(RECOVER, recover(&number, stranger["recoveryCodes"][9].as_str().unwrap())).await;
    let refusal = client.refusal(RECOVER, recover(&email, "12345")).await;
    assert_eq!((&refusal["code"], &refusal["field"]), (&json!("INVALID_INPUT"), &json!("recoveryCode")));
}

#[tokio::test]
async fn a_changed_password_ends_every_other_session_and_its_sockets() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let ada = register(&client).await;
    let first = client.with_token(ada["tokens"]["accessToken"].as_str().unwrap());
    let second = client.data(LOGIN, login(PASSWORD)).await["login"]["tokens"]["accessToken"].clone();
    let second = client.with_token(second.as_str().unwrap());
    let mut socket = Socket::of(&server, second.token.as_deref()).await;
    socket.start("1", USAGE).await;
    socket.usage().await;
    assert_eq!(first.code(CHANGE, json!({ "c": ANOTHER, "n": ANOTHER })).await, "INVALID_CREDENTIALS");
    assert_eq!(first.code(CHANGE, json!({ "c": PASSWORD, "n": "short" })).await, "WEAK_PASSWORD");
    second.data("{ me { id } }", Value::Null).await;
    let changed = first.data(CHANGE, json!({ "c": PASSWORD, "n": ANOTHER })).await;
    for old in [&first, &second] {
        assert_eq!(old.code("{ me { id } }", Value::Null).await, "TOKEN_INVALID");
    }
    assert_eq!(socket.closed(ABOUT_A_SECOND).await, 4403);
    let token = changed["changePassword"]["tokens"]["accessToken"].as_str().unwrap();
    client.with_token(token).data("{ me { id } }", Value::Null).await;
    assert_eq!(client.code(LOGIN, login(PASSWORD)).await, "INVALID_CREDENTIALS");
    client.data(LOGIN, login(ANOTHER)).await;
    let refresh = "mutation($t: String!) { refresh(refreshToken: $t) { account { id } } }";
    assert_eq!(client.code(refresh, json!({ "t": ada["tokens"]["refreshToken"] })).await, "TOKEN_INVALID");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let ada = register(&client).await;
    let first = client.with_token(ada["tokens"]["accessToken"].as_str().unwrap());
    let second = client.data(LOGIN, login(PASSWORD)).await["login"]["tokens"]["accessToken"].clone();
    let second = client.with_token(second.as_str().unwrap());
    let sessions = "{ me { sessions { id current createdAt expiresAt } } }";
    let listed = first.data(sessions, Value::Null).await["me"]["sessions"].clone();
    let listed = listed.as_array().unwrap();
    assert_eq!((&listed[0]["current"], &listed[1]["current"]), (&json!(true), &json!(false)));
    let node = "query($id: ID!) { node(id: $id) { id ... on Session { current } } }";
    let other = json!({ "id": listed[1]["id"] });
    assert_eq!(first.data(node, other.clone()).await["node"]["current"], false);
    let end = "mutation($id: ID!) { endSession(session: $id) }";
    assert_eq!(first.data(end, other.clone()).await["endSession"], true);
    assert_eq!(second.code("{ me { id } }", Value::Null).await, "TOKEN_INVALID");
    assert_eq!(first.data(node, other.clone()).await["node"], Value::Null);
    assert_eq!(first.code(end, other).await, "NOT_FOUND");
    assert_eq!(first.code(end, json!({ "id": "nonsense" })).await, "NOT_FOUND");
}

#[tokio::test]
async fn what_is_exported_is_everything_and_what_is_erased_is_gone() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let ada = register(&client).await;
    let id = ada["account"]["id"].as_str().unwrap().to_owned();
    let own = client.with_token(ada["tokens"]["accessToken"].as_str().unwrap());
    let agent = client.with_token(&home.print(&["agent", "create", "--name", "a"]));
    let report = |sequence: u64| json!({ "input": { "sequence": sequence, "samples": [{ "account": id, "apiCalls": 3, "ramBytes": 77_001 }] } });
    agent.data(harness::REPORT, report(1)).await;
    let export = own.data("{ me { export } }", Value::Null).await["me"]["export"].clone();
    let export: Value = serde_json::from_str(export.as_str().unwrap()).unwrap();
    assert_eq!(export["account"]["id"], json!(id));
    assert_eq!(export["usage"]["minutes"][0]["totals"]["api_calls"], 3);
    assert_eq!(export["readings"]["ram_bytes"]["value"], 77_001);

    let erase = "mutation($p: String!) { eraseAccount(password: $p) }";
    assert_eq!(own.code(erase, json!({ "p": ANOTHER })).await, "INVALID_CREDENTIALS");
    let mut socket = Socket::of(&server, own.token.as_deref()).await;
    socket.start("1", USAGE).await;
    socket.usage().await;
    assert_eq!(own.data(erase, json!({ "p": PASSWORD })).await["eraseAccount"], true);
    assert_eq!(own.code("{ me { id } }", Value::Null).await, "TOKEN_INVALID");
    assert_eq!(socket.closed(PATIENCE).await, 4403);
    assert_eq!(agent.code(harness::REPORT, report(2)).await, "NOT_FOUND");
    assert_eq!(client.code(LOGIN, login(PASSWORD)).await, "INVALID_CREDENTIALS");
    register(&client).await;
    // Once the database's own log is folded in, not one byte of the account's id is left.
    assert_eq!(server.stop(), Some(0));
    let bits = own_bytes(&id);
    for (path, content) in home.files() {
        let is_left = content.windows(16).any(|window| window == bits);
        assert!(!is_left, "{}", path.display());
    }
}

/// The 16 bytes that an id stands for.
fn own_bytes(id: &str) -> [u8; 16] {
    id.parse::<dimensionos_core::AccountId>().unwrap().bits().to_be_bytes()
}

#[tokio::test]
async fn terms_are_announced_required_and_accepted() {
    let home = Home::new().with("TERMS", "a@2026-01-01");
    let server = home.serve();
    let client = server.client();
    let ada = register(&client).await;
    let input = json!({ "input": { "password": PASSWORD, "termsVersion": "b" } });
    let refusal = client.refusal(REGISTER, input).await;
    assert_eq!((&refusal["code"], &refusal["field"]), (&json!("INVALID_INPUT"), &json!("termsVersion")));
    assert_eq!(server.stop(), Some(0));

    // The next version is in force when the server comes back, and one more is announced.
    let home = home.with("TERMS", "a@2026-01-01,b@2026-02-01,c@2999-01-01");
    let server = home.serve();
    let client = server.client();
    let own = client.with_token(ada["tokens"]["accessToken"].as_str().unwrap());
    let terms = "{ me { terms { acceptedVersion due current { version } upcoming { version effectiveAt } } } }";
    let seen = own.data(terms, Value::Null).await["me"]["terms"].clone();
    assert_eq!((&seen["acceptedVersion"], &seen["due"]), (&json!("a"), &json!(true)));
    assert_eq!((&seen["current"]["version"], &seen["upcoming"]["version"]), (&json!("b"), &json!("c")));
    assert_eq!(own.code("{ me { metrics { at } } }", Value::Null).await, "TERMS_NOT_ACCEPTED");
    own.data("{ me { export } }", Value::Null).await;
    let mut socket = Socket::of(&server, own.token.as_deref()).await;
    assert_eq!(socket.closed(ABOUT_A_SECOND).await, 4403);
    let accept = "mutation($v: String!) { acceptTerms(version: $v) { terms { acceptedVersion due } } }";
    assert_eq!(own.refusal(accept, json!({ "v": "a" })).await["field"], "termsVersion");
    let accepted = own.data(accept, json!({ "v": "b" })).await["acceptTerms"]["terms"].clone();
    assert_eq!((&accepted["acceptedVersion"], &accepted["due"]), (&json!("b"), &json!(false)));
    own.data("{ me { metrics { at } } }", Value::Null).await;
    let mut early = login(PASSWORD);
    early["input"]["termsVersion"] = json!("c");
    let signed_in = client.data(LOGIN, early).await;
    assert_eq!(signed_in["login"]["account"]["terms"]["acceptedVersion"], "c");
    let listed = client.data("{ service { terms { version effectiveAt } } }", Value::Null).await;
    assert_eq!(listed["service"]["terms"].as_array().unwrap().len(), 3);
}
