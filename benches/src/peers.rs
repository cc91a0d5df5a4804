//! What else could count the same eight fields for each account.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a bench that cannot set itself up has failed")]

use std::fmt;

use dashmap::DashMap;
use dimensionos_core::AccountId;
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, MeterProvider};
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider, Stream};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use crate::floor::{Figures, Plain};

const LEVELS: [&str; 3] = ["cpu_millicores", "ram_bytes", "connections"];
const COUNTERS: [&str; 5] = ["cpu_microseconds", "bytes_sent", "bytes_received", "api_calls", "file_operations"];
const LABEL: &str = "user";

/// `dashmap` of the floor's own struct: windows and quota, as ours, where the other peers have neither.
#[derive(Debug, Default)]
pub struct Shared(DashMap<AccountId, Plain, ahash::RandomState>);

impl Shared {
    /// With those accounts.
    #[must_use]
    pub fn new(ids: &[AccountId]) -> Self {
        Self(ids.iter().map(|id| (*id, Plain::default())).collect())
    }

    /// Records a sample, and says whether the account is within its limit.
    #[inline]
    #[must_use]
    pub fn record(&self, id: AccountId, figures: &Figures) -> bool {
        self.0.entry(id).or_default().record(figures)
    }
}

/// `prometheus`: a vector of each field, by label.
#[derive(Debug)]
pub struct Vectors {
    levels: [IntGaugeVec; 3],
    counters: [IntCounterVec; 5],
}

impl Vectors {
    /// Without accounts.
    #[must_use]
    pub fn new() -> Self {
        let gauges = |name| IntGaugeVec::new(Opts::new(name, name), &[LABEL]).expect("a good name");
        let counters = |name| IntCounterVec::new(Opts::new(name, name), &[LABEL]).expect("a good name");
        Self { levels: LEVELS.map(gauges), counters: COUNTERS.map(counters) }
    }

    /// Records a sample by label.
    #[inline]
    pub fn record(&self, user: &str, figures: &Figures) {
        for (vector, level) in self.levels.iter().zip(figures.levels) {
            vector.with_label_values(&[user]).set(level.cast_signed());
        }
        for (vector, added) in self.counters.iter().zip(figures.added) {
            vector.with_label_values(&[user]).inc_by(added);
        }
    }

    /// An account's gauges and counters, resolved.
    #[must_use]
    pub fn resolve(&self, user: &str) -> Resolved {
        let levels = self.levels.each_ref().map(|vector| vector.with_label_values(&[user]));
        let counters = self.counters.each_ref().map(|vector| vector.with_label_values(&[user]));
        Resolved { levels, counters }
    }
}

impl Default for Vectors {
    fn default() -> Self {
        Self::new()
    }
}

/// `prometheus`: one account's gauges and counters.
#[derive(Debug, Clone)]
pub struct Resolved {
    levels: [IntGauge; 3],
    counters: [IntCounter; 5],
}

impl Resolved {
    /// Records a sample.
    #[inline]
    pub fn record(&self, figures: &Figures) {
        self.levels.iter().zip(figures.levels).for_each(|(gauge, level)| gauge.set(level.cast_signed()));
        self.counters.iter().zip(figures.added).for_each(|(counter, added)| counter.inc_by(added));
    }
}

/// `metrics` with the recorder of `metrics-exporter-prometheus`.
pub struct Recorder(PrometheusRecorder);

impl Recorder {
    /// Without accounts.
    #[must_use]
    pub fn new() -> Self {
        Self(PrometheusBuilder::new().build_recorder())
    }

    /// Records a sample by label.
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "its gauges are floating")]
    pub fn record(&self, user: &'static str, figures: &Figures) {
        metrics::with_local_recorder(&self.0, || {
            for (name, level) in LEVELS.into_iter().zip(figures.levels) {
                gauge!(name, LABEL => user).set(level as f64);
            }
            for (name, added) in COUNTERS.into_iter().zip(figures.added) {
                counter!(name, LABEL => user).increment(added);
            }
        });
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

/// `opentelemetry_sdk`, read by nobody while it records.
#[derive(Debug)]
pub struct Instruments {
    levels: [Gauge<u64>; 3],
    counters: [Counter<u64>; 5],
    _provider: SdkMeterProvider,
}

impl Instruments {
    /// With room for that many accounts: past the limit, 2,000 as it comes, it counts all others as one.
    #[must_use]
    pub fn new(accounts: usize) -> Self {
        let provider = SdkMeterProvider::builder()
            .with_reader(ManualReader::builder().build())
            .with_view(move |_: &_| Stream::builder().with_cardinality_limit(accounts + 1).build().ok())
            .build();
        let meter = provider.meter("bench");
        let levels = LEVELS.map(|name| meter.u64_gauge(name).build());
        let counters = COUNTERS.map(|name| meter.u64_counter(name).build());
        Self { levels, counters, _provider: provider }
    }

    /// Records a sample by attribute.
    #[inline]
    pub fn record(&self, user: &'static str, figures: &Figures) {
        let attributes = [KeyValue::new(LABEL, user)];
        self.levels.iter().zip(figures.levels).for_each(|(gauge, level)| gauge.record(level, &attributes));
        self.counters.iter().zip(figures.added).for_each(|(counter, added)| counter.add(added, &attributes));
    }
}
