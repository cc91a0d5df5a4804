//! One GraphQL operation over HTTP, by this repository's server and by its peers, each in turn on a core of its own.
//!
//! `edge` starts every server of [`servers::ALL`] pinned to core 0, asks it from core 1 over connections that are kept
//! open, and prints what it took of the processor for a request. Every answer is checked. A peer that is not installed is
//! named and left out; `benches/peers/install` installs them.

mod arguments;
mod child;
mod load;
mod operation;
mod pinning;
mod product;
mod servers;
mod table;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, thread};

use crate::arguments::Arguments;
use crate::child::Child;
use crate::load::Load;
use crate::servers::Server;
use crate::table::{Reading, Row};

/// What a run failed with, said in one line.
type Fault = Box<dyn Error + Send + Sync>;

/// How long a server is asked before it is measured.
const WARM_UP: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let given: Vec<String> = env::args().skip(1).collect();
    let done = match given.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", which, folder] => product::serve(which, Path::new(folder)),
        _ => Arguments::read(given).and_then(|arguments| measure(&arguments)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("edge: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    if thread::available_parallelism()?.get() < 2 {
        return Err("this needs two cores: one for the server, one for whoever asks it".into());
    }
    let chosen = servers::ALL.iter().filter(|server| arguments.takes(server));
    let (present, absent): (Vec<&Server>, Vec<&Server>) = chosen.partition(|server| server.is_installed());
    absent.iter().for_each(|server| eprintln!("left out, not installed: {}", server.title));
    let mut rows: Vec<Row> = present.iter().map(|server| Row::of(server)).collect();
    for round in 1..=arguments.rounds {
        for (server, row) in present.iter().zip(&mut rows) {
            let reading = read(server, arguments).map_err(|fault| format!("{}: {fault}", server.name))?;
            eprintln!("round {round}, {}: {reading}", server.name);
            row.readings.push(reading);
        }
    }
    print!("{}", table::markdown(&rows));
    Ok(())
}

/// What one server took, from its start to its end.
fn read(server: &Server, arguments: &Arguments) -> Result<Reading, Fault> {
    let child = Child::start(server)?;
    let mut load = Load::connect(child.address, arguments.connections, server.request(&child.token))?;
    load.run(WARM_UP)?;
    let before = child.processor_time()?;
    let run = load.run(arguments.stretch)?;
    let took = child.processor_time()?.saturating_sub(before);
    Ok(Reading::new(run, took, child.resident_bytes()?))
}
