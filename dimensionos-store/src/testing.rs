//! Databases for tests: each fresh, its own, and gone at the end.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::Database;

/// Where a PostgreSQL for tests is, when it is not to be started by the test itself.
pub const POSTGRES_URL: &str = "DIMENSIONOS_TEST_POSTGRES_URL";

/// A SQLite database with its tables, in a folder that goes with the second value.
///
/// # Panics
/// Where it cannot be made.
#[expect(clippy::expect_used, reason = "a test that has no database has failed")]
pub async fn sqlite() -> (Database, TempDir) {
    let folder = TempDir::new().expect("a folder for the database");
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let database = Database::connect(&url).await.expect("a SQLite file opens");
    database.migrate().await.expect("the tables are made");
    (database, folder)
}

/// A PostgreSQL database with its tables, dropped with the second value. `None`, with the reason printed, where this
/// machine has no PostgreSQL.
///
/// # Panics
/// Where PostgreSQL is there and the database cannot be made.
#[expect(clippy::expect_used, reason = "a test that has no database has failed")]
pub async fn postgres() -> Option<(Database, PostgresDatabase)> {
    let fresh = PostgresDatabase::create().await?;
    let database = Database::connect(&fresh.url).await.expect("the fresh database opens");
    database.migrate().await.expect("the tables are made");
    Some((database, fresh))
}

/// An empty PostgreSQL database of a test's own, dropped when this is.
#[derive(Debug)]
pub struct PostgresDatabase {
    /// Where it is.
    pub url: String,
    server: String,
    name: String,
}

impl PostgresDatabase {
    /// Makes one; `None`, with the reason printed, where this machine has no PostgreSQL.
    ///
    /// # Panics
    /// Where PostgreSQL is there and the database cannot be made.
    pub async fn create() -> Option<Self> {
        let server = server_url().await?;
        let name = format!("dimensionos_test_{}", uuid_like());
        administer(&server, &format!("CREATE DATABASE {name}")).await;
        let (base, _) = server.rsplit_once('/')?;
        Some(Self { url: format!("{base}/{name}"), server, name })
    }

    /// Ends all its connections and lets nobody connect, until [`back`](Self::back).
    pub async fn away(&self) {
        administer(&self.server, &format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", self.name)).await;
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", self.name);
        administer(&self.server, &end).await;
    }

    /// Lets everybody connect again.
    pub async fn back(&self) {
        administer(&self.server, &format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.name)).await;
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let (server, drop) = (self.server.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        // On a thread of its own: this may run inside a runtime, which must not be blocked on itself.
        let worker = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(administer(&server, &drop));
            }
        });
        let _ = worker.join();
    }
}

#[expect(clippy::expect_used, reason = "a test that has no database has failed")]
async fn administer(server: &str, statement: &str) {
    let connection = sea_orm::Database::connect(server).await.expect("PostgreSQL answers");
    let statement = Statement::from_string(connection.get_database_backend(), statement);
    connection.execute_raw(statement).await.expect("PostgreSQL does as it is told");
    let _ = connection.close().await;
}

fn uuid_like() -> String {
    use std::hash::{BuildHasher, Hasher};
    // std's hashers are seeded at random; two tests need different names, not unpredictable ones.
    let random = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// The URL of a PostgreSQL: the one that was named, or one that is started for this process.
async fn server_url() -> Option<String> {
    static SERVER: OnceCell<Option<Server>> = OnceCell::const_new();
    if let Ok(url) = std::env::var(POSTGRES_URL) {
        return Some(url);
    }
    SERVER.get_or_init(Server::start).await.as_ref().map(|server| server.url.clone())
}

#[derive(Debug)]
struct Server {
    url: String,
    /// Its standard input stays open as long as this process lives; when it closes, the server is stopped.
    _keeper: Child,
}

/// Starts a server, keeps it until standard input ends, and leaves nothing behind.
const KEEPER: &str = r#"
set -e
folder=$(mktemp -d "${TMPDIR:-/tmp}/dimensionos-postgres.XXXXXX")
trap 'rm -rf "$folder"' EXIT
"$0/initdb" --pgdata "$folder/data" --username postgres --auth trust --encoding UTF8 --no-sync > /dev/null
"$0/postgres" -D "$folder/data" -h 127.0.0.1 -p "$1" -k "$folder" -c fsync=off -c max_connections=200 > "$folder/log" 2>&1 &
server=$!
cat > /dev/null
kill -INT "$server"
wait "$server" || true
"#;

impl Server {
    async fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!("skipped: no PostgreSQL here ({POSTGRES_URL} is not set, and there is no initdb)");
            return None;
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let mut command = if is_root() {
            // PostgreSQL refuses to run as root.
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh", "-c", KEEPER]);
            command
        } else {
            let mut command = Command::new("sh");
            command.args(["-c", KEEPER]);
            command
        };
        command.arg(programs).arg(port.to_string()).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null());
        let keeper = command.spawn().ok()?;
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        // initdb takes a second or two; a minute is for a machine under load.
        for _ in 0..600 {
            if let Ok(connection) = sea_orm::Database::connect(&url).await {
                let _ = connection.close().await;
                return Some(Self { url, _keeper: keeper });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        eprintln!("skipped: PostgreSQL did not start");
        None
    }
}

/// The folder with PostgreSQL's server programs.
fn programs() -> Option<PathBuf> {
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = packaged.map(|version| version.path().join("bin"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    packaged.chain(on_path).find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

fn is_root() -> bool {
    let uid = Command::new("id").arg("-u").output();
    uid.is_ok_and(|uid| uid.stdout.starts_with(b"0\n"))
}
