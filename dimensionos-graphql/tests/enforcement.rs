//! Enforcement from outside: a flag with its statement of reasons, its sanction, an appeal, and the way back; complaints
//! of copyright; policies and what they would do.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use std::time::Duration;

use harness::live::Events;
use harness::{Client, Home, REPORT, Registered, Server};
use serde_json::{Value, json};

const VIOLATION: &str = "id kind severity state sanction detectedAt accountId
    statement {
        rule facts signal observed limit windowSeconds automated expiresAt counterfactual redress since
        supporting { signal observed limit } exitAtMost exitSeconds
    }
    appeal { state ground filedAt decidedAt sealedStatement }
    complaint { state missing restoreAt restoreBy countedAt: countedAt }";
const SEALED: &str = "-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSB4
-----END AGE ENCRYPTED FILE-----";
const DIGEST: &str = "0707070707070707070707070707070707070707070707070707070707070707";

fn fields() -> String {
    VIOLATION.replace("countedAt: countedAt", "countedAt: counteredAt")
}

struct Scene {
    server: Server,
    agent: Client,
    operator: Client,
    other: Client,
    ada: Registered,
}

fn scene_of(home: &Home, server: Server, ada: Registered) -> Scene {
    let client = server.client();
    let operator = |name: &str| client.with_token(&home.print(&["operator", "create", "--name", name]));
    let agent = client.with_token(&home.print(&["agent", "create", "--name", "web-1"]));
    Scene { agent, operator: operator("ops-1"), other: operator("ops-2"), ada, server }
}

async fn scene(home: &Home) -> Scene {
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    scene_of(home, server, ada)
}

impl Scene {
    /// What an agent counts of a scan: a sample each two seconds for so many seconds, that ended just now.
    async fn scan(&self, sequence: u64, seconds: i64) {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let at = |second: i64| {
            let millis = i64::try_from(now.as_millis()).unwrap() - (seconds - second) * 1_000;
            dimensionos_core::Timestamp::from_millis(millis).to_string()
        };
        let sample = |second: i64| {
            json!({
                "account": self.ada.id, "at": at(second), "outboundConnections": 36, "failedConnections": 34,
                "distinctPeers": 36,
            })
        };
        let samples: Vec<Value> = (0..seconds).step_by(2).map(sample).collect();
        self.agent.data(REPORT, json!({ "input": { "sequence": sequence, "samples": samples } })).await;
    }

    async fn violations(&self) -> Vec<Value> {
        let query = format!("{{ me {{ violations {{ nodes {{ {} }} }} }} }}", fields());
        self.ada.client.data(&query, Value::Null).await["me"]["violations"]["nodes"].as_array().unwrap().clone()
    }

