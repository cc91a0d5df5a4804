use std::time::Duration;

use crate::Fault;
use crate::servers::Server;

const USAGE: &str = "usage: edge [--only NAME]... [--seconds N] [--connections N] [--rounds N]";

/// What is measured, and how long.
pub(crate) struct Arguments {
    /// Parts of names; every server where there are none.
    only: Vec<String>,
    /// How long a server is measured in each round.
    pub(crate) stretch: Duration,
    /// Connections that are kept open, each with one request at a time.
    pub(crate) connections: usize,
    /// How often each server is measured, in turn with the others.
    pub(crate) rounds: usize,
}

impl Arguments {
    pub(crate) fn read(given: impl IntoIterator<Item = String>) -> Result<Self, Fault> {
        let mut read = Self { only: Vec::new(), stretch: Duration::from_secs(5), connections: 32, rounds: 3 };
        let mut given = given.into_iter();
        while let Some(name) = given.next() {
            let value = given.next().ok_or(USAGE)?;
            match name.as_str() {
                "--only" => read.only.push(value),
                "--seconds" => read.stretch = Duration::from_secs(at_least_one(&value)?),
                "--connections" => read.connections = usize::try_from(at_least_one(&value)?)?,
                "--rounds" => read.rounds = usize::try_from(at_least_one(&value)?)?,
                _ => return Err(format!("`{name}` is no argument; {USAGE}").into()),
            }
        }
        Ok(read)
    }

    /// Whether a server is to be measured.
    pub(crate) fn takes(&self, server: &Server) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == server.name)
    }
}

fn at_least_one(text: &str) -> Result<u64, Fault> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("`{text}` is no number; {USAGE}").into())
}
