//! Usage reported by agents, and what the account then sees.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use harness::{Client, Home, REPORT, Registered, Server};
use serde_json::{Value, json};

struct Metered {
    server: Server,
    agent: Client,
    ada: Registered,
}

async fn metered(home: &Home) -> Metered {
    let server = home.serve();
    let token = home.print(&["agent", "create", "--name", "web-1"]);
    let agent = server.client().with_token(&token);
    let ada = server.client().register("ada@example.org").await;
    Metered { server, agent, ada }
}

impl Metered {
    async fn report(&self, sequence: u64, sample: Value) -> Value {
        let mut sample = sample;
        sample["account"] = json!(self.ada.id);
        let input = json!({ "input": { "sequence": sequence, "samples": [sample] } });
        self.agent.data(REPORT, input).await["reportUsage"].clone()
    }

    async fn usage(&self, resource: &str) -> Value {
        let query = "{ me { usage(period: DAY) { resources { resource total average peak limit percent } } } }";
        let data = self.ada.client.data(query, Value::Null).await;
        let resources = data["me"]["usage"]["resources"].as_array().unwrap().clone();
        resources.into_iter().find(|usage| usage["resource"] == resource).unwrap()
    }

    async fn metrics(&self) -> Value {
        let query = "{ me { metrics { at cpu { coresUsed percent } ram { megabytesUsed percent }
            storage { gigabytesUsed fileCount } network { bytesSent bytesReceived connections }
            database { engine tableCount recordCount queriesPerSecond }
            activity { apiCallsPerHour fileOperationsPerHour } } } }";
        self.ada.client.data(query, Value::Null).await["me"]["metrics"].clone()
    }
}

#[tokio::test]
async fn what_nobody_measured_is_null() {
    let home = Home::new();
    let metered = metered(&home).await;
    let metrics = metered.metrics().await;
    for pointer in [
        "/cpu/coresUsed",
        "/cpu/percent",
        "/ram/megabytesUsed",
        "/storage/fileCount",
        "/network/bytesSent",
        "/database/queriesPerSecond",
    ] {
        assert_eq!(metrics.pointer(pointer), Some(&Value::Null), "{pointer}");
    }
    assert_eq!(metrics["activity"], json!({ "apiCallsPerHour": 0, "fileOperationsPerHour": 0 }));
    let ram = metered.usage("RAM").await;
    assert_eq!((&ram["average"], &ram["limit"]), (&Value::Null, &json!(4_294_967_296_u64)));
}

#[tokio::test]
async fn a_report_is_seen_at_once_and_a_repeat_counts_nothing() {
    let home = Home::new();
    let metered = metered(&home).await;
    let sample = json!({
        "cpuMillicores": 250, "ramBytes": 1_073_741_824_u64, "cpuMicroseconds": 2_000_000, "bytesSent": 5_000_000_000_u64,
        "apiCalls": 7, "fileCount": 0,
    });
    let receipt = metered.report(1, sample.clone()).await;
    assert_eq!(receipt, json!({ "sequence": 1, "duplicate": false, "samples": 1 }));
    let receipt = metered.report(1, sample.clone()).await;
    assert_eq!(receipt, json!({ "sequence": 1, "duplicate": true, "samples": 1 }));
    metered.report(3, sample.clone()).await;
    // What comes out of order is no repeat.
    assert_eq!(metered.report(2, sample).await["duplicate"], false);

    let metrics = metered.metrics().await;
    assert_eq!(metrics["cpu"], json!({ "coresUsed": 0.25, "percent": 25.0 }));
    assert_eq!(metrics["ram"], json!({ "megabytesUsed": 1024.0, "percent": 25.0 }));
    assert_eq!(metrics["storage"]["fileCount"], 0);
    assert_eq!(metrics["network"]["bytesSent"], 15_000_000_000_u64);
    assert_eq!(metrics["activity"]["apiCallsPerHour"], 21);
    let cpu = metered.usage("CPU").await;
    assert_eq!((&cpu["total"], &cpu["average"], &cpu["limit"]), (&json!(6_000_000), &json!(250.0), &json!(1_000)));
    assert_eq!(metered.usage("BYTES_SENT").await["total"], 15_000_000_000_u64);
    assert_eq!(metered.usage("RAM").await["total"], Value::Null);
}

