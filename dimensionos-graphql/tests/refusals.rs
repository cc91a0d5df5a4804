//! Every wrong input of every operation gets an error of the contract's list.

mod harness;

use harness::{Home, PASSWORD};
use serde_json::{Value, json};

const REGISTER: &str = "mutation($i: RegisterInput!) { register(input: $i) { account { id } } }";
const LOGIN: &str = "mutation($i: LoginInput!) { login(input: $i) { account { id } } }";
const REFRESH: &str = "mutation($t: String!) { refresh(refreshToken: $t) { account { id } } }";
const HISTORY: &str = "query($r: Resource!, $f: DateTime!, $t: DateTime, $s: Resolution!) {
    me { usageHistory(resource: $r, from: $f, to: $t, resolution: $s) { at } }
}";
const RECOVER: &str = "mutation($i: RecoverInput!) { recover(input: $i) { account { id } } }";
const CHANGE: &str = "mutation($c: String!, $n: String!) { changePassword(current: $c, new: $n) { account { id } } }";
const CREATE_AGENT: &str = "mutation($n: String!) { createAgent(name: $n) { id } }";

#[expect(clippy::too_many_lines, reason = "one line a wrong input")]
#[tokio::test]
async fn a_wrong_input_is_named_by_its_field() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let ada = client.register("ada@example.org").await;
    let agent = client.with_token(&home.print(&["agent", "create", "--name", "web-1"]));
    let operator = client.with_token(&home.print(&["operator", "create", "--name", "ops"]));

    let email = |text: &str| json!({ "i": { "identity": { "email": text }, "password": PASSWORD } });
    let long = format!("{}@example.org", "a".repeat(300));
    let mut cases = Vec::new();
    for wrong in ["", "ada", "@example.org", "ada@", "a b@example.org", long.as_str()] {
        cases.push((&client, REGISTER, email(wrong), "INVALID_INPUT", Some("email")));
        cases.push((&client, LOGIN, email(wrong), "INVALID_INPUT", Some("email")));
    }
    let identity = |name: &str, value: &str| json!({ "i": { "identity": { name: value }, "password": PASSWORD } });
    let with_password =
        |password: &str| json!({ "i": { "identity": { "email": "b@example.org" }, "password": password } });
    let history =
        |resource: &str, from: &str, to: Value, step: &str| json!({ "r": resource, "f": from, "t": to, "s": step });
    let recovery = |email: &str, code: &str, password: &str| json!({ "i": { "identity": { "email": email }, "recoveryCode": code, "newPassword": password } });
    let code = "00000-00000-00000-00000-00000";
    let report = |input: Value| json!({ "input": input });
    let at = "2026-01-01T00:00:00Z";
    cases.extend([
        (&client, LOGIN, identity("emailDigest", "abc"), "INVALID_INPUT", Some("emailDigest")),
        (&client, LOGIN, identity("accountNumber", "12345"), "INVALID_INPUT", Some("accountNumber")),
        (&client, LOGIN, identity("accountNumber", &"U".repeat(26)), "INVALID_INPUT", Some("accountNumber")),
        (&client, LOGIN, json!({ "i": { "identity": {}, "password": PASSWORD } }), "INVALID_INPUT", None),
        (
            &client,
            LOGIN,
            json!({ "i": { "identity": { "email": "a@b.example", "accountNumber": "1" }, "password": PASSWORD } }),
            "INVALID_INPUT",
            None,
        ),
        (&client, LOGIN, json!({ "i": { "password": PASSWORD } }), "INVALID_INPUT", None),
        (&client, LOGIN, json!({ "i": 5 }), "INVALID_INPUT", None),
        (&client, LOGIN, json!({}), "INVALID_INPUT", None),
        (&client, LOGIN, with_password(""), "INVALID_INPUT", Some("password")),
        (&client, LOGIN, with_password(&"x".repeat(1_025)), "INVALID_INPUT", Some("password")),
        (&client, LOGIN, with_password("x"), "INVALID_CREDENTIALS", None),
        (&client, REGISTER, identity("accountNumber", &"0".repeat(26)), "INVALID_INPUT", Some("identity")),
        (&client, REGISTER, with_password(""), "INVALID_INPUT", Some("password")),
        (&client, REGISTER, with_password("fourteen chars"), "WEAK_PASSWORD", None),
        (&client, REGISTER, with_password("passwordpassword"), "WEAK_PASSWORD", None),
        (&client, REGISTER, email("ada@example.org"), "IDENTITY_UNAVAILABLE", None),
        (&client, RECOVER, json!({ "i": {} }), "INVALID_INPUT", None),
        (&client, RECOVER, recovery("ada", code, PASSWORD), "INVALID_INPUT", Some("email")),
        (&client, RECOVER, recovery("ada@example.org", "12345", PASSWORD), "INVALID_INPUT", Some("recoveryCode")),
        (&client, RECOVER, recovery("ada@example.org", code, ""), "INVALID_INPUT", Some("password")),
        (&client, RECOVER, recovery("ada@example.org", code, "short"), "WEAK_PASSWORD", None),
        (&client, RECOVER, recovery("ada@example.org", code, PASSWORD), "INVALID_CREDENTIALS", None),
        (&client, CHANGE, json!({ "c": PASSWORD, "n": PASSWORD }), "UNAUTHENTICATED", None),
        (&agent, CHANGE, json!({ "c": PASSWORD, "n": PASSWORD }), "FORBIDDEN", None),
        (&ada.client, CHANGE, json!({ "c": "", "n": PASSWORD }), "INVALID_INPUT", Some("password")),
        (&ada.client, CHANGE, json!({ "c": PASSWORD, "n": "short" }), "WEAK_PASSWORD", None),
        (&client, "mutation { eraseAccount(password: \"\") }", Value::Null, "UNAUTHENTICATED", None),
        (&ada.client, "mutation { eraseAccount(password: \"\") }", Value::Null, "INVALID_INPUT", Some("password")),
        (&client, "mutation { reauthenticate(password: \"x\") { id } }", Value::Null, "UNAUTHENTICATED", None),
        (&ada.client, "mutation { reauthenticate(password: \"x\") { id } }", Value::Null, "INVALID_CREDENTIALS", None),
        (&client, "mutation { renewRecoveryCodes { recoveryCodes } }", Value::Null, "UNAUTHENTICATED", None),
        (&client, "mutation { endSession(session: \"x\") }", Value::Null, "UNAUTHENTICATED", None),
        (&client, "mutation { endSessionsOf(account: \"x\") }", Value::Null, "UNAUTHENTICATED", None),
        (&ada.client, "mutation { endSessionsOf(account: \"x\") }", Value::Null, "FORBIDDEN", None),
        (
            &ada.client,
            "mutation { setServiceStatus(account: \"x\", status: ACTIVE, reason: \"mine\") { id } }",
            Value::Null,
            "FORBIDDEN",
            None,
        ),
        (&client, "mutation { acceptTerms(version: \"1\") { id } }", Value::Null, "UNAUTHENTICATED", None),
        (
            &ada.client,
            "mutation { acceptTerms(version: \"\") { id } }",
            Value::Null,
            "INVALID_INPUT",
            Some("termsVersion"),
        ),
        (&client, "mutation { serviceToken(audience: \"x\") { subject } }", Value::Null, "UNAUTHENTICATED", None),
        (&client, REFRESH, json!({ "t": "" }), "TOKEN_INVALID", None),
        (&client, REFRESH, json!({ "t": ada.access }), "TOKEN_INVALID", None),
        (&client, "mutation { logout }", Value::Null, "UNAUTHENTICATED", None),
        (&client, "{ me { id } }", Value::Null, "UNAUTHENTICATED", None),
        (&agent, "{ me { id } }", Value::Null, "FORBIDDEN", None),
        (&operator, "{ me { id } }", Value::Null, "FORBIDDEN", None),
        (&client, "{ me { nothing } }", Value::Null, "INVALID_INPUT", Some("query")),
        (&client, "{ me", Value::Null, "INVALID_INPUT", Some("query")),
        (&client, "", Value::Null, "INVALID_INPUT", Some("query")),
        (&ada.client, HISTORY, history("RAM", at, json!("2025-01-01T00:00:00Z"), "HOUR"), "INVALID_INPUT", Some("to")),
        (
            &ada.client,
            HISTORY,
            history("RAM", "2020-01-01T00:00:00Z", json!(at), "MINUTE"),
            "INVALID_INPUT",
            Some("from"),
        ),
        (&ada.client, HISTORY, history("GOLD", at, Value::Null, "HOUR"), "INVALID_INPUT", None),
        (&ada.client, HISTORY, history("RAM", "yesterday", Value::Null, "HOUR"), "INVALID_INPUT", None),
        (&ada.client, HISTORY, history("RAM", at, Value::Null, "YEAR"), "INVALID_INPUT", None),
        (&ada.client, "{ me { usage(period: YEAR) { from } } }", Value::Null, "INVALID_INPUT", None),
        (&ada.client, CREATE_AGENT, json!({ "n": "x" }), "FORBIDDEN", None),
        (&agent, CREATE_AGENT, json!({ "n": "x" }), "FORBIDDEN", None),
        (&client, CREATE_AGENT, json!({ "n": "x" }), "UNAUTHENTICATED", None),
        (&operator, CREATE_AGENT, json!({ "n": "" }), "INVALID_INPUT", Some("name")),
        (&operator, CREATE_AGENT, json!({ "n": "ada@example.org" }), "INVALID_INPUT", Some("name")),
        (&operator, CREATE_AGENT, json!({ "n": "web-1" }), "CONFLICT", None),
        (&client, harness::REPORT, report(json!({ "sequence": 1, "samples": [] })), "UNAUTHENTICATED", None),
        (&ada.client, harness::REPORT, report(json!({ "sequence": 1, "samples": [] })), "FORBIDDEN", None),
        (&operator, harness::REPORT, report(json!({ "sequence": 1, "samples": [] })), "FORBIDDEN", None),
        (&agent, harness::REPORT, report(json!({ "sequence": 0, "samples": [] })), "INVALID_INPUT", Some("sequence")),
        (&agent, harness::REPORT, report(json!({ "sequence": -1, "samples": [] })), "INVALID_INPUT", None),
        (&agent, harness::REPORT, report(json!({ "sequence": 1.5, "samples": [] })), "INVALID_INPUT", None),
        (
            &agent,
            harness::REPORT,
            report(json!({ "sequence": 9_007_199_254_740_992_u64, "samples": [] })),
            "INVALID_INPUT",
            None,
        ),
        (
            &agent,
            harness::REPORT,
            report(json!({ "source": "Ada's", "sequence": 1, "samples": [] })),
            "INVALID_INPUT",
            Some("source"),
        ),
        (
            &agent,
            harness::REPORT,
            report(json!({ "sequence": 1, "samples": [{ "account": ada.id, "colour": 1 }] })),
            "INVALID_INPUT",
            None,
        ),
        (
            &agent,
            harness::REPORT,
            report(json!({ "sequence": 1, "samples": [{ "apiCalls": 1 }] })),
            "INVALID_INPUT",
            None,
        ),
        (
            &agent,
            harness::REPORT,
            report(json!({ "sequence": 1, "samples": [{ "account": ada.id, "apiCalls": "1" }] })),
            "INVALID_INPUT",
            None,
        ),
    ]);
    for (who, query, variables, code, field) in cases {
        let refusal = who.refusal(query, variables.clone()).await;
        assert_eq!(refusal["code"], code, "{query} {variables}: {refusal}");
        if let Some(field) = field {
            assert_eq!(refusal["field"], field, "{query} {variables}");
        }
        if code == "WEAK_PASSWORD" {
            assert!(!refusal["hint"].as_str().unwrap().is_empty());
        }
    }
    for (token, code) in [("nonsense", "TOKEN_INVALID"), ("dimo_nonsense", "TOKEN_INVALID"), ("a.b.c", "TOKEN_INVALID")]
    {
        assert_eq!(client.with_token(token).code("{ me { id } }", Value::Null).await, code, "{token}");
    }
}

#[tokio::test]
async fn past_what_can_be_hashed_soon_the_answer_is_busy_and_others_do_not_wait() {
    let home = Home::new().with("BCRYPT_COST", "11");
    let server = home.serve();
    let client = server.client();
    let registration = json!({ "i": { "password": PASSWORD } });
    let many: Vec<_> = (0..150)
        .map(|_| {
            let (client, registration) = (client.clone(), registration.clone());
            tokio::spawn(async move { client.ask(REGISTER, registration).await })
        })
        .collect();
    client.data("{ tiers { tier } }", Value::Null).await;
    let mut busy = 0;
    for one in many {
        let answer = one.await.unwrap();
        let extensions = &answer["errors"][0]["extensions"];
        if extensions["code"] == "BUSY" {
            assert!(extensions["retryAfterSeconds"].as_u64().unwrap() >= 1);
            busy += 1;
        } else {
            assert!(answer["data"]["register"]["account"]["id"].is_string(), "{answer}");
        }
    }
    assert!(busy > 0 && busy < 150, "{busy} of 150 were refused");
}
