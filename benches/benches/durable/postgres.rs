//! A PostgreSQL as it comes: with fsync, which servers for tests are started without.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sea_orm::ConnectionTrait;

/// Where a PostgreSQL is that may be measured, when none is to be started.
const URL: &str = "DIMENSIONOS_BENCH_POSTGRES_URL";

/// Starts a server with the settings it comes with, keeps it until standard input ends, and leaves nothing behind.
const KEEPER: &str = r#"
set -e
folder=$(mktemp -d "${TMPDIR:-/tmp}/dimensionos-bench.XXXXXX")
trap 'rm -rf "$folder"' EXIT
"$0/initdb" --pgdata "$folder/data" --username postgres --auth trust --encoding UTF8 --no-sync > /dev/null
"$0/postgres" -D "$folder/data" -h 127.0.0.1 -p "$1" -k "$folder" > "$folder/log" 2>&1 &
server=$!
cat > /dev/null
kill -INT "$server"
wait "$server" || true
"#;

/// A server, stopped when this is dropped.
pub(crate) struct Server {
    url: String,
    keeper: Option<Child>,
}

impl Server {
    /// Makes an empty database, and says where it is.
    pub(crate) async fn create(&self, purpose: &str) -> String {
        let name = format!("dimensionos_bench_{purpose}");
        let connection = sea_orm::Database::connect(&self.url).await.expect("PostgreSQL answers");
        for statement in [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")] {
            connection.execute_unprepared(&statement).await.expect("PostgreSQL does as it is told");
        }
        let _ = connection.close().await;
        let (base, _) = self.url.rsplit_once('/').expect("a URL with the name of a database");
        format!("{base}/{name}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

/// The server that was named, or one of this process's own; none, with the reason printed, where this machine has no
/// PostgreSQL or the named one would lose what it acknowledged.
pub(crate) async fn start() -> Option<Server> {
    let server = match std::env::var(URL) {
        Ok(url) => Server { url, keeper: None },
        Err(_) => own().await?,
    };
    let connection = sea_orm::Database::connect(&server.url).await.expect("PostgreSQL answers");
    for setting in ["fsync", "synchronous_commit"] {
        let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, format!("SHOW {setting}"));
        let row = connection.query_one_raw(statement).await.expect("a setting").expect("one row");
        let value: String = row.try_get_by_index(0).expect("a text");
        if value != "on" {
            eprintln!("skipped: PostgreSQL has {setting} = {value}, and so is not durable");
            return None;
        }
    }
    let _ = connection.close().await;
    Some(server)
}

async fn own() -> Option<Server> {
    let Some(programs) = programs() else {
        eprintln!("skipped: no PostgreSQL here ({URL} is not set, and there is no initdb)");
        return None;
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    // PostgreSQL refuses to run as root.
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|uid| uid.stdout.starts_with(b"0\n"));
    let mut command = if is_root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command.args(["-c", KEEPER]).arg(programs).arg(port.to_string());
    let keeper = command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().ok()?;
    let server = Server { url: format!("postgres://postgres@127.0.0.1:{port}/postgres"), keeper: Some(keeper) };
    // initdb takes a second or two; a minute is for a machine under load.
    for _ in 0..600 {
        if let Ok(connection) = sea_orm::Database::connect(&server.url).await {
            let _ = connection.close().await;
            return Some(server);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!("skipped: PostgreSQL did not start");
    None
}

/// The folder with PostgreSQL's server programs.
fn programs() -> Option<PathBuf> {
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = packaged.map(|version| version.path().join("bin"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    packaged.chain(on_path).find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}
