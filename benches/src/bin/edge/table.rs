//! What was read, as a table.

use std::fmt;
use std::time::Duration;

use benches::Readings;

use crate::load::Run;
use crate::servers::Server;

/// One server in one round.
pub(crate) struct Reading {
    /// Processor time of the server for a request.
    microseconds: f64,
    requests_a_second: f64,
    megabytes: f64,
}

impl Reading {
    #[expect(clippy::cast_precision_loss, reason = "some millions of requests, some gigabytes")]
    pub(crate) fn new(run: Run, took: Duration, resident_bytes: u64) -> Self {
        let requests = run.requests as f64;
        Self {
            microseconds: took.as_secs_f64() * 1e6 / requests,
            requests_a_second: requests / run.elapsed.as_secs_f64(),
            megabytes: resident_bytes as f64 / f64::from(1 << 20),
        }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { microseconds, requests_a_second, megabytes } = self;
        write!(f, "{microseconds:.2} µs, {requests_a_second:.0} requests/s, {megabytes:.0} MB")
    }
}

/// One server in all rounds.
pub(crate) struct Row {
    name: &'static str,
    title: &'static str,
    pub(crate) readings: Vec<Reading>,
}

impl Row {
    pub(crate) fn of(server: &Server) -> Self {
        Self { name: server.name, title: server.title, readings: Vec::new() }
    }

    fn median(&self, figure: impl Fn(&Reading) -> f64) -> f64 {
        let mut readings = Readings::default();
        self.readings.iter().map(figure).for_each(|reading| readings.push(reading));
        readings.quantile(0.5)
    }
}

/// Medians of the rounds, and each server's processor time as a multiple of the floor's, where that was measured.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let floor = rows.iter().find(|row| row.name == "floor").map(|row| row.median(|reading| reading.microseconds));
    let mut table = String::from(
        "| server | processor time a request | to the floor | requests/s | resident |\n| --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let microseconds = row.median(|reading| reading.microseconds);
        let ratio = floor.map(|floor| format!("{:.2}", microseconds / floor)).unwrap_or_default();
        let requests = thousands(row.median(|reading| reading.requests_a_second));
        let megabytes = row.median(|reading| reading.megabytes);
        table += &format!("| {} | {microseconds:.1} µs | {ratio} | {requests} | {megabytes:.0} MB |\n", row.title);
    }
    table
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8_lossy(&groups.join(&b","[..])).into_owned()
}
