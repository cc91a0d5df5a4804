//! The built server, on a database of its own, spoken to as its users do.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of the harness")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot set itself up has failed")]

pub mod http;
pub mod live;
pub mod nats;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

pub const PASSWORD: &str = "violet harbour kestrel 41";

/// A folder for a server's database, keys and log, which outlives the servers that run in it.
pub struct Home {
    folder: TempDir,
    settings: Vec<(String, String)>,
}

/// A running server; killed when dropped.
pub struct Server {
    pub address: String,
    child: Child,
}

impl Home {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), settings: Vec::new() }
    }

    /// The same with a setting, as in the environment.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((format!("DIMENSIONOS_{name}"), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn log(&self) -> PathBuf {
        self.path().join("log")
    }

    /// A command of the server's binary in this home.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dimensionos-graphql"));
        command.args(arguments).current_dir(self.path());
        command.env("DIMENSIONOS_LISTEN", "127.0.0.1:0").env("DIMENSIONOS_BCRYPT_COST", "10");
        command.env("RUST_LOG", "debug");
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub fn print(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn serve(&self) -> Server {
        self.serve_with(&["serve"]).0
    }

    /// Starts a server, and gives it with all it printed until it listened, and a reader of the rest.
    pub fn serve_with(&self, arguments: &[&str]) -> (Server, impl BufRead + use<>) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        printed.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let address = address.unwrap_or_else(|| panic!("{line:?}; {}", std::fs::read_to_string(self.log()).unwrap()));
        (Server { address, child }, printed)
    }

    /// Every byte of every file in this home, database, log and keys alike, with its path.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let content = std::fs::read(&path).unwrap();
                    found.push((path, content));
                }
            }
        }
        found
    }
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: nothing is finished.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; gives the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let told = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap();
        assert!(told.success());
        self.child.wait().unwrap().code()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    pub fn client(&self) -> Client {
        Client { address: self.address.clone(), http: reqwest::Client::new(), token: None }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who speaks GraphQL over HTTP.
#[derive(Clone)]
pub struct Client {
    pub address: String,
    pub http: reqwest::Client,
    pub token: Option<String>,
}

/// An account that was registered for a test.
pub struct Registered {
    pub id: String,
    pub access: String,
    pub refresh: String,
    pub client: Client,
}

impl Client {
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// One POST; gives the answer's JSON.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        self.try_ask(query, variables).await.expect("the server answers")
    }

    pub async fn try_ask(&self, query: &str, variables: Value) -> Result<Value, reqwest::Error> {
        let text = self.text(query, variables).await?;
        Ok(serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}")))
    }

    /// One POST; gives the answer to the letter.
    pub async fn text(&self, query: &str, variables: Value) -> Result<String, reqwest::Error> {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let mut request = self.http.post(format!("{}/graphql", self.address)).body(body);
        request = request.header("content-type", "application/json").timeout(Duration::from_secs(60));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.send().await?.text().await
    }

    /// One POST that must succeed; gives its data.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let answer = self.ask(query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].clone()
    }

    /// One POST that must fail; gives its first error's extensions.
    pub async fn refusal(&self, query: &str, variables: Value) -> Value {
        let answer = self.ask(query, variables).await;
        let extensions = answer["errors"][0]["extensions"].clone();
        assert!(extensions.is_object(), "{query}: {answer}");
        extensions
    }

    pub async fn code(&self, query: &str, variables: Value) -> String {
        self.refusal(query, variables).await["code"].as_str().unwrap().to_owned()
    }

    pub async fn register(&self, email: &str) -> Registered {
        let data = self.data(REGISTER, json!({ "email": email, "password": PASSWORD })).await;
        let text = |pointer: &str| data.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let access = text("/register/tokens/accessToken");
        Registered {
            id: text("/register/account/id"),
            refresh: text("/register/tokens/refreshToken"),
            client: self.with_token(&access),
            access,
        }
    }
}

pub const REGISTER: &str = "mutation($email: String!, $password: String!) {
    register(input: { identity: { email: $email }, password: $password }) {
        account { id anonymousId tier status } tokens { accessToken refreshToken }
    }
}";

pub const REPORT: &str =
    "mutation($input: UsageReportInput!) { reportUsage(input: $input) { sequence duplicate samples } }";

/// Everything a reader gives.
pub fn read_all(mut reader: impl Read) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

/// SHA-256 in hex, by the system's own tool: no copy of the code under test.
pub fn sha256(text: &str) -> String {
    let mut child = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let printed = read_all(child.stdout.take().unwrap());
    child.wait().unwrap();
    printed[..64].to_owned()
}
