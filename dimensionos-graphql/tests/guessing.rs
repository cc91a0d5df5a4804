//! What guessing comes to, from one source and from many, and what its victim notices of it.

#![expect(clippy::expect_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use std::net::{IpAddr, Ipv4Addr};

use harness::{Client, Home, PASSWORD, Server};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const LOGIN: &str = "mutation($input: LoginInput!) { login(input: $input) { account { id } } }";

fn login(email: &str, password: &str) -> Value {
    json!({ "input": { "identity": { "email": email }, "password": password } })
}

/// Somebody at another address of this machine: each address of 127.0.0.0/8 is one.
fn from(server: &Server, number: u32) -> Client {
    let address = IpAddr::from(Ipv4Addr::from(0x7f00_0001 + number));
    let http = reqwest::Client::builder().local_address(address).build().expect("a client");
    Client { http, ..server.client() }
}

/// Finds what the server asks for, by nothing but its description in the schema.
fn solve(refusal: &Value) -> Value {
    let challenge = refusal["proofOfWork"]["challenge"].as_str().expect("a challenge");
    let difficulty = refusal["proofOfWork"]["difficulty"].as_u64().expect("a difficulty");
    let is_enough = |solution: &u64| {
        let digest = Sha256::digest(format!("{challenge}.{solution}"));
        let first = u64::from_be_bytes(digest[..8].try_into().expect("eight bytes"));
        u64::from(first.leading_zeros()) >= difficulty
    };
    let solution = (0..u64::MAX).find(is_enough).expect("a solution");
    json!({ "challenge": challenge, "solution": solution.to_string() })
}

#[tokio::test]
async fn aliased_logins_count_one_by_one() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    client.register("ada@example.org").await;
    let alias = |name: &str, password: &str| {
        let input = format!("{{ identity: {{ email: \"ada@example.org\" }}, password: \"{password}\" }}");
        format!("{name}: login(input: {input}) {{ account {{ id }} }} ")
    };
    // Right ones do not count.
    let right: String = (0..2).map(|number| alias(&format!("r{number}"), PASSWORD)).collect();
    let wrong: String = (0..6).map(|number| alias(&format!("w{number}"), "wrong")).collect();
    let mut codes = Vec::new();
    for _ in 0..4 {
        let answer = client.ask(&format!("mutation {{ {right} {wrong} }}"), Value::Null).await;
        let errors = answer["errors"].as_array().unwrap();
        codes.extend(errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap().to_owned()));
    }
    let expected = |place| if place < 20 { "INVALID_CREDENTIALS" } else { "RATE_LIMITED" };
    assert_eq!(codes, (0..24).map(expected).collect::<Vec<_>>());
}

#[tokio::test]
async fn past_the_limit_work_opens_what_waiting_would() {
    let home = Home::new();
    let server = home.serve();
    let client = from(&server, 1);
    client.register("ada@example.org").await;
    for number in 0..20 {
        let code = client.code(LOGIN, login(&format!("nobody{number}@example.org"), PASSWORD)).await;
        assert_eq!(code, "INVALID_CREDENTIALS");
    }
    let refusal = client.refusal(LOGIN, login("ada@example.org", PASSWORD)).await;
    assert_eq!(refusal["code"], "RATE_LIMITED");
    assert!((1..=30).contains(&refusal["retryAfterSeconds"].as_u64().unwrap()));
    let proof = solve(&refusal);
    let with_proof = |email: &str, password: &str, proof: &Value| {
        let mut input = login(email, password);
        input["input"]["proof"] = proof.clone();
        input
    };
    // Work for one account is none for another, and none for another operation.
    assert_eq!(client.code(LOGIN, with_proof("bob@example.org", PASSWORD, &proof)).await, "RATE_LIMITED");
    let recover = "mutation($input: RecoverInput!) { recover(input: $input) { account { id } } }";
    let recovery = json!({ "input": {
        "identity": { "email": "ada@example.org" }, "recoveryCode": "00000-00000-00000-00000-00000",
        "newPassword": "copper lantern meadow 58", "proof": proof,
    } });
    assert_eq!(client.code(recover, recovery).await, "RATE_LIMITED");
    client.data(LOGIN, with_proof("ada@example.org", PASSWORD, &proof)).await;
    assert_eq!(client.code(LOGIN, with_proof("ada@example.org", PASSWORD, &proof)).await, "RATE_LIMITED");
    // A wrong guess with work done is still a wrong guess.
    let refusal = client.refusal(LOGIN, login("ada@example.org", "wrong")).await;
    let wrong = with_proof("ada@example.org", "wrong", &solve(&refusal));
    assert_eq!(client.code(LOGIN, wrong).await, "INVALID_CREDENTIALS");
    for proof in [json!({ "challenge": "x", "solution": "1" }), json!({ "challenge": "", "solution": "" })] {
        let refusal = client.refusal(LOGIN, with_proof("ada@example.org", PASSWORD, &proof)).await;
        assert_eq!((&refusal["code"], &refusal["field"]), (&json!("INVALID_INPUT"), &json!("proof")));
    }
    // Elsewhere nothing has happened.
    from(&server, 2).data(LOGIN, login("ada@example.org", PASSWORD)).await;
}

