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
    requests: Family<[(&'static str, &'static str); 1], Counter>,
    operations: Family<[(&'static str, &'static str); 1], Counter>,
    subscriptions: Gauge<i64, AtomicI64>,
    cells: Gauge<i64, AtomicI64>,
    resident: Gauge<i64, AtomicI64>,
    jobs: JobFigures,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("dimensionos");
        let requests = Family::default();
        registry.register("http_requests", "HTTP requests answered, by class of status", requests.clone());
        let operations = Family::default();
        registry.register("operations", "GraphQL results given, by outcome", operations.clone());
        let subscriptions = Gauge::default();
        registry.register("streams", "Operations running on live connections", subscriptions.clone());
        let cells = Gauge::default();
        registry.register("metered_accounts", "Accounts held in memory for metering", cells.clone());
        let resident = Gauge::default();
        registry.register("resident_memory_bytes", "Resident memory of this process", resident.clone());
        let jobs = JobFigures::registered(&mut registry);
        Self { registry, requests, operations, subscriptions, cells, resident, jobs }
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
        let class = match status {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&[("status", class)]).inc();
    }

    pub(crate) fn answered(&self, answer: &Answer) {
        let outcome = match (answer.is_request_error(), answer.errors().is_empty()) {
            (true, _) => "refused",
            (false, false) => "errors",
            (false, true) => "ok",
        };
        self.operations.get_or_create(&[("outcome", outcome)]).inc();
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
