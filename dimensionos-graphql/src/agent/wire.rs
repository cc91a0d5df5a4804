//! A sample as the schema's `UsageSampleInput` has it.

use dimensionos_core::monitoring::{Counter, Level, Sample};
use serde_json::{Map, Value};

/// One line of JSON with what was measured; absent where that is nothing.
pub(super) fn line(account: &str, sample: &Sample) -> Option<String> {
    if sample.is_empty() {
        return None;
    }
    let mut fields = Map::new();
    fields.insert("account".to_owned(), Value::from(account));
    fields.insert("at".to_owned(), Value::from(sample.taken_at().to_string()));
    for level in Level::ALL {
        if let Some(value) = sample.level(level) {
            fields.insert(level_field(level).to_owned(), Value::from(value));
        }
    }
    for counter in Counter::ALL {
        if let Some(value) = sample.added(counter) {
            fields.insert(counter_field(counter).to_owned(), Value::from(value));
        }
    }
    Some(Value::Object(fields).to_string())
}

const fn level_field(level: Level) -> &'static str {
    match level {
        Level::CpuMillicores => "cpuMillicores",
        Level::RamBytes => "ramBytes",
        Level::StorageBytes => "storageBytes",
        Level::FileCount => "fileCount",
        Level::Connections => "connections",
        Level::TableCount => "tableCount",
        Level::RecordCount => "recordCount",
    }
}

const fn counter_field(counter: Counter) -> &'static str {
    match counter {
        Counter::CpuMicroseconds => "cpuMicroseconds",
        Counter::BytesSent => "bytesSent",
        Counter::BytesReceived => "bytesReceived",
        Counter::DatabaseQueries => "databaseQueries",
        Counter::ApiCalls => "apiCalls",
        Counter::FileOperations => "fileOperations",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dimensionos_core::Timestamp;

    #[test]
    fn only_what_was_measured_is_written() {
        let sample = Sample::at(Timestamp::from_millis(1_700_000_000_120))
            .with_level(Level::RamBytes, 4_096)
            .with_added(Counter::CpuMicroseconds, 0);
        let line = line("acc_1", &sample).unwrap();
        assert_eq!(line, r#"{"account":"acc_1","at":"2023-11-14T22:13:20.120Z","cpuMicroseconds":0,"ramBytes":4096}"#);
        assert!(super::line("acc_1", &Sample::at(Timestamp::EPOCH)).is_none());
    }
}
