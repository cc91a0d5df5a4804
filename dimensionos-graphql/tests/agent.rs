//! The built agent meters real processes and reports to the built server.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::{Client, Home, Registered, Server};
use serde_json::Value;

fn agent(home: &Home, server: &str, token: &str, account: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dimensionos-agent"));
    command.args(["--server", server, "--account", account, "--interval", "500ms"]).args(arguments);
    command.arg("--state-dir").arg(home.path().join("agent")).env("DIMENSIONOS_AGENT_TOKEN", token);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A process that spends about so many seconds of processor time in its child, until the kernel's own limit ends that,
/// and then says what the kernel has counted: the limit is looked at by the tick, and busy machines overshoot it or fall
/// short.
fn burner(seconds: u32) -> Child {
    let script = format!("(ulimit -t {seconds}; while :; do :; done) 2> /dev/null; times");
    Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// What a burner has spent by the kernel's count, in microseconds: `0m1.990s 0m0.010s` of its own and of its child's.
async fn spent(burner: Child) -> f64 {
    let output = tokio::task::spawn_blocking(move || burner.wait_with_output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let seconds = |time: &str| {
        let (minutes, seconds) = time.strip_suffix('s').unwrap().split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    let times: Vec<f64> = text.split_ascii_whitespace().map(seconds).collect();
    assert_eq!(times.len(), 4, "{text}");
    times.iter().sum::<f64>() * 1e6
}

async fn setting(home: &Home) -> (Server, String, Registered) {
    let server = home.serve();
    let token = home.print(&["agent", "create", "--name", "web-1"]);
    let ada = server.client().register("ada@example.org").await;
    (server, token, ada)
}

async fn total(client: &Client, resource: &str) -> Value {
    let data = client.data("{ me { usage { resources { resource total average } } } }", Value::Null).await;
    let resources = data["me"]["usage"]["resources"].as_array().unwrap().clone();
    resources.into_iter().find(|usage| usage["resource"] == resource).unwrap()["total"].clone()
}

fn assert_near(measured: &Value, expected: f64) {
    let measured = measured.as_f64().unwrap();
    assert!((measured - expected).abs() <= expected * 0.05, "{measured} is not within 5 % of {expected}");
}

async fn wait(mut child: Child) -> (Option<i32>, String) {
    tokio::task::spawn_blocking(move || {
        let told = harness::read_all(child.stderr.take().unwrap());
        (child.wait().unwrap().code(), told)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_seconds_of_processor_time_are_two_seconds_on_the_account() {
    let home = Home::new();
    let (server, token, ada) = setting(&home).await;
    let burner = burner(2);
    let pid = burner.id().to_string();
    let metering = agent(&home, &server.address, &token, &ada.id, &["--pid", &pid]).spawn().unwrap();
    let spent = spent(burner).await;
    let (code, told) = wait(metering).await;
    assert_eq!(code, Some(0), "{told}");
    assert_near(&total(&ada.client, "CPU").await, spent);
    assert!(spent > 1_500_000.0, "{spent}");
    assert!(!told.contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_outlasts_its_server_and_catches_up() {
    let home = Home::new();
    let (server, token, ada) = setting(&home).await;
    let port = server.address.rsplit(':').next().unwrap().to_owned();
    let burner = burner(3);
    let pid = burner.id().to_string();
    let metering = agent(&home, &server.address, &token, &ada.id, &["--pid", &pid]).spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    server.kill();
    let spent = spent(burner).await;
    // The same address again, while the agent is still trying.
    let home = home.with("LISTEN", &format!("127.0.0.1:{port}"));
    let server = home.serve();
    let (code, told) = wait(metering).await;
    assert_eq!(code, Some(0), "{told}");
    assert_near(&total(&server.client().with_token(&ada.access), "CPU").await, spent);
    assert!(spent > 2_000_000.0, "{spent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_and_a_database_are_counted_and_named_nowhere() {
    let home = Home::new();
    let (server, token, ada) = setting(&home).await;
    let storage = home.path().join("tenant");
    std::fs::create_dir(&storage).unwrap();
    for number in 0..100 {
        std::fs::write(storage.join(format!("holiday-photo-{number}.jpg")), vec![0; 10_000]).unwrap();
    }
    let storage = storage.display().to_string();
    let database = format!("sqlite://{}", home.path().join("data/dimensionos.db").display());
    let arguments = ["--host", "--storage", &storage, "--database", &database];
    let mut metering = agent(&home, &server.address, &token, &ada.id, &arguments).spawn().unwrap();
    let query = "{ me { metrics { cpu { coresUsed } ram { megabytesUsed } storage { gigabytesUsed fileCount }
        network { bytesSent connections } database { tableCount recordCount } } } }";
    let mut metrics = Value::Null;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        metrics = ada.client.data(query, Value::Null).await["me"]["metrics"].clone();
        if ["/storage/fileCount", "/cpu/coresUsed", "/database/tableCount"]
            .iter()
            .all(|at| !metrics.pointer(at).unwrap().is_null())
        {
            break;
        }
    }
    let told = Command::new("kill").args(["-TERM", &metering.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(metering.wait().unwrap().code(), Some(0));
    assert_eq!(metrics["storage"]["fileCount"], 100);
    assert_near(&metrics["storage"]["gigabytesUsed"], 0.001);
    assert!(metrics["database"]["tableCount"].as_u64().unwrap() >= 9, "{metrics}");
    assert!(metrics["ram"]["megabytesUsed"].as_f64().unwrap() > 1.0, "{metrics}");
    assert!(metrics["network"]["connections"].as_u64().is_some(), "{metrics}");
    for (path, content) in home.files() {
        let names_a_file = content.windows(13).any(|window| window == b"holiday-photo");
        assert!(!names_a_file, "a file's name stands in {}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_may_not_report_says_so_and_ends() {
    let home = Home::new();
    let (server, token, ada) = setting(&home).await;
    for (token, account) in [("dima_nonsense", ada.id.as_str()), (&token, "acc_00000000000000000000000000")] {
        let metering = agent(&home, &server.address, token, account, &["--host"]).spawn().unwrap();
        let (code, told) = wait(metering).await;
        assert_eq!(code, Some(1), "{told}");
    }
    let wrong = Command::new(env!("CARGO_BIN_EXE_dimensionos-agent")).arg("--host").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
