//! What must never be written down is written nowhere: not in the database, the log or the metrics.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use harness::{Home, PASSWORD};
use serde_json::{Value, json};

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test]
async fn no_address_digest_password_or_token_is_written_anywhere() {
    const NEW_PASSWORD: &str = "copper lantern meadow 58";
    const WRONG_CODE: &str = "ABCDE-FGHJK-MNPQR-STVWX-YZ012";
    const ADDRESS: &str = "ada.lovelace@example.org";
    let digest = harness::sha256(ADDRESS);

    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let operator = home.print(&["operator", "create", "--name", "ops"]);
    let create = "mutation { createAgent(name: \"web-1\") { token } }";
    let agent = client.with_token(&operator).data(create, Value::Null).await["createAgent"]["token"].clone();
    let agent = agent.as_str().unwrap().to_owned();
    let ada = client.register(ADDRESS).await;

    // Everything that a log line could quote: good and bad sign-ins, refused tokens, broken documents.
    let login = "mutation($i: IdentityInput!, $p: String!) { login(input: {identity: $i, password: $p}) { tokens { accessToken refreshToken } } }";
    let identity = json!({ "email": ADDRESS });
    let pair = client.data(login, json!({ "i": identity, "p": PASSWORD })).await["login"]["tokens"].clone();
    client.ask(login, json!({ "i": { "emailDigest": digest }, "p": "wrong but long enough 1" })).await;
    client
        .ask(
            &format!("mutation {{ login(input: {{identity: {{email: \"{ADDRESS}\"}}, password: \"{PASSWORD}\" "),
            Value::Null,
        )
        .await;
    client.ask(&format!("{{ nope(email: \"{ADDRESS}\") }}"), Value::Null).await;
    client.with_token(&format!("{}x", ada.access)).ask("{ me { id } }", Value::Null).await;
    let refresh = "mutation($t: String!) { refresh(refreshToken: $t) { tokens { refreshToken } } }";
    let rotated = client.data(refresh, json!({ "t": ada.refresh })).await["refresh"]["tokens"]["refreshToken"].clone();
    // A lost password: a wrong code, and then a right one.
    let codes = "mutation { renewRecoveryCodes { recoveryCodes } }";
    let codes = ada.client.data(codes, Value::Null).await["renewRecoveryCodes"]["recoveryCodes"].clone();
    let recover = "mutation($i: RecoverInput!) { recover(input: $i) { tokens { accessToken } } }";
    let recovery = |code: &Value| json!({ "i": { "identity": { "email": ADDRESS }, "recoveryCode": code, "newPassword": NEW_PASSWORD } });
    client.ask(recover, recovery(&json!(WRONG_CODE))).await;
    let recovered = client.data(recover, recovery(&codes[0])).await["recover"]["tokens"]["accessToken"].clone();
    let ada = harness::Registered { client: client.with_token(recovered.as_str().unwrap()), ..ada };
    let probe = format!("/graphql?query={{me{{id}}}}&email={ADDRESS}");
    client.http.get(server.url(&probe)).bearer_auth(&ada.access).send().await.unwrap();
    let report = json!({ "input": { "sequence": 1, "samples": [{ "account": ada.id, "apiCalls": 1 }] } });
    client.with_token(&agent).data(harness::REPORT, report).await;
    let metrics = client.http.get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("dimensionos_http_requests_total"), "{metrics}");

    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let secrets = [
        ("address", ADDRESS.to_owned()),
        ("address's name", "lovelace".to_owned()),
        ("digest", digest.clone()),
        ("password", PASSWORD.to_owned()),
        ("wrong password", "wrong but long enough".to_owned()),
        ("access token", ada.access.clone()),
        ("access token's signature", ada.access.rsplit('.').next().unwrap().to_owned()),
        ("refresh token", ada.refresh.clone()),
        ("second access token", text(&pair["accessToken"])),
        ("second refresh token", text(&pair["refreshToken"])),
        ("rotated refresh token", text(&rotated)),
        ("recovered access token", text(&recovered)),
        ("used recovery code", text(&codes[0])),
        ("used recovery code's digits", text(&codes[0]).replace('-', "")),
        ("unused recovery code", text(&codes[1])),
        ("wrong recovery code", WRONG_CODE.to_owned()),
        ("new password", NEW_PASSWORD.to_owned()),
        // Failures are counted by it; as a digest, and in memory alone.
        ("source's address", "127.0.0.1".to_owned()),
        ("operator's token", operator),
        ("agent's token", agent),
    ];
    let mut files = home.files();
    files.push(("/metrics".into(), metrics.into_bytes()));
    assert!(
        files.iter().any(|(path, content)| path.ends_with("log") && content.len() > 1_000),
        "the log says something"
    );
    assert!(files.iter().any(|(path, _)| path.ends_with("dimensionos.db-wal")), "the database's log is scanned too");
    for (path, content) in &files {
        for (what, secret) in &secrets {
            assert!(!contains(content, secret.as_bytes()), "{what} stands in {}", path.display());
        }
        assert!(!contains(content, &hex(&digest)), "the digest's bytes stand in {}", path.display());
    }
    // The scan finds what is there: the account's tag is in the database.
    let tag = ada.client.data("{ me { anonymousId } }", Value::Null).await["me"]["anonymousId"].clone();
    assert!(files.iter().any(|(_, content)| contains(content, &hex(tag.as_str().unwrap()))));
    assert_eq!(server.stop(), Some(0));
}
