//! The commands of the server's binary, and what they refuse.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use std::io::BufRead;

use dimensionos_store::testing::PostgresDatabase;
use harness::{Home, Server};
use serde_json::{Value, json};

fn told(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let output = home.run(arguments);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_schema_is_printed_without_a_database() {
    let home = Home::new().with("DATABASE_URL", "nonsense");
    let printed = home.print(&["schema"]);
    assert!(printed.contains("type Account implements Node"));
    assert!(home.files().is_empty());
}

#[test]
fn the_schema_in_the_repository_is_the_one_that_is_served() {
    let kept = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql")).unwrap();
    assert_eq!(
        dimensionos_graphql::schema::sdl(),
        kept,
        "run: cargo run -p dimensionos-graphql -- schema > dimensionos-graphql/schema.graphql"
    );
}

#[test]
fn wrong_usage_is_2_and_a_fault_is_1_in_one_line() {
    let home = Home::new();
    for wrong in [
        &["nonsense"][..],
        &["db"],
        &["db", "reset"],
        &["agent", "create"],
        &["serve", "--port", "1"],
        &["agent", "create", "--name", "a b"],
    ] {
        assert_eq!(told(&home, wrong).0, Some(2), "{wrong:?}");
    }
    for (name, value) in [
        ("LISTEN", "nowhere"),
        ("BCRYPT_COST", "4"),
        ("NONSENSE", "1"),
        ("PEPPER", "hunter2"),
        ("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/x"),
    ] {
        let home = Home::new().with(name, value);
        let (code, line) = told(&home, &["db", "init"]);
        assert_eq!((code, line.lines().count()), (Some(1), 1), "{name}: {line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn a_file_of_settings_is_read_and_its_unknown_names_refused() {
    let home = Home::new();
    std::fs::write(home.path().join("dimensionos.toml"), "data_dir = \"elsewhere\"\n").unwrap();
    home.print(&["db", "init"]);
    assert!(home.path().join("elsewhere/dimensionos.db").exists());
    std::fs::write(home.path().join("dimensionos.toml"), "dta_dir = \"elsewhere\"\n").unwrap();
    let (code, line) = told(&home, &["db", "init"]);
    assert!(code == Some(1) && line.contains("dta_dir"), "{line}");
}

#[test]
fn the_database_is_made_described_and_reset() {
    let home = Home::new();
    let (code, line) = told(&home, &["db", "status"]);
    assert!(code == Some(1) && line.contains("cannot be opened") && home.files().is_empty(), "{line}");
    std::fs::create_dir(home.path().join("data")).unwrap();
    std::fs::write(home.path().join("data/dimensionos.db"), "").unwrap();
    assert!(home.print(&["db", "status"]).contains("pending  m20261122_000001_initial"));
    home.print(&["db", "init"]);
    home.print(&["db", "init"]);
    assert!(home.print(&["db", "status"]).contains("applied  m20261122_000001_initial"));
    home.print(&["agent", "create", "--name", "web-1"]);
    let (code, line) = told(&home, &["agent", "create", "--name", "web-1"]);
    assert!(code == Some(1) && line.contains("name"), "{line}");
    home.print(&["db", "reset", "--yes"]);
    home.print(&["agent", "create", "--name", "web-1"]);
}

#[test]
fn one_server_runs_from_a_data_folder_and_nobody_empties_it_meanwhile() {
    let home = Home::new().with("DATA_DIR", "a data folder, 100 % ours?");
    let server = home.serve();
    for refused in [&["serve"][..], &["db", "reset", "--yes"]] {
        let (code, line) = told(&home, refused);
        assert!(code == Some(1) && line.contains("another server is running"), "{line}");
    }
    home.print(&["agent", "create", "--name", "web-1"]);
    server.kill();
    home.print(&["db", "reset", "--yes"]);
}

#[test]
fn production_refuses_what_is_for_development() {
    let key = "ab".repeat(32);
    let home = Home::new();
    let home = home.with("ENV", "production");
    let (code, line) = told(&home, &["serve"]);
    assert!(code == Some(1) && line.contains("must be set in production"), "{line}");
    let home = home
        .with("PEPPER", &key)
        .with("SIGNING_KEY", &key)
        .with("BILLING_PUBLIC_KEY", &key)
        .with("ALLOWED_ORIGINS", "https://app.example");
    for refused in [&["serve", "--demo"][..], &["db", "reset", "--yes"]] {
        let (code, line) = told(&home, refused);
        assert!(code == Some(1) && line.contains("refused in production"), "{line}");
    }
    assert!(home.serve().stop() == Some(0));
}

#[test]
fn the_doctor_finds_what_is_wrong() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    assert!(home.print(&["doctor"]).contains("none yet"));
    assert!(home.files().is_empty(), "looking makes nothing");
    home.serve().stop();
    assert!(home.print(&["doctor"]).contains("schema is current"));
    let pepper = home.path().join("data/pepper.key");
    std::fs::set_permissions(&pepper, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = home.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("fault  "));
}

#[tokio::test]
async fn the_key_that_appeals_are_sealed_to_is_told_and_a_wrong_one_refused() {
    const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let recipient = |server: &Server| {
        let client = server.client();
        async move {
            client.data("{ service { appealRecipient } }", Value::Null).await["service"]["appealRecipient"].clone()
        }
    };
    let home = Home::new();
    assert!(home.print(&["doctor"]).contains("appeals: no key"));
    assert_eq!(recipient(&home.serve()).await, Value::Null);
    let home = Home::new().with("APPEAL_RECIPIENT", KEY);
    assert!(home.print(&["doctor"]).contains(KEY));
    assert_eq!(recipient(&home.serve()).await, KEY);
    let slip = Home::new().with("APPEAL_RECIPIENT", &KEY.replace("cac8p", "cac8q")).run(&["doctor"]);
    assert_eq!(slip.status.code(), Some(1));
    assert!(String::from_utf8(slip.stderr).unwrap().contains("APPEAL_RECIPIENT"));
}

#[tokio::test]
async fn the_demo_is_metered_live_and_says_how_to_look() {
    let home = Home::new();
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let (server, mut printed) = home.serve_with(&["serve", "--demo"]);
        let mut said = String::new();
        while !said.contains("subscription") {
            assert!(printed.read_line(&mut said).unwrap() > 0, "{said}");
        }
        let after = |label: &str| said.split(label).nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        let identity = json!({ "accountNumber": after("account number") });
        let login = "mutation($i: IdentityInput!, $p: String!) { login(input: {identity: $i, password: $p}) { tokens { accessToken } } }";
        let client = server.client();
        let data = client.data(login, json!({ "i": identity, "p": after("password") })).await;
        let client = client.with_token(data["login"]["tokens"]["accessToken"].as_str().unwrap());
        let query = "{ me { metrics { ram { megabytesUsed } storage { fileCount } database { tableCount } } } }";
        let mut metrics = Value::Null;
        for _ in 0..100 {
            metrics = client.data(query, Value::Null).await["me"]["metrics"].clone();
            if metrics["ram"]["megabytesUsed"].is_f64() && metrics["database"]["tableCount"].is_u64() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert!(metrics["ram"]["megabytesUsed"].as_f64().unwrap() > 5.0, "{metrics}");
        assert!(metrics["database"]["tableCount"].as_u64().unwrap() >= 9, "{metrics}");
        numbers.push(after("account number"));
        assert_eq!(server.stop(), Some(0));
    }
    assert_eq!(numbers[0], numbers[1], "the demo goes on where it was");
}

#[test]
fn usage_on_sqlite_is_not_partitioned() {
    let home = Home::new();
    home.print(&["db", "init"]);
    assert!(home.print(&["db", "status"]).ends_with("usage    not partitioned"));
    let (code, line) = told(&home, &["db", "partition"]);
    assert!(code == Some(1) && line.lines().count() == 1 && line.contains("PostgreSQL alone"), "{line}");
}

#[tokio::test]
async fn usage_on_postgresql_is_partitioned_once_and_not_under_a_server() {
    let Some(database) = PostgresDatabase::create().await else { return };
    let home = Home::new().with("DATABASE_URL", &database.url);
    home.print(&["db", "init"]);
    assert!(home.print(&["db", "status"]).ends_with("usage    not partitioned"));
    let server = home.serve();
    let (code, line) = told(&home, &["db", "partition"]);
    assert!(code == Some(1) && line.contains("a server is running"), "{line}");
    assert_eq!(server.stop(), Some(0));
    let done = home.print(&["db", "partition"]);
    assert!(done.starts_with("usage is partitioned, 0 rows: ") && done.ends_with(" of days"), "{done}");
    assert!(home.print(&["db", "partition"]).starts_with("usage was partitioned before: "));
    let status = home.print(&["db", "status"]);
    assert!(status.lines().last().unwrap().starts_with("usage    partitioned: 21 of minutes"), "{status}");
    assert_eq!(home.serve().stop(), Some(0));
}