#[tokio::test]
async fn sources_of_one_token_keep_sequences_of_their_own() {
    let home = Home::new();
    let metered = metered(&home).await;
    for source in ["one", "two"] {
        let samples = json!([{ "account": metered.ada.id, "apiCalls": 1 }]);
        let input = json!({ "input": { "source": source, "sequence": 1, "samples": samples } });
        assert_eq!(metered.agent.data(REPORT, input).await["reportUsage"]["duplicate"], false);
    }
    assert_eq!(metered.usage("API_CALLS").await["total"], 2);
}

#[tokio::test]
async fn a_report_with_one_bad_sample_counts_none() {
    let home = Home::new();
    let metered = metered(&home).await;
    let good = json!({ "account": metered.ada.id, "apiCalls": 1 });
    let unknown = "acc_00000000000000000000000000";
    for (bad, code, field) in [
        (json!({ "account": unknown, "apiCalls": 1 }), "NOT_FOUND", Value::Null),
        (json!({ "account": "ada@example.org", "apiCalls": 1 }), "INVALID_INPUT", json!("account")),
        (json!({ "account": metered.ada.id, "at": "2001-01-01T00:00:00Z" }), "INVALID_INPUT", json!("at")),
        (json!({ "account": metered.ada.id, "at": "2999-01-01T00:00:00Z" }), "INVALID_INPUT", json!("at")),
    ] {
        let input = json!({ "input": { "sequence": 1, "samples": [good, bad] } });
        let refusal = metered.agent.refusal(REPORT, input).await;
        assert_eq!((&refusal["code"], &refusal["field"]), (&json!(code), &field));
    }
    let too_many = vec![good.clone(); 1_001];
    let refusal = metered.agent.refusal(REPORT, json!({ "input": { "sequence": 1, "samples": too_many } })).await;
    assert_eq!((&refusal["code"], &refusal["field"]), (&json!("INVALID_INPUT"), &json!("samples")));
    assert_eq!(metered.usage("API_CALLS").await["total"], Value::Null);
    // The sequence is still free, and a full report is taken.
    let full = vec![good; 1_000];
    let receipt = metered.agent.data(REPORT, json!({ "input": { "sequence": 1, "samples": full } })).await;
    assert_eq!(receipt["reportUsage"], json!({ "sequence": 1, "duplicate": false, "samples": 1000 }));
    assert_eq!(metered.usage("API_CALLS").await["total"], 1_000);
}

#[tokio::test]
async fn history_is_kept_by_minute_hour_and_day() {
    let home = Home::new();
    let metered = metered(&home).await;
    metered.report(1, json!({ "ramBytes": 100, "apiCalls": 4 })).await;
    metered.report(2, json!({ "ramBytes": 300, "apiCalls": 6 })).await;
    for resolution in ["MINUTE", "HOUR", "DAY"] {
        let query = "query($resource: Resource!, $from: DateTime!, $resolution: Resolution!) {
            me { usageHistory(resource: $resource, from: $from, resolution: $resolution) { at total average peak } }
        }";
        let from = metered.metrics().await["at"].clone();
        let of = async |resource: &str| {
            let variables = json!({ "resource": resource, "from": from, "resolution": resolution });
            let data = metered.ada.client.data(query, variables).await;
            data["me"]["usageHistory"].as_array().unwrap().clone()
        };
        // A minute may have ended between the two reports.
        let (ram, calls) = (of("RAM").await, of("API_CALLS").await);
        assert!(ram.iter().any(|point| point["peak"] == 300.0), "{resolution}: {ram:?}");
        assert!(calls.iter().any(|point| point["total"] == 10 || point["total"] == 6), "{resolution}: {calls:?}");
        assert!(of("STORAGE").await.is_empty());
    }
}

#[tokio::test]
async fn windows_and_readings_go_on_after_a_restart() {
    let home = Home::new();
    let metered = metered(&home).await;
    metered.report(1, json!({ "ramBytes": 1_048_576, "apiCalls": 9, "bytesSent": 5 })).await;
    let access = metered.ada.access.clone();
    metered.server.kill();
    let server = home.serve();
    let query = "{ me { metrics { ram { megabytesUsed } network { bytesSent } activity { apiCallsPerHour } } } }";
    let data = server.client().with_token(&access).data(query, Value::Null).await;
    let expected =
        json!({ "ram": { "megabytesUsed": 1.0 }, "network": { "bytesSent": 5 }, "activity": { "apiCallsPerHour": 9 } });
    assert_eq!(data["me"]["metrics"], expected);
}
