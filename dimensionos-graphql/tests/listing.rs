//! The lists of all accounts and of all agents, as operators page through them.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use std::collections::BTreeSet;
use std::time::Duration;

use dimensionos_core::{Clock, SystemClock, Timestamp};
use harness::{Home, REGISTER};
use serde_json::{Value, json};

const PAGE: &str = "query($first: Int, $after: String, $status: ServiceStatus, $tier: TierName) {
    accounts(first: $first, after: $after, status: $status, tier: $tier) {
        edges { cursor node { id } } nodes { id status tier }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";

#[tokio::test]
async fn an_operator_pages_through_all_accounts_while_they_grow() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let operator = client.with_token(&home.print(&["operator", "create", "--name", "ops"]));
    let mut registered = Vec::new();
    for number in 0..5 {
        registered.push(client.register(&format!("holder{number}@example.org")).await.id);
    }
    let suspend =
        "mutation($a: ID!) { setServiceStatus(account: $a, status: SUSPENDED, reason: \"report 17\") { id } }";
    operator.data(suspend, json!({ "a": registered[1] })).await;

    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = operator.data(PAGE, json!({ "first": 2, "after": after })).await["accounts"].clone();
        assert_eq!(page["pageInfo"]["hasPreviousPage"], json!(!after.is_null()));
        let ids: Vec<String> = page["nodes"].as_array().unwrap().iter().map(|node| text(&node["id"])).collect();
        let edges = page["edges"].as_array().unwrap();
        assert_eq!(edges.iter().map(|edge| text(&edge["node"]["id"])).collect::<Vec<_>>(), ids);
        assert_eq!(page["pageInfo"]["startCursor"], edges[0]["cursor"]);
        seen.extend(ids);
        after = page["pageInfo"]["endCursor"].clone();
        // Somebody comes between any two pages.
        let new = json!({ "email": format!("later{}@example.org", seen.len()), "password": harness::PASSWORD });
        client.data(REGISTER, new).await;
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    registered.reverse();
    assert_eq!(seen, registered, "newest first, each once");

    let suspended = operator.data(PAGE, json!({ "status": "SUSPENDED" })).await["accounts"].clone();
    assert_eq!(suspended["nodes"], json!([{ "id": registered[3], "status": "SUSPENDED", "tier": "FREE" }]));
    let active = operator.data(PAGE, json!({ "status": "ACTIVE", "tier": "FREE" })).await["accounts"].clone();
    let active: BTreeSet<String> =
        active["nodes"].as_array().unwrap().iter().map(|node| text(&node["status"])).collect();
    assert_eq!(active, BTreeSet::from(["ACTIVE".to_owned()]));
    let none = operator.data(PAGE, json!({ "tier": "PRO" })).await["accounts"].clone();
    let nowhere = json!({ "hasNextPage": false, "hasPreviousPage": false, "startCursor": null, "endCursor": null });
    assert_eq!((&none["nodes"], &none["pageInfo"]), (&json!([]), &nowhere));
}

#[tokio::test]
async fn a_page_is_asked_for_by_its_own_cursors_and_by_operators_alone() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let operator = client.with_token(&home.print(&["operator", "create", "--name", "ops"]));
    let agent = client.with_token(&home.print(&["agent", "create", "--name", "a"]));
    let ada = client.register("ada@example.org").await;
    for (wrong, field) in [
        (json!({ "first": 0 }), "first"),
        (json!({ "first": 101 }), "first"),
        (json!({ "first": -1 }), "first"),
        (json!({ "after": "x" }), "after"),
        // As long as a cursor of violations is.
        (json!({ "after": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }), "after"),
    ] {
        let refusal = operator.refusal(PAGE, wrong.clone()).await;
        assert_eq!((&refusal["code"], &refusal["field"]), (&json!("INVALID_INPUT"), &json!(field)), "{wrong}");
    }
    for (other, code) in [(&client, "UNAUTHENTICATED"), (&ada.client, "FORBIDDEN"), (&agent, "FORBIDDEN")] {
        assert_eq!(other.code(PAGE, json!({})).await, code);
    }
}

#[tokio::test]
async fn an_operator_pages_through_all_agents_and_nobody_else_does() {
    const AGENTS: &str = "query($first: Int, $after: String) {
        agents(first: $first, after: $after) { edges { cursor } nodes { id name createdAt } pageInfo { hasNextPage hasPreviousPage endCursor } }
    }";
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let operator = client.with_token(&home.print(&["operator", "create", "--name", "ops"]));
    let started_at = SystemClock.now().before(Duration::from_secs(60));
    let (mut created, mut tokens) = (BTreeSet::new(), Vec::new());
    for number in 0..3 {
        let create = format!("mutation {{ createAgent(name: \"agent-{number}\") {{ id name token }} }}");
        let agent = operator.data(&create, Value::Null).await["createAgent"].clone();
        created.insert((text(&agent["id"]), text(&agent["name"])));
        tokens.push(text(&agent["token"]));
    }
    let (mut seen, mut after) = (BTreeSet::new(), Value::Null);
    loop {
        let page = operator.data(AGENTS, json!({ "first": 2, "after": after })).await["agents"].clone();
        assert_eq!(page["pageInfo"]["hasPreviousPage"], json!(!after.is_null()));
        for agent in page["nodes"].as_array().unwrap() {
            assert!(seen.insert((text(&agent["id"]), text(&agent["name"]))), "each once");
            assert!(text(&agent["createdAt"]).parse::<Timestamp>().unwrap() > started_at);
        }
        after = page["pageInfo"]["endCursor"].clone();
        assert_eq!(page["edges"].as_array().unwrap().last().unwrap()["cursor"], after);
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    let node = "query($id: ID!) { node(id: $id) { id ... on Agent { name } } }";
    for (id, name) in &created {
        let found = operator.data(node, json!({ "id": id })).await["node"].clone();
        assert_eq!(found, json!({ "id": id, "name": name }));
        assert_eq!(client.with_token(&tokens[0]).code(node, json!({ "id": id })).await, "FORBIDDEN");
    }
    assert_eq!(operator.data(node, json!({ "id": "key_00000000000000000000000000" })).await["node"], Value::Null);
    // The operator's own key is not among them.
    assert_eq!(seen, created);

    let accounts = operator.data("{ accounts { pageInfo { endCursor } } }", Value::Null).await;
    assert_eq!(accounts["accounts"]["pageInfo"]["endCursor"], Value::Null);
    let ada = client.register("ada@example.org").await;
    let accounts = operator.data("{ accounts { pageInfo { endCursor } } }", Value::Null).await;
    for (wrong, field) in [
        (json!({ "first": 0 }), "first"),
        (json!({ "first": 101 }), "first"),
        (json!({ "after": "x" }), "after"),
        (json!({ "after": accounts["accounts"]["pageInfo"]["endCursor"] }), "after"),
    ] {
        let refusal = operator.refusal(AGENTS, wrong.clone()).await;
        assert_eq!((&refusal["code"], &refusal["field"]), (&json!("INVALID_INPUT"), &json!(field)), "{wrong}");
    }
    let agent = client.with_token(&tokens[0]);
    for (other, code) in [(&client, "UNAUTHENTICATED"), (&ada.client, "FORBIDDEN"), (&agent, "FORBIDDEN")] {
        assert_eq!(other.code(AGENTS, json!({})).await, code);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
