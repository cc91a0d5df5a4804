//! Figures for Prometheus. No label names an account, and none takes a value from a client.

mod jobs;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use dimensionos_core::Platform;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::engine::Answer;
use crate::metrics::jobs::JobFigures;

/// What the server counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// By class of status, from 1xx.
    requests: [Counter; 5],
    /// Refused, with errors, and without: found once, since every answer counts.
    operations: [Counter; 3],
    subscriptions: Gauge<i64, AtomicI64>,
    cells: Gauge<i64, AtomicI64>,
    resident: Gauge<i64, AtomicI64>,
    peers: Gauge<i64, AtomicI64>,
    connected: Gauge<i64, AtomicI64>,
    jobs: JobFigures,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("dimensionos");
        let requests = Family::<[(&'static str, &'static str); 1], Counter>::default();
        registry.register("http_requests", "HTTP requests answered, by class of status", requests.clone());
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let requests = classes.map(|class| requests.get_or_create_owned(&[("status", class)]));
        let operations = Family::<[(&'static str, &'static str); 1], Counter>::default();
        registry.register("operations", "GraphQL results given, by outcome", operations.clone());
        let operations = ["refused", "errors", "ok"].map(|name| operations.get_or_create_owned(&[("outcome", name)]));
        let subscriptions = Gauge::default();
        registry.register("streams", "Operations running on live connections", subscriptions.clone());
        let cells = Gauge::default();
        registry.register("metered_accounts", "Accounts held in memory for metering", cells.clone());
        let resident = Gauge::default();
        registry.register("resident_memory_bytes", "Resident memory of this process", resident.clone());
        let peers = Gauge::default();
        registry.register("peers", "Other servers on this database that are heard of", peers.clone());
        let connected = Gauge::default();
        let help = "Whether messages between the servers on this database get through";
        registry.register("bus_connected", help, connected.clone());
        let jobs = JobFigures::registered(&mut registry);
        Self { registry, requests, operations, subscriptions, cells, resident, peers, connected, jobs }
    }
}

/// A live operation, counted for as long as this is.
#[derive(Debug)]
pub(crate) struct Subscribed(Gauge<i64, AtomicI64>);

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn served(&self, status: u16) {
        let class = usize::from((status / 100).clamp(1, 5)) - 1;
        self.requests[class].inc();
    }

    pub(crate) fn answered(&self, answer: &Answer) {
        let outcome = match (answer.is_request_error(), answer.errors().is_empty()) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        };
        self.operations[outcome].inc();
    }

    pub(crate) fn subscribed(&self) -> Subscribed {
        self.subscriptions.inc();
        Subscribed(self.subscriptions.clone())
    }

    /// Everything in the OpenMetrics text format.
    pub(crate) fn text(self: &Arc<Self>, platform: &Platform) -> String {
        self.cells.set(i64::try_from(platform.monitoring().cells()).unwrap_or(i64::MAX));
        if let Some(bytes) = resident_bytes() {
            self.resident.set(bytes);
        }
        let (peers, is_connected) = platform.peers();
        self.peers.set(i64::try_from(peers).unwrap_or(i64::MAX));
        self.connected.set(i64::from(is_connected));
        self.jobs.set(&platform.jobs());
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// The resident set of this process, where /proc has it.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}