    /// The scan's violation, once it is there.
    async fn found(&self, rule: &str) -> Value {
        for _ in 0..100 {
            let found = self.violations().await;
            let found = found.into_iter().find(|one| one["statement"]["rule"].as_str().unwrap().starts_with(rule));
            if let Some(found) = found {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing was found by {rule}");
    }

    async fn on(&self, client: &Client, mutation: &str, violation: &Value) -> Value {
        let id = violation["id"].as_str().unwrap();
        let (name, rest) = mutation.split_once('(').unwrap_or((mutation, ")"));
        let rest = if rest == ")" { String::new() } else { format!(", {}", rest.trim_end_matches(')')) };
        let mutation = format!("mutation($id: ID!) {{ {name}(violation: $id{rest}) {{ {} }} }}", fields());
        client.ask(&mutation, json!({ "id": id })).await
    }

    async fn done(&self, client: &Client, mutation: &str, violation: &Value) -> Value {
        let answer = self.on(client, mutation, violation).await;
        assert!(answer["errors"].is_null(), "{mutation}: {answer}");
        answer["data"].as_object().unwrap().values().next().unwrap().clone()
    }

    async fn refused(&self, client: &Client, mutation: &str, violation: &Value) -> String {
        let answer = self.on(client, mutation, violation).await;
        answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("no refusal").to_owned()
    }

    async fn status(&self) -> Value {
        let status = "{ me { status statusReason allocation { apiCallsPerHour } } }";
        self.ada.client.data(status, Value::Null).await["me"].clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_has_its_reasons_and_a_sanction_that_is_contested_and_taken_back() {
    let home = Home::new();
    let scene = scene(&home).await;
    let told = "subscription { accountEvents { ... on ViolationRaised { violation { kind sanction } } } }";
    let mut events = Events::of(&scene.ada.client, told).await;
    scene.scan(1, 120).await;
    let (_, event) = tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap().unwrap();
    let raised = &event["data"]["accountEvents"]["violation"];
    assert_eq!(raised, &json!({ "kind": "MALWARE", "sanction": "THROTTLE" }), "{event}");

    let found = scene.found("scan@").await;
    let statement = &found["statement"];
    assert_eq!((&found["state"], &found["severity"]), (&json!("OPEN"), &json!("RESTRICT")));
    assert!(statement["observed"].as_f64().unwrap() > statement["limit"].as_f64().unwrap(), "{statement}");
    assert_eq!(statement["automated"], true);
    for sentence in ["facts", "counterfactual", "redress"] {
        assert!(statement[sentence].as_str().unwrap().ends_with('.'), "{statement}");
    }
    assert!(statement["expiresAt"].as_str().unwrap() > found["detectedAt"].as_str().unwrap());
    let throttled = scene.status().await;
    assert_eq!(throttled["status"], "ACTIVE");
    assert_eq!(throttled["allocation"]["apiCallsPerHour"], 100);

    // A person goes further than any rule may by itself.
    let suspend = "imposeSanction(sanction: SUSPEND, until: \"2026-01-01T00:00:00Z\")";
    assert_eq!(scene.refused(&scene.operator, suspend, &found).await, "INVALID_INPUT");
    let until = dimensionos_core::Timestamp::from_millis(
        i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap() + 86_400_000,
    );
    let suspend = format!("imposeSanction(sanction: SUSPEND, until: \"{until}\")");
    let suspended = scene.done(&scene.operator, &suspend, &found).await;
    assert_eq!((&suspended["sanction"], &suspended["statement"]["automated"]), (&json!("SUSPEND"), &json!(false)));
    let status = scene.status().await;
    assert_eq!((&status["status"], &status["statusReason"]), (&json!("SUSPENDED"), &json!("TOS_VIOLATION")));

    // Also while suspended; what is not sealed is not taken.
    let clear = "appeal(ground: LEGITIMATE_USE, sealedStatement: \"it was my own network\")";
    assert_eq!(scene.refused(&scene.ada.client, clear, &found).await, "INVALID_INPUT");
    let sealed = format!("appeal(ground: LEGITIMATE_USE, sealedStatement: {})", Value::from(SEALED));
    let appealed = scene.done(&scene.ada.client, &sealed, &found).await;
    assert_eq!(
        (&appealed["appeal"]["state"], &appealed["appeal"]["sealedStatement"]),
        (&json!("PENDING"), &json!(SEALED))
    );
    assert_eq!(scene.refused(&scene.ada.client, &sealed, &found).await, "CONFLICT");
    let queue = "{ violations(filter: { appealed: true }) { nodes { id accountId } pageInfo { hasNextPage } } }";
    let queue = scene.operator.data(queue, Value::Null).await["violations"].clone();
    assert_eq!(queue["nodes"], json!([{ "id": found["id"], "accountId": scene.ada.id }]));

    // Not by whoever imposed it, and not by whoever it falls on.
    assert_eq!(scene.refused(&scene.operator, "decideAppeal(grant: true)", &found).await, "FORBIDDEN");
    assert_eq!(scene.refused(&scene.ada.client, "decideAppeal(grant: true)", &found).await, "FORBIDDEN");
    let decided = scene.done(&scene.other, "decideAppeal(grant: true)", &found).await;
    assert_eq!((&decided["state"], &decided["sanction"]), (&json!("OVERRULED"), &json!("NONE")));
    assert_eq!((&decided["appeal"]["state"], &decided["appeal"]["sealedStatement"]), (&json!("GRANTED"), &Value::Null));
    assert_eq!(scene.refused(&scene.other, "decideAppeal(grant: false)", &found).await, "CONFLICT");
    let status = scene.status().await;
    assert_eq!((&status["status"], &status["allocation"]["apiCallsPerHour"]), (&json!("ACTIVE"), &json!(1_000)));
    let replay = "{ replayDecisions(from: \"2020-01-01T00:00:00Z\") { checked differing unknown } }";
    let replay = scene.operator.data(replay, Value::Null).await["replayDecisions"].clone();
    assert_eq!((&replay["differing"], &replay["unknown"]), (&json!(0), &json!(0)));
    assert!(replay["checked"].as_u64().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_outlives_a_kill_and_is_the_holders_alone() {
    let home = Home::new();
    let mut scene = scene(&home).await;
    scene.scan(1, 120).await;
    let found = scene.found("scan@").await;
    scene.server.kill();
    let server = home.serve();
    let client = server.client();
    let login = "mutation { login(input: { identity: { email: \"ada@example.org\" }, password: \"violet harbour kestrel 41\" }) { tokens { accessToken } } }";
    let tokens = client.data(login, Value::Null).await["login"]["tokens"].clone();
    scene.ada.client = client.with_token(tokens["accessToken"].as_str().unwrap());
    scene.operator = client.with_token(&home.print(&["operator", "create", "--name", "ops-3"]));
    scene.server = server;
    assert_eq!(scene.found("scan@").await["id"], found["id"]);
    assert_eq!(scene.status().await["allocation"]["apiCallsPerHour"], 100);
    let node = "query($id: ID!) { node(id: $id) { id ... on Violation { kind } } }";
    let own = scene.ada.client.data(node, json!({ "id": found["id"] })).await;
    assert_eq!(own["node"], json!({ "id": found["id"], "kind": "MALWARE" }));
    let eve = client.register("eve@example.org").await;
    assert_eq!(eve.client.data(node, json!({ "id": found["id"] })).await["node"], Value::Null);
    assert_eq!(scene.refused(&eve.client, "appeal(ground: NOT_ME)", &found).await, "NOT_FOUND");
    let export = scene.ada.client.data("{ me { export } }", Value::Null).await["me"]["export"].clone();
    assert!(export.as_str().unwrap().contains(found["id"].as_str().unwrap()));
    let page = "{ me { violations(first: 1) { edges { cursor node { id } } pageInfo { hasNextPage endCursor } } } }";
    let page = scene.ada.client.data(page, Value::Null).await["me"]["violations"].clone();
    let after = json!({ "after": page["pageInfo"]["endCursor"] });
    let next = "query($after: String) { me { violations(first: 100, after: $after) { nodes { id } } } }";
    let next = scene.ada.client.data(next, after).await["me"]["violations"]["nodes"].clone();
    assert!(!next.as_array().unwrap().contains(&page["edges"][0]["node"]));
    for (arguments, field) in [("first: 0", "first"), ("first: 101", "first"), ("after: \"x\"", "after")] {
        let wrong = format!("{{ me {{ violations({arguments}) {{ nodes {{ id }} }} }} }}");
        let refusal = scene.ada.client.refusal(&wrong, Value::Null).await;
        assert_eq!((&refusal["code"], &refusal["field"]), (&json!("INVALID_INPUT"), &json!(field)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_complaint_runs_by_the_clock_of_notice_and_counter_notice() {
    let home = Home::new();
    let scene = scene(&home).await;
    let file = format!(
        "mutation($digest: String!, $missing: [NoticeElement!]) {{
            fileCopyrightComplaint(input: {{ account: \"{}\", noticeDigest: $digest, missing: $missing }}) {{ {} }}
        }}",
        scene.ada.id,
        fields()
    );
    let filed = async |digest: &str, missing: &[&str]| {
        let variables = json!({ "digest": digest, "missing": missing });
        scene.operator.data(&file, variables).await["fileCopyrightComplaint"].clone()
    };
    assert_eq!(scene.operator.code(&file, json!({ "digest": "07" })).await, "INVALID_INPUT");
    let lacking = filed(DIGEST, &["SIGNATURE"]).await;
    assert_eq!((&lacking["sanction"], &lacking["complaint"]["state"]), (&json!("NONE"), &json!("INCOMPLETE")));
    assert_eq!(lacking["complaint"]["missing"], json!(["SIGNATURE"]));
    assert_eq!(scene.operator.code(&file, json!({ "digest": DIGEST })).await, "CONFLICT");
    let digest = format!("fileCounterNotice(noticeDigest: \"{DIGEST}\")");
    assert_eq!(scene.refused(&scene.ada.client, &digest, &lacking).await, "CONFLICT");

    let noticed = scene.done(&scene.operator, "completeCopyrightComplaint", &lacking).await;
    assert_eq!((&noticed["sanction"], &noticed["complaint"]["state"]), (&json!("WARN"), &json!("NOTICED")));
    let countered = scene.done(&scene.ada.client, &digest, &noticed).await;
    assert_eq!(countered["complaint"]["state"], "COUNTERED");
    assert!(
        countered["complaint"]["restoreAt"].as_str().unwrap() < countered["complaint"]["restoreBy"].as_str().unwrap()
    );
    let in_court = scene.done(&scene.operator, "reportCourtAction", &noticed).await;
    assert_eq!(in_court["complaint"]["state"], "IN_COURT");

    // The third that counts makes a repeat infringer.
    filed(&"08".repeat(32), &[]).await;
    let third = filed(&"09".repeat(32), &[]).await;
    assert_eq!(third["sanction"], "READ_ONLY", "{third}");
    assert_eq!(scene.status().await["status"], "READ_ONLY");
    let withdrawn = scene.done(&scene.operator, "withdrawCopyrightComplaint", &third).await;
    assert_eq!((&withdrawn["state"], &withdrawn["complaint"]["state"]), (&json!("EXPIRED"), &json!("WITHDRAWN")));
    assert_eq!(scene.status().await["status"], "ACTIVE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_tried_in_shadow_before_it_decides() {
    let home = Home::new();
    let scene = scene(&home).await;
    let policies = "{ enforcementPolicies { version mode policy } }";
    let policies = async || scene.operator.data(policies, Value::Null).await["enforcementPolicies"].clone();
    let mut policy: Value = serde_json::from_str(policies().await[0]["policy"].as_str().unwrap()).unwrap();
    policy["version"] = json!(2);
    policy["rules"]["scan"] = json!([{ "strikes": 0, "sanction": "READ_ONLY", "hours": 1 }]);
    let apply = "mutation($policy: String!, $mode: PolicyMode!) {
        applyEnforcementPolicy(policy: $policy, mode: $mode) { version mode }
    }";
    let with = |policy: &Value, mode: &str| json!({ "policy": policy.to_string(), "mode": mode });
    let mut too_far = policy.clone();
    too_far["rules"]["scan"][0]["sanction"] = json!("SUSPEND");
    let refusal = scene.operator.refusal(apply, with(&too_far, "IN_FORCE")).await;
    assert_eq!((&refusal["code"], &refusal["field"]), (&json!("INVALID_INPUT"), &json!("policy")));
    scene.operator.data(apply, with(&policy, "SHADOW")).await;
    assert_eq!(scene.operator.code(apply, with(&policy, "IN_FORCE")).await, "CONFLICT");

    scene.scan(1, 120).await;
    assert_eq!(scene.found("scan@").await["sanction"], "THROTTLE");
    assert_eq!(scene.status().await["status"], "ACTIVE");
    let hit = "{ violations(filter: { differingInShadow: true }) { nodes { accountId statement { rule } } } }";
    let hit = scene.operator.data(hit, Value::Null).await["violations"]["nodes"].clone();
    assert!(hit.as_array().unwrap().iter().any(|one| one["accountId"] == json!(scene.ada.id)), "{hit}");
    policy["version"] = json!(3);
    scene.operator.data(apply, with(&policy, "IN_FORCE")).await;
    let modes: Vec<Value> = policies().await.as_array().unwrap().iter().map(|one| one["mode"].clone()).collect();
    assert_eq!(modes, ["IN_FORCE", "SHADOW", "IN_FORCE"]);
    let report = "query($month: DateTime!) { transparencyReport(month: $month) { group name count } }";
    let client = scene.server.client();
    let over = json!({ "month": "2020-01-31T23:00:00Z" });
    assert_eq!(client.data(report, over).await["transparencyReport"], json!([]));
    let refusal = client.refusal(report, json!({ "month": "2999-01-01T00:00:00Z" })).await;
    assert_eq!((&refusal["code"], &refusal["field"]), (&json!("INVALID_INPUT"), &json!("month")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_that_are_tried_are_told_to_operators_and_held_against_no_account() {
    let home = Home::new();
    let scene = scene(&home).await;
    let login = "mutation { login(input: { identity: { email: \"ada@example.org\" }, password: \"violet harbour kestrel 42\" }) { account { id } } }";
    let flags = "{ signInFlags { rule signal observed limit } }";
    assert_eq!(scene.operator.data(flags, Value::Null).await["signInFlags"], json!([]));
    let client = scene.server.client();
    for _ in 0..8 {
        assert_eq!(client.code(login, Value::Null).await, "INVALID_CREDENTIALS");
    }
    let flags = scene.operator.data(flags, Value::Null).await["signInFlags"].clone();
    assert_eq!((&flags[0]["rule"], &flags[0]["signal"]), (&json!("stuffing-failures@1"), &json!("failed_logins")));
    assert!(flags[0]["observed"].as_f64().unwrap() > flags[0]["limit"].as_f64().unwrap(), "{flags}");
    assert_eq!(scene.violations().await, Vec::<Value>::new());
}
