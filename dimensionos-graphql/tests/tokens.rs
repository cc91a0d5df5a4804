//! Forged tokens, replaced keys, and names at other services, from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use std::process::Command;
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{Client, Home, PASSWORD, Server};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

const SEED: [u8; 32] = [0x11; 32];

/// A key as the settings have it.
fn written(seed: [u8; 32]) -> String {
    seed.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap()
}

fn part(token: &str, place: usize) -> Value {
    let text = token.split('.').nth(place).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn header(algorithm: Algorithm, kid: &str) -> Header {
    Header { typ: Some("at+jwt".to_owned()), kid: Some(kid.to_owned()), ..Header::new(algorithm) }
}

async fn code(client: &Client, token: &str) -> String {
    let answer = client.with_token(token).ask("{ me { id } }", Value::Null).await;
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("none").to_owned()
}

/// Whoever has the signing key makes good tokens, so each of these differs from one of those in one thing alone.
#[tokio::test]
async fn a_token_that_differs_in_one_thing_opens_nothing() {
    let home = Home::new().with("SIGNING_KEY", &written(SEED));
    let server = home.serve();
    let client = server.client();
    let access = client.register("ada@example.org").await.access;
    let (good_header, good) = (part(&access, 0), part(&access, 1));
    assert_eq!((&good_header["typ"], &good_header["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
    let lifetime = good["exp"].as_i64().unwrap() - good["iat"].as_i64().unwrap();
    assert_eq!((lifetime, &good["iss"], &good["aud"]), (3_600, &json!("dimensionos"), &json!("dimensionos")));
    let kid = good_header["kid"].as_str().unwrap();
    let key = EncodingKey::from_ed_der(pair().to_pkcs8().unwrap().as_ref());
    let sign = |header: &Header, claims: &Value| jsonwebtoken::encode(header, claims, &key).unwrap();
    let eddsa = header(Algorithm::EdDSA, kid);
    assert_eq!(code(&client, &sign(&eddsa, &good)).await, "none");

    let with = |claim: &str, value: Value| {
        let mut claims = good.clone();
        claims[claim] = value;
        claims
    };
    let without = |claim: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(claim);
        claims
    };
    let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let mut tokens = vec![
        ("expired a second ago", sign(&eddsa, &with("exp", json!(now - 1))), "TOKEN_EXPIRED"),
        ("made in the future", sign(&eddsa, &with("iat", json!(now + 3_600))), "TOKEN_INVALID"),
        ("no aud", sign(&eddsa, &without("aud")), "TOKEN_INVALID"),
        ("array aud", sign(&eddsa, &with("aud", json!(["dimensionos"]))), "TOKEN_INVALID"),
        ("another aud", sign(&eddsa, &with("aud", json!("billing"))), "TOKEN_INVALID"),
        ("another iss", sign(&eddsa, &with("iss", json!("billing"))), "TOKEN_INVALID"),
        ("no exp", sign(&eddsa, &without("exp")), "TOKEN_INVALID"),
        ("another epoch", sign(&eddsa, &with("epoch", json!(1))), "TOKEN_INVALID"),
        ("no session", sign(&eddsa, &without("sid")), "TOKEN_INVALID"),
        ("an ID token's typ", sign(&Header { typ: Some("JWT".to_owned()), ..eddsa.clone() }, &good), "TOKEN_INVALID"),
        ("no typ", sign(&Header { typ: None, ..eddsa.clone() }, &good), "TOKEN_INVALID"),
        ("unknown kid", sign(&header(Algorithm::EdDSA, "another"), &good), "TOKEN_INVALID"),
        ("oversized", sign(&eddsa, &with("jti", json!("x".repeat(4_000)))), "TOKEN_INVALID"),
    ];
    let by_public_key = EncodingKey::from_secret(pair().public_key().as_ref());
    let hs256 = jsonwebtoken::encode(&header(Algorithm::HS256, kid), &good, &by_public_key).unwrap();
    tokens.push(("HS256 with the public key", hs256, "TOKEN_INVALID"));
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = json!({ "alg": "none", "typ": "at+jwt", "kid": kid });
    tokens.push(("alg none", format!("{}.{}.", text(&none), text(&good)), "TOKEN_INVALID"));
    let parts: Vec<&str> = access.split('.').collect();
    let tampered = format!("{}.{}.{}", parts[0], text(&with("sub", json!("acc_00000000000000000000000001"))), parts[2]);
    tokens.push(("tampered payload", tampered, "TOKEN_INVALID"));
    tokens.push(("no signature", format!("{}.{}", parts[0], parts[1]), "TOKEN_INVALID"));
    for (what, token, expected) in tokens {
        assert_eq!(code(&client, &token).await, expected, "{what}");
    }
}

fn hang_up(server: &Server) {
    assert!(Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap().success());
}

async fn published(server: &Server) -> Vec<Value> {
    let keys = reqwest::get(server.url("/.well-known/jwks.json")).await.unwrap().text().await.unwrap();
    serde_json::from_str::<Value>(&keys).unwrap()["keys"].as_array().unwrap().clone()
}

async fn wait_for_log(home: &Home, text: &str, times: usize) {
    for _ in 0..500 {
        if std::fs::read_to_string(home.log()).unwrap().matches(text).count() >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{text}: not {times} times in the log");
}

async fn wait_for_keys(server: &Server, count: usize) {
    for _ in 0..200 {
        if published(server).await.len() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the keys were not read again");
}

#[tokio::test]
async fn keys_are_replaced_in_a_running_server_and_no_request_fails() {
    let home = Home::new().with("CHARGE_API_CALLS", "false");
    let server = home.serve();
    let client = server.client();
    let ada = client.register("ada@example.org").await;
    let file = home.path().join("data/signing.key");
    let old = std::fs::read_to_string(&file).unwrap();

    let done = tokio_util::sync::CancellationToken::new();
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (own, done) = (ada.client.clone(), done.clone());
            tokio::spawn(async move {
                let mut asked = 0_u32;
                while !done.is_cancelled() {
                    own.data("{ me { id } }", Value::Null).await;
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    std::fs::write(&file, format!("{}\n{old}", written(SEED))).unwrap();
    hang_up(&server);
    wait_for_keys(&server, 2).await;
    let login = format!(
        "mutation {{ login(input: {{ identity: {{ email: \"ada@example.org\" }}, password: \"{PASSWORD}\" }}) {{ tokens {{ accessToken }} }} }}"
    );
    let new = client.data(&login, Value::Null).await["login"]["tokens"]["accessToken"].as_str().unwrap().to_owned();
    assert_ne!(part(&new, 0)["kid"], part(&ada.access, 0)["kid"]);
    assert_eq!(published(&server).await[0]["kid"], part(&new, 0)["kid"]);
    done.cancel();
    for one in asking {
        assert!(one.await.unwrap() > 0);
    }

    // A file that holds no keys, or is gone, changes nothing.
    std::fs::write(&file, "nonsense\n").unwrap();
    hang_up(&server);
    wait_for_log(&home, "the keys could not be read again", 1).await;
    std::fs::remove_file(&file).unwrap();
    hang_up(&server);
    wait_for_log(&home, "the keys could not be read again", 2).await;
    assert!(!file.exists());
    assert_eq!(code(&client, &ada.access).await, "none");
    // Once the old key is gone, so are its tokens.
    std::fs::write(&file, format!("{}\n", written(SEED))).unwrap();
    hang_up(&server);
    wait_for_keys(&server, 1).await;
    assert_eq!(code(&client, &ada.access).await, "TOKEN_INVALID");
    assert_eq!(code(&client, &new).await, "none");
}

#[tokio::test]
async fn a_pepper_is_replaced_login_by_login_and_doctor_counts() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    for email in ["ada@example.org", "bob@example.org"] {
        client.register(email).await;
    }
    let login = |email: &str| {
        format!(
            "mutation {{ login(input: {{ identity: {{ email: \"{email}\" }}, password: \"{PASSWORD}\" }}) {{ account {{ id }} }} }}"
        )
    };
    let file = home.path().join("data/pepper.key");
    let old = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{}\n{old}", written([0x22; 32]))).unwrap();
    hang_up(&server);
    wait_for_log(&home, "the keys were read again", 1).await;
    let counts = |printed: &str| -> Vec<String> {
        printed
            .lines()
            .filter(|line| line.contains("pepper "))
            .filter(|line| line.contains("accounts"))
            .map(str::to_owned)
            .collect()
    };
    let before = counts(&home.print(&["doctor"]));
    assert!(before.iter().any(|line| line.contains(": 2 accounts until they sign in again")), "{before:?}");
    assert!(before.iter().any(|line| line.contains(": 0 accounts, and new ones")), "{before:?}");
    client.data(&login("ada@example.org"), Value::Null).await;
    let after = counts(&home.print(&["doctor"]));
    assert!(after.iter().any(|line| line.contains(": 1 accounts until they sign in again")), "{after:?}");
    assert!(after.iter().any(|line| line.contains(": 1 accounts, and new ones")), "{after:?}");

    // Dropped too soon, the old pepper locks Bob out, and doctor says so.
    std::fs::write(&file, written([0x22; 32])).unwrap();
    let output = home.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("1 accounts, and it is not among the keys"), "{printed}");
    hang_up(&server);
    wait_for_log(&home, "the keys were read again", 2).await;
    client.data(&login("ada@example.org"), Value::Null).await;
    assert_eq!(client.code(&login("bob@example.org"), Value::Null).await, "INVALID_CREDENTIALS");
}

#[tokio::test]
async fn another_service_gets_a_name_of_its_own_and_a_token_it_can_verify() {
    let home = Home::new().with("SERVICES", "billing,https://forum.example").with("ISSUER", "https://id.example");
    let server = home.serve();
    let client = server.client();
    let ada = client.register("ada@example.org").await;
    let ask = "mutation($a: String!) { serviceToken(audience: $a) { token subject expiresAt } }";
    let mut names = Vec::new();
    for audience in ["billing", "https://forum.example"] {
        let issued = ada.client.data(ask, json!({ "a": audience })).await["serviceToken"].clone();
        let token = issued["token"].as_str().unwrap();
        // As the service does it: by the published key, for its own name.
        let key = published(&server).await[0].clone();
        let key = DecodingKey::from_ed_components(key["x"].as_str().unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[audience]);
        validation.set_issuer(&["https://id.example"]);
        let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims;
        assert_eq!(claims["sub"], issued["subject"]);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
        let known: Vec<&str> = claims.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(known, ["aud", "exp", "iat", "iss", "jti", "sub"]);
        assert!(!claims.to_string().contains(&ada.id));
        // It opens nothing here.
        assert_eq!(code(&client, token).await, "TOKEN_INVALID");
        let again = ada.client.data(ask, json!({ "a": audience })).await["serviceToken"].clone();
        assert_eq!(again["subject"], issued["subject"]);
        names.push(issued["subject"].clone());
    }
    assert_ne!(names[0], names[1]);
    for unknown in ["dimensionos", "another", ""] {
        assert_eq!(ada.client.code(ask, json!({ "a": unknown })).await, "NOT_FOUND");
    }
}
