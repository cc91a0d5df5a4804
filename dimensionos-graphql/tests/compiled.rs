//! What is answered from a compiled selection is what the executor would have answered.

mod harness;

use harness::Home;
use harness::live::{Agent, Events};
use serde_json::Value;

/// A directive that changes nothing, and that only the executor knows.
const EXECUTED: &str = "@include(if: true)";

/// Selections of an account of which every field is at hand in memory.
const OF_ME: [&str; 7] = [
    "id",
    "__typename id status statusReason statusSince statusNote tier",
    "a: id b: id id trial { startedAt endsAt expired daysLeft __typename }",
    "metrics { cpu { coresAllocated } } ... on Account { metrics { cpu { percent coresUsed } ram { megabytesUsed } } tier }",
    "...F allocation { tier cpuCores ramMegabytes storageGigabytes bandwidthBitsPerSecond database apiCallsPerHour fileOperationsPerHour priceCentsPerMonth trialDays }",
    "metrics { __typename storage { gigabytesAllocated gigabytesUsed percent fileCount } network { bytesSent bytesReceived connections } }",
    "metrics { database { engine tableCount recordCount queriesPerSecond } activity { fileOperationsPerHour } ram { megabytesAllocated percent } }",
];

const FRAGMENT: &str = "fragment F on Account { status trial { daysLeft } ...G } fragment G on Account { g: tier }";

fn document(selection: &str, directive: &str) -> String {
    let fragment = if selection.contains("...F") { FRAGMENT } else { "" };
    format!("query {{ me {directive} {{ {selection} }} }} {fragment}")
}

#[tokio::test]
async fn an_account_reads_the_same_to_the_letter_with_and_without_the_executor() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let mut agent = Agent::of(&home, &server);
    for round in 0..2 {
        for selection in OF_ME {
            let compiled = ada.client.text(&document(selection, ""), Value::Null).await.unwrap();
            let executed = ada.client.text(&document(selection, EXECUTED), Value::Null).await.unwrap();
            // The executor puts merged fields into an order of its own; apart from that it is the same to the letter.
            let [compiled_value, executed_value] =
                [&compiled, &executed].map(|text| serde_json::from_str::<Value>(text).unwrap());
            assert_eq!(compiled_value, executed_value, "{selection} in round {round}");
            assert!(compiled == executed || selection.contains("... on"), "{compiled} {executed}");
        }
        agent.report(&ada.id, 1234).await;
    }
    // Whatever is refused is refused alike.
    let nobody = server.client();
    for client in [&nobody, &nobody.with_token("nonsense")] {
        let compiled = client.ask(&document("id", ""), Value::Null).await;
        let executed = client.ask(&document("id", EXECUTED), Value::Null).await;
        assert_eq!(compiled["errors"][0]["extensions"], executed["errors"][0]["extensions"]);
        assert_eq!(compiled["data"], executed["data"]);
    }
}

#[tokio::test]
async fn usage_reads_the_same_to_the_letter_with_and_without_the_executor() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    Agent::of(&home, &server).report(&ada.id, 1234).await;
    for selection in OF_ME {
        let Some(metrics) = selection.split_once("metrics {").filter(|(before, _)| before.is_empty()) else { continue };
        let inner = metrics.1.split(" } ... on").next().unwrap().trim_end_matches(" }").to_owned() + " }";
        let open = inner.matches('{').count() - inner.matches('}').count();
        let inner = inner + &" }".repeat(open);
        for arguments in ["", "(intervalMs: 100)"] {
            let of = |directive: &str| format!("subscription {{ u: usage{arguments} {directive} {{ {inner} }} }}");
            let compiled = Events::of(&ada.client, &of("")).await.result().await;
            let executed = Events::of(&ada.client, &of(EXECUTED)).await.result().await;
            assert_eq!(compiled, executed, "{inner}");
            assert!(compiled["data"]["u"].is_object(), "{compiled}");
        }
    }
}

#[tokio::test]
async fn an_interval_out_of_bounds_is_refused_and_one_from_a_variable_is_kept() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    for arguments in ["(intervalMs: 99)", "(intervalMs: 3600001)", "(intervalMs: -1)"] {
        let query = format!("subscription {{ usage{arguments} {{ at }} }}");
        let refused = Events::of(&ada.client, &query).await.result().await;
        assert_eq!(refused["errors"][0]["extensions"]["field"], "intervalMs", "{refused}");
    }
    let query = "subscription($i: Int! = 200) { usage(intervalMs: $i) { ram { percent } } }";
    assert!(Events::of(&ada.client, query).await.result().await["data"]["usage"].is_object());
}