#[tokio::test]
async fn whom_many_sources_guess_at_gets_in_at_the_second_try() {
    let home = Home::new();
    let server = home.serve();
    server.client().register("ada@example.org").await;
    let mut checked = 0;
    for number in 0..200 {
        match from(&server, 100 + number).code(LOGIN, login("ada@example.org", "wrong")).await.as_str() {
            "INVALID_CREDENTIALS" => checked += 1,
            code => assert_eq!(code, "RATE_LIMITED"),
        }
    }
    assert_eq!(checked, 50);
    let owner = from(&server, 1);
    let refusal = owner.refusal(LOGIN, login("ada@example.org", PASSWORD)).await;
    assert_eq!(refusal["code"], "RATE_LIMITED");
    let mut input = login("ada@example.org", PASSWORD);
    input["input"]["proof"] = solve(&refusal);
    owner.data(LOGIN, input).await;
    // The way back in by a code is counted with it, and opened in the same way; other accounts are not concerned.
    let recover = "mutation($input: RecoverInput!) { recover(input: $input) { account { id } } }";
    let recovery = |proof: Value| {
        json!({ "input": {
            "identity": { "email": "ada@example.org" }, "recoveryCode": "00000-00000-00000-00000-00000",
            "newPassword": "copper lantern meadow 58", "proof": proof,
        } })
    };
    let refusal = owner.refusal(recover, recovery(Value::Null)).await;
    assert_eq!(refusal["code"], "RATE_LIMITED");
    assert_eq!(owner.code(recover, recovery(solve(&refusal))).await, "INVALID_CREDENTIALS");
    assert_eq!(owner.code(LOGIN, login("bob@example.org", PASSWORD)).await, "INVALID_CREDENTIALS");
}

#[tokio::test]
async fn a_forwarded_address_is_believed_from_trusted_proxies_alone() {
    for (proxies, is_believed) in [("0", false), ("1", true)] {
        let home = Home::new().with("TRUSTED_PROXIES", proxies);
        let server = home.serve();
        let client = server.client();
        let guess = async |number: u32| {
            // The left part is what the client made up, the right what the proxy saw.
            let forwarded = format!("203.0.113.{number}, 198.51.100.{number}");
            let request = client.http.post(server.url("/graphql")).header("content-type", "application/json");
            let body = json!({ "query": LOGIN, "variables": login("ada@example.org", "wrong") }).to_string();
            let answer = request.header("x-forwarded-for", forwarded).body(body).send().await.expect("an answer");
            let answer: Value = serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON");
            answer["errors"][0]["extensions"]["code"].as_str().expect("a code").to_owned()
        };
        for number in 0..20 {
            assert_eq!(guess(number).await, "INVALID_CREDENTIALS");
        }
        let expected = if is_believed { "INVALID_CREDENTIALS" } else { "RATE_LIMITED" };
        assert_eq!(guess(20).await, expected, "{proxies}");
    }
}
