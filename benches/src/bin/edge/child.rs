//! A server that was started for a measurement, and what the system says of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{self, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::Fault;
use crate::operation::PEER_TOKEN;
use crate::pinning::{OF_SERVERS, OF_THE_LOAD, pin};
use crate::servers::Server;

/// A running server. It ends when this is dropped.
pub(crate) struct Child {
    process: process::Child,
    pub(crate) address: SocketAddr,
    /// Opens the account.
    pub(crate) token: String,
    /// For what the server keeps; goes with it.
    _folder: TempDir,
}

impl Child {
    /// Starts a server on its core, and waits until it says that it is ready, as `ready PORT` or `ready PORT TOKEN`.
    pub(crate) fn start(server: &Server) -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let mut command = server.command(folder.path())?;
        command.env("EDGE_TOKEN", PEER_TOKEN).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(server.stderr());
        pin(OF_SERVERS)?;
        let started = command.spawn();
        pin(OF_THE_LOAD)?;
        let mut process = started?;
        let output = process.stdout.take().ok_or("no output")?;
        // From here on it is ended in any case.
        let mut child =
            Self { process, address: (Ipv4Addr::LOCALHOST, 0).into(), token: PEER_TOKEN.to_owned(), _folder: folder };
        for line in BufReader::new(output).lines() {
            let line = line?;
            let mut words = line.split(' ');
            if words.next() == Some("ready") {
                child.address.set_port(words.next().unwrap_or_default().parse()?);
                if let Some(token) = words.next() {
                    token.clone_into(&mut child.token);
                }
                return Ok(child);
            }
        }
        Err("ended before it was ready".into())
    }

    /// What all of its threads took of the processor so far, in user mode and in the kernel.
    pub(crate) fn processor_time(&self) -> Result<Duration, Fault> {
        let line = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // After the program's name, which may have blanks: the state first, user time twelfth and system time after it.
        let (_, fields) = line.rsplit_once(") ").ok_or("no process")?;
        let ticks: Vec<u64> = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        let [user, system] = ticks[..] else { return Err("no times of a process".into()) };
        Ok(Duration::from_millis((user + system) * 1_000 / rustix::param::clock_ticks_per_second()))
    }

    /// The memory it holds.
    pub(crate) fn resident_bytes(&self) -> Result<u64, Fault> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no memory of a process")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1_024)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It keeps nothing that anybody wants.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
