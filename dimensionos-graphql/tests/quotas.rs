//! Quotas from outside: using them, setting some aside, limits of an account's own, and being told of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use futures_util::future::join_all;
use harness::live::Events;
use harness::{Client, Home, REPORT, Registered, Server};
use serde_json::{Value, json};

const CONSUME: &str = "mutation($account: ID!, $resource: Resource!, $amount: UInt53!, $key: String) {
    consume(account: $account, resource: $resource, amount: $amount, key: $key) {
        allowed resource limit used remaining resetsAt reason over
    }
}";

struct Metered {
    server: Server,
    agent: Client,
    operator: Client,
    ada: Registered,
}

async fn metered(home: &Home) -> Metered {
    let server = home.serve();
    let client = server.client();
    let agent = client.with_token(&home.print(&["agent", "create", "--name", "web-1"]));
    let operator = client.with_token(&home.print(&["operator", "create", "--name", "ops"]));
    let ada = client.register("ada@example.org").await;
    Metered { server, agent, operator, ada }
}

impl Metered {
    async fn consume(&self, resource: &str, amount: u64, key: Option<&str>) -> Value {
        let variables = json!({ "account": self.ada.id, "resource": resource, "amount": amount, "key": key });
        self.agent.data(CONSUME, variables).await["consume"].clone()
    }

    async fn limit(&self, resource: &str, limit: u64) {
        let set = "mutation($account: ID!, $resource: Resource!, $limit: UInt53!) {
            setLimit(account: $account, resource: $resource, limit: $limit, until: \"2999-01-01T00:00:00Z\") {
                limitOverrides { resource limit until }
            }
        }";
        let variables = json!({ "account": self.ada.id, "resource": resource, "limit": limit });
        let set = self.operator.data(set, variables).await["setLimit"]["limitOverrides"].clone();
        let own = json!({ "resource": resource, "limit": limit, "until": "2999-01-01T00:00:00.000Z" });
        assert!(set.as_array().unwrap().contains(&own), "{set}");
    }

    async fn report(&self, sequence: u64, megabytes: u64, calls: u64) {
        let sample = json!({ "account": self.ada.id, "ramBytes": megabytes << 20, "apiCalls": calls });
        let input = json!({ "input": { "sequence": sequence, "samples": [sample] } });
        self.agent.data(REPORT, input).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takers_at_once_get_exactly_the_limit_and_the_refusal_says_why() {
    let home = Home::new();
    let metered = metered(&home).await;
    metered.limit("API_CALLS", 100).await;
    let takers = join_all((0..300).map(|_| metered.consume("API_CALLS", 1, None))).await;
    assert_eq!(takers.iter().filter(|decision| decision["allowed"] == json!(true)).count(), 100);
    let refused = metered.consume("API_CALLS", 1, None).await;
    assert!(refused["resetsAt"].as_str().unwrap() > "2020");
    let expected = json!({
        "allowed": false, "resource": "API_CALLS", "limit": 100, "used": 100, "remaining": 0,
        "resetsAt": refused["resetsAt"], "reason": "QUOTA_EXCEEDED", "over": true,
    });
    assert_eq!(refused, expected);
    let seen = "{ me { allocation { apiCallsPerHour } metrics { activity { apiCallsPerHour } } } }";
    let seen = metered.ada.client.data(seen, Value::Null).await["me"].clone();
    let shown =
        json!({ "allocation": { "apiCallsPerHour": 100 }, "metrics": { "activity": { "apiCallsPerHour": 100 } } });
    assert_eq!(seen, shown);
}

#[tokio::test]
async fn a_retry_under_one_key_counts_once_also_after_the_server_was_killed() {
    let home = Home::new();
    let mut metered = metered(&home).await;
    let first = metered.consume("FILE_OPERATIONS", 7, Some("job 1")).await;
    assert_eq!((&first["allowed"], &first["used"]), (&json!(true), &json!(7)));
    assert_eq!(metered.consume("FILE_OPERATIONS", 7, Some("job 1")).await, first);
    metered.server.kill();
    let server = home.serve();
    metered.agent = server.client().with_token(&home.print(&["agent", "create", "--name", "web-2"]));
    metered.server = server;
    assert_eq!(metered.consume("FILE_OPERATIONS", 7, Some("job 1")).await, first);
    let variables = json!({ "account": metered.ada.id, "resource": "FILE_OPERATIONS", "amount": 8, "key": "job 1" });
    assert_eq!(metered.agent.code(CONSUME, variables).await, "CONFLICT");
    for (amount, key) in [(0, None), (1, Some(String::new())), (1, Some("k".repeat(257)))] {
        let variables = json!({ "account": metered.ada.id, "resource": "API_CALLS", "amount": amount, "key": key });
        assert_eq!(metered.agent.code(CONSUME, variables).await, "INVALID_INPUT", "{amount} {key:?}");
    }
    let nobody = json!({ "account": "acc_7", "resource": "API_CALLS", "amount": 1 });
    assert_eq!(metered.agent.code(CONSUME, nobody).await, "NOT_FOUND");
}

#[tokio::test]
async fn a_reservation_is_committed_or_released_once() {
    let home = Home::new();
    let metered = metered(&home).await;
    let reserve = "mutation($a: ID!, $n: UInt53!, $s: Int!) {
        reserveQuota(account: $a, resource: API_CALLS, amount: $n, seconds: $s) { id expiresAt decision { allowed used } }
    }";
    let ask = |amount: u64, seconds: i32| json!({ "a": metered.ada.id, "n": amount, "s": seconds });
    let one = metered.agent.data(reserve, ask(900, 60)).await["reserveQuota"].clone();
    assert_eq!(one["decision"], json!({ "allowed": true, "used": 900 }));
    let two = metered.agent.data(reserve, ask(200, 60)).await["reserveQuota"].clone();
    assert_eq!((&two["id"], &two["decision"]["allowed"]), (&Value::Null, &json!(false)));
    assert_eq!(metered.agent.code(reserve, ask(1, 0)).await, "INVALID_INPUT");
    let settle = "mutation($a: ID!, $r: ID!) { commitReservation(account: $a, reservation: $r, amount: 10) }";
    let of_one = json!({ "a": metered.ada.id, "r": one["id"] });
    metered.agent.data(settle, of_one.clone()).await;
    assert_eq!(metered.agent.code(settle, of_one.clone()).await, "NOT_FOUND");
    let release = "mutation($a: ID!, $r: ID!) { releaseReservation(account: $a, reservation: $r) }";
    assert_eq!(metered.agent.code(release, of_one).await, "NOT_FOUND");
    assert_eq!(metered.consume("API_CALLS", 990, None).await["used"], json!(1_000));
}

