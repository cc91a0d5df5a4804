//! Registering, signing in and out, and staying signed in, from outside.

mod harness;

use harness::{Home, PASSWORD, REGISTER};
use serde_json::{Value, json};

const LOGIN: &str = "mutation($identity: IdentityInput!, $password: String!) {
    login(input: { identity: $identity, password: $password }) {
        account { id anonymousId metrics { ram { megabytesAllocated megabytesUsed } } } tokens { accessToken refreshToken }
    }
}";
const REFRESH: &str = "mutation($token: String!) {
    refresh(refreshToken: $token) { account { id } tokens { accessToken refreshToken } }
}";
const ME: &str =
    "{ me { id anonymousId tier status statusReason trial { daysLeft expired } allocation { cpuCores } } }";

#[tokio::test]
async fn an_address_and_its_digest_open_the_same_account() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let ada = client.register(" Ada@Example.org").await;
    let me = ada.client.data(ME, Value::Null).await["me"].clone();
    assert_eq!((&me["tier"], &me["status"], &me["statusReason"]), (&json!("FREE"), &json!("ACTIVE"), &json!("NONE")));
    assert_eq!((&me["trial"]["daysLeft"], &me["allocation"]["cpuCores"]), (&json!(30), &json!(1.0)));
    let digest = harness::sha256("ada@example.org");
    for identity in [json!({ "email": "ada@EXAMPLE.org" }), json!({ "emailDigest": digest })] {
        let data = client.data(LOGIN, json!({ "identity": identity, "password": PASSWORD })).await;
        assert_eq!(data["login"]["account"]["id"], me["id"]);
        // The account is asked on behalf of whoever has just signed in.
        assert_eq!(
            data["login"]["account"]["metrics"]["ram"],
            json!({ "megabytesAllocated": 4096, "megabytesUsed": null })
        );
    }
    assert_ne!(me["anonymousId"], json!(digest));
    assert_eq!(
        client.code(REGISTER, json!({ "email": "ada@example.org", "password": PASSWORD })).await,
        "IDENTITY_UNAVAILABLE"
    );
}

#[tokio::test]
async fn an_account_without_an_address_gets_a_number_that_opens_it() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let register =
        "mutation($password: String!) { register(input: { password: $password }) { accountNumber account { id } } }";
    let registered = client.data(register, json!({ "password": PASSWORD })).await["register"].clone();
    let number = registered["accountNumber"].as_str().unwrap();
    for spelling in [number.to_owned(), number.to_lowercase().replace('-', " ")] {
        let login = json!({ "identity": { "accountNumber": spelling }, "password": PASSWORD });
        assert_eq!(client.data(LOGIN, login).await["login"]["account"]["id"], registered["account"]["id"]);
    }
}

#[tokio::test]
async fn an_unknown_account_and_a_wrong_password_get_the_same_answer() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    client.register("ada@example.org").await;
    let mut answers = Vec::new();
    for (email, password) in [("nobody@example.org", PASSWORD), ("ada@example.org", "violet harbour kestrel 42")] {
        let mut answer = client.ask(LOGIN, json!({ "identity": { "email": email }, "password": password })).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INVALID_CREDENTIALS");
        answers.push(answer.take());
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_signed_out_session_opens_nothing_and_its_sibling_goes_on() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let first = client.register("ada@example.org").await;
    let login = json!({ "identity": { "email": "ada@example.org" }, "password": PASSWORD });
    let second = client.data(LOGIN, login).await["login"]["tokens"].clone();
    let second_client = client.with_token(second["accessToken"].as_str().unwrap());
    assert_eq!(first.client.data("mutation { logout }", Value::Null).await["logout"], true);
    assert_eq!(first.client.code(ME, Value::Null).await, "TOKEN_INVALID");
    assert_eq!(client.code(REFRESH, json!({ "token": first.refresh })).await, "TOKEN_INVALID");
    second_client.data(ME, Value::Null).await;
    second_client.data("mutation { logout(everywhere: true) }", Value::Null).await;
    assert_eq!(second_client.code(ME, Value::Null).await, "TOKEN_INVALID");
    // A token that is refused does not get in the way of what is public.
    second_client.data("{ tiers { tier } }", Value::Null).await;
}

#[tokio::test]
async fn two_tabs_may_refresh_with_one_token() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let ada = client.register("ada@example.org").await;
    let mut access = Vec::new();
    for _ in 0..2 {
        let pair = client.data(REFRESH, json!({ "token": ada.refresh })).await["refresh"]["tokens"].clone();
        access.push(pair["accessToken"].as_str().unwrap().to_owned());
        client.data(REFRESH, json!({ "token": pair["refreshToken"] })).await;
    }
    assert_ne!(access[0], access[1]);
    for token in access {
        client.with_token(&token).data(ME, Value::Null).await;
    }
}

#[tokio::test]
async fn accounts_and_sessions_outlive_the_server() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    assert_eq!(server.stop(), Some(0));
    let server = home.serve();
    let client = server.client();
    let me = client.with_token(&ada.access).data(ME, Value::Null).await;
    assert_eq!(me["me"]["id"], json!(ada.id));
    client.data(REFRESH, json!({ "token": ada.refresh })).await;
}

#[tokio::test]
async fn an_account_is_a_node_to_its_holder_alone() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let (ada, bob) = (client.register("ada@example.org").await, client.register("bob@example.org").await);
    let node = "query($id: ID!) { node(id: $id) { __typename id ... on Account { tier } } }";
    let own = ada.client.data(node, json!({ "id": ada.id })).await;
    assert_eq!(own["node"], json!({ "__typename": "Account", "id": ada.id, "tier": "FREE" }));
    for unseen in [bob.id.as_str(), "acc_00000000000000000000000000", "nonsense"] {
        assert_eq!(ada.client.data(node, json!({ "id": unseen })).await["node"], Value::Null, "{unseen}");
    }
    assert_eq!(client.code(node, json!({ "id": ada.id })).await, "UNAUTHENTICATED");
}
