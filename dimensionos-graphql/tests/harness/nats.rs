//! A NATS server of a test's own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Where a NATS is that tests may use.
const URL: &str = "DIMENSIONOS_TEST_NATS_URL";

/// The URL of a NATS: the one that was named, or one that is started; `None`, with the reason printed, where there is none.
pub struct Nats {
    pub url: String,
    _own: Option<NatsServer>,
}

impl Nats {
    pub fn find() -> Option<Self> {
        if let Ok(url) = std::env::var(URL) {
            return Some(Self { url, _own: None });
        }
        let own = NatsServer::start(&[])?;
        Some(Self { url: own.url.clone(), _own: Some(own) })
    }
}

/// A NATS server that can be stopped and started again, at the same address.
pub struct NatsServer {
    pub url: String,
    address: SocketAddr,
    folder: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts one; `None`, with the reason printed, where this machine has none.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("skipped: there is no nats-server, and {URL} names none");
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let url = format!("nats://{address}");
        let arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        let mut server = Self { url, address, folder: TempDir::new().unwrap(), arguments, child: None };
        server.run(&program);
        Some(server)
    }

    fn run(&mut self, program: &Path) {
        let mut command = Command::new(program);
        command.args(["--addr", "127.0.0.1", "--port", &self.address.port().to_string(), "--store_dir"]);
        command.arg(self.folder.path()).args(&self.arguments).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        // It takes a few hundredths of a second; twenty are for a machine under load.
        let is_there = || std::net::TcpStream::connect(self.address).is_ok();
        let tries = (0..1_000).find(|_| {
            std::thread::sleep(Duration::from_millis(20));
            is_there()
        });
        assert!(tries.is_some(), "nats-server did not start");
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn start_again(&mut self) {
        if let Some(program) = program() {
            self.run(&program);
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&on_path).chain([PathBuf::from("/usr/sbin")]).collect();
    folders.into_iter().map(|folder| folder.join("nats-server")).find(|program| program.exists())
}
