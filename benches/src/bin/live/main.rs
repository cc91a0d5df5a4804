//! Many who watch live usage over WebSockets: what one costs the server, and how soon each has its newest value.
//!
//! `cargo run --release -p benches --bin live -- --subscribers 10000` starts a server in a process of its own, signs
//! accounts in, has them watched, and changes each account's usage once a second. The time from `record` to the client
//! is read from the value itself, which is the time at which it was recorded. With `--floor` beside it, a server that
//! does nothing but write a text made once to everybody is measured in the same run.

#![expect(clippy::expect_used, reason = "a measurement that cannot be set up has failed")]

mod client;
mod figures;
mod floor;
mod frames;
mod server;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Parser;

use crate::client::{Outcome, Plan};
use crate::figures::{Figures, Process};

#[derive(Parser, Clone)]
struct Options {
    /// How many watch.
    #[arg(long, default_value_t = 10_000)]
    subscribers: usize,
    /// How many accounts they watch; as many as there are watchers where it is left out.
    #[arg(long)]
    accounts: Option<usize>,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How many of them never read.
    #[arg(long, default_value_t = 0)]
    stalled: usize,
    /// Has the server keep what is recorded in SQLite, each second, which costs more than to tell of it.
    #[arg(long)]
    sqlite: bool,
    /// Measures the floor too.
    #[arg(long)]
    floor: bool,
    /// Says the server's memory every half minute.
    #[arg(long)]
    growth: bool,
    /// What the process is, where it is no load generator.
    #[arg(long, hide = true)]
    role: Option<String>,
}

/// A server in a process of its own.
struct Server {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    address: SocketAddr,
    /// What each account is opened with.
    tokens: Vec<String>,
}

impl Server {
    fn start(role: &str, options: &Options, accounts: usize) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--role", role, "--accounts", &accounts.to_string()])
            .args(["--subscribers", &options.subscribers.to_string()])
            .args(options.sqlite.then_some("--sqlite"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut next = || lines.next().expect("the server says").expect("a line");
        let address = next().parse().expect("an address");
        let tokens = (0..accounts).map(|_| next()).collect();
        Self { child, lines, address, tokens }
    }

    fn say(&mut self, word: &str) {
        let input = self.child.stdin.as_mut().expect("its input");
        writeln!(input, "{word}").expect("the server hears");
    }

    fn process(&self) -> Process {
        Process::of(self.child.id())
    }

    /// The last value that was recorded for each account.
    fn stop(mut self) -> Vec<u64> {
        self.say("stop");
        let last = self.lines.next().expect("the server says").expect("a line");
        self.child.wait().expect("the server ends");
        last.split_whitespace().map(|value| value.parse().expect("a value")).collect()
    }
}

fn measure(role: &str, options: &Options) -> Figures {
    let accounts = options.accounts.unwrap_or(options.subscribers).max(1);
    let mut server = Server::start(role, options, accounts);
    server.say("record");
    // What metering alone takes is there before anybody watches.
    std::thread::sleep(Duration::from_secs(3));
    let before = server.process();
    let plan = Plan { address: server.address, subscribers: options.subscribers, stalled: options.stalled };
    let crowd = client::Crowd::gather(plan, &server.tokens);
    // Everything that grows once has grown, and everybody has had a value.
    std::thread::sleep(Duration::from_secs(3));
    crowd.begin_to_count();
    let begun = server.process();
    for second in 0..options.seconds {
        std::thread::sleep(Duration::from_secs(1));
        if options.growth && second % 30 == 29 {
            eprintln!("after {} s: {} KB resident", second + 1, server.process().resident_kilobytes);
        }
    }
    let ended = server.process();
    crowd.stop_counting();
    server.say("rest");
    // Two intervals: whoever was to wait has its newest by then.
    std::thread::sleep(Duration::from_millis(2_500));
    let Outcome { delays, last, closed } = crowd.dismiss();
    let recorded = server.stop();
    Figures::new(options, before, begun, ended, delays, &last, &recorded, closed)
}

fn main() {
    let options = Options::parse();
    match options.role.as_deref() {
        Some("server") => return server::run(options.accounts.unwrap_or(1), options.sqlite),
        Some("floor") => return floor::run(options.accounts.unwrap_or(1)),
        Some(other) => panic!("no role is called {other}"),
        None => {}
    }
    println!("{}", Figures::HEAD);
    if options.floor {
        println!("{}", measure("floor", &options).row("floor: a text made once, written to everybody"));
    }
    println!("{}", measure("server", &options).row("this server"));
}