#[tokio::test]
async fn who_may_use_nothing_is_told_by_which_status() {
    let home = Home::new();
    let metered = metered(&home).await;
    let set = "mutation($a: ID!) { setServiceStatus(account: $a, status: SUSPENDED, reason: \"report 17\") { id } }";
    metered.operator.data(set, json!({ "a": metered.ada.id })).await;
    let refused = metered.consume("RAM", 1, None).await;
    assert_eq!((&refused["allowed"], &refused["reason"]), (&json!(false), &json!("SERVICE_SUSPENDED")));
}

/// A resource, a part of its limit in percent, and whether it is above it.
type Crossed = (&'static str, i32, bool);

#[tokio::test]
async fn a_quota_is_told_of_once_up_and_once_down_at_each_part() {
    let home = Home::new();
    let metered = metered(&home).await;
    let listen = "subscription { accountEvents { __typename ... on QuotaCrossed { resource percent above }
        ... on StatusChanged { from to reason } } }";
    let mut events = Events::of(&metered.ada.client, listen).await;
    // FREE has 4,096 MB and 1,000 calls an hour.
    let steps: [(u64, u64, &[Crossed]); 6] = [
        (3_000, 100, &[]),
        (3_300, 0, &[("RAM", 80, true)]),
        (3_310, 700, &[("API_CALLS", 80, true)]),
        (4_096, 0, &[("RAM", 100, true)]),
        (3_500, 200, &[("RAM", 100, false), ("API_CALLS", 100, true)]),
        (10, 0, &[("RAM", 80, false)]),
    ];
    for (sequence, (megabytes, calls, expected)) in (1..).zip(steps) {
        metered.report(sequence, megabytes, calls).await;
        for (resource, percent, above) in expected {
            let told = events.result().await["data"]["accountEvents"].clone();
            let crossed =
                json!({ "__typename": "QuotaCrossed", "resource": resource, "percent": percent, "above": above });
            assert_eq!(told, crossed);
        }
    }
    let set = "mutation($a: ID!) { setServiceStatus(account: $a, status: READ_ONLY, reason: \"report 17\") { id } }";
    metered.operator.data(set, json!({ "a": metered.ada.id })).await;
    let told = events.result().await["data"]["accountEvents"].clone();
    let changed = json!({ "__typename": "StatusChanged", "from": "ACTIVE", "to": "READ_ONLY", "reason": "OPERATOR" });
    assert_eq!(told, changed);
}

#[tokio::test]
async fn a_soft_limit_lets_more_through_and_flags_it() {
    let home = Home::new().with("SOFT_LIMITS", "API_CALLS,RAM");
    let metered = metered(&home).await;
    let most = metered.consume("API_CALLS", 1_000, None).await;
    assert_eq!((&most["allowed"], &most["over"]), (&json!(true), &json!(false)));
    let more = metered.consume("API_CALLS", 5, None).await;
    assert_eq!((&more["allowed"], &more["over"], &more["remaining"]), (&json!(true), &json!(true), &json!(0)));
    let hard = metered.consume("FILE_OPERATIONS", 10_001, None).await;
    assert_eq!((&hard["allowed"], &hard["over"]), (&json!(false), &json!(true)));
}
