//! Who is measured.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Fault;
use crate::operation;

/// A server under measurement.
pub(crate) struct Server {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// What the table calls it.
    pub(crate) title: &'static str,
    program: Program,
}

enum Program {
    /// This repository's, by a mode of this program.
    Product(&'static str),
    /// A mode of `edge-peers`.
    Rust(&'static str),
    /// A script for Node.
    Node(&'static str),
    /// A script for Python; one without GraphQL is asked by GET.
    Python { script: &'static str, has_graphql: bool },
}

/// The floor first: the others are told by it.
pub(crate) const ALL: &[Server] = &[
    Server::new("floor", "plain axum handler, same token check, same bytes", Program::Product("floor")),
    Server::new("ours", "ours", Program::Product("ours")),
    Server::new("ours-free", "ours, without the charge of a call", Program::Product("ours-free")),
    Server::new("ours-logged", "ours, with its log of production: a line a request", Program::Product("ours-logged")),
    Server::new("axum", "plain axum handler, fixed token", Program::Rust("axum")),
    Server::new(
        "async-graphql-cached",
        "async-graphql, documents cached, fast validation",
        Program::Rust("async-graphql-cached"),
    ),
    Server::new("juniper", "juniper on axum", Program::Rust("juniper")),
    Server::new("async-graphql", "async-graphql with its axum glue, as it comes", Program::Rust("async-graphql")),
    Server::new("mercurius", "Mercurius with its JIT (Node)", Program::Node("mercurius.js")),
    Server::new("apollo", "Apollo Server (Node)", Program::Node("apollo.js")),
    Server::new("yoga", "GraphQL Yoga (Node)", Program::Node("yoga.js")),
    Server::new("fastapi", "FastAPI, REST (Python)", Program::Python { script: "rest.py", has_graphql: false }),
    Server::new(
        "strawberry",
        "FastAPI with Strawberry (Python)",
        Program::Python { script: "graphql_server.py", has_graphql: true },
    ),
];

impl Server {
    const fn new(name: &'static str, title: &'static str, program: Program) -> Self {
        Self { name, title, program }
    }

    /// Whether what it needs is there.
    pub(crate) fn is_installed(&self) -> bool {
        let needed = match self.program {
            Program::Product(_) => return true,
            Program::Rust(_) => edge_peers().ok(),
            Program::Node(_) => Some(peers().join("node/node_modules")),
            Program::Python { .. } => Some(python()),
        };
        needed.is_some_and(|needed| needed.exists())
    }

    /// What starts it.
    pub(crate) fn command(&self, folder: &Path) -> Result<Command, Fault> {
        Ok(match self.program {
            Program::Product(mode) => with(&env::current_exe()?, &[Path::new("serve"), Path::new(mode), folder]),
            Program::Rust(mode) => with(&edge_peers()?, &[Path::new(mode)]),
            Program::Node(script) => {
                let mut command = with(Path::new("node"), &[&peers().join("node").join(script)]);
                // As all of them are run in production.
                command.env("NODE_ENV", "production");
                command
            }
            Program::Python { script, .. } => with(&python(), &[&peers().join("python").join(script)]),
        })
    }

    /// The bytes it is asked by.
    pub(crate) fn request(&self, token: &str) -> Vec<u8> {
        match self.program {
            Program::Python { has_graphql: false, .. } => operation::get("/me", token),
            Program::Product("floor") => operation::post("/floor", token),
            _ => operation::post("/graphql", token),
        }
    }

    /// Where its log goes: what a server has to say at its start is for whoever measures it, lines of requests for nobody.
    pub(crate) fn stderr(&self) -> Stdio {
        match self.program {
            Program::Product("ours-logged") => Stdio::null(),
            _ => Stdio::inherit(),
        }
    }
}

fn with(program: &Path, arguments: &[&Path]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// Built into the same folder as this program.
fn edge_peers() -> Result<PathBuf, Fault> {
    Ok(env::current_exe()?.with_file_name("edge-peers"))
}

fn python() -> PathBuf {
    peers().join("python/.venv/bin/python")
}
