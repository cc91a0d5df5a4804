//! Bitbrains: how often ordinary customers are told that something is unusual. Every metric of every machine is an
//! adaptive state of its own, and every notice is a false one.

use std::error::Error;
use std::path::Path;

use dimensionos_core::Timestamp;

use crate::adaptive::notices;
use crate::report::{Report, put};
use crate::series::{self, Row};
use crate::statistics::frequency;

/// The columns that change: megahertz, memory, disk read and written, network received and sent. Processor per cent is
/// the first in another unit, and what was provisioned is no use of anything.
const METRICS: [(&str, usize); 6] = [
    ("cpu_mhz", 3),
    ("memory_kb", 6),
    ("disk_read", 7),
    ("disk_written", 8),
    ("network_received", 9),
    ("network_sent", 10),
];
const MILLIS_PER_DAY: f64 = 86_400_000.0;

/// Puts `benign.notice_per_user_day` in: notices of all metrics together, over the days the machines ran.
///
/// # Errors
/// Where a file cannot be read.
pub(crate) fn evaluate(folder: &Path, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let mut raised = [0_u64; METRICS.len()];
    let (mut days, mut machines, mut noticed) = (0.0, 0_u64, 0_u64);
    for path in series::files(folder, &[".csv.gz", ".csv"])? {
        let columns = read(&path)?;
        let counts = columns.each_ref().map(|rows| notices(rows).len() as u64);
        raised.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        noticed += u64::from(counts.iter().sum::<u64>() > 0);
        machines += 1;
        if let (Some(first), Some(last)) = (columns[0].first(), columns[0].last()) {
            days += last.at.since(first.at).as_secs_f64() * 1e3 / MILLIS_PER_DAY;
        }
    }
    let total: u64 = raised.iter().sum();
    let frequency = frequency(total, days);
    put(report, "benign.notice_per_user_day", frequency["rate"].clone())?;
    put(report, "benign.notice_per_user_day_bound", frequency)?;
    for ((name, _), count) in METRICS.iter().zip(raised) {
        put(report, &format!("benign.notices_by_metric.{name}"), count)?;
    }
    put(report, "benign.machines_noticed_bound", crate::statistics::rate(noticed, machines))
}

fn read(path: &Path) -> Result<[Vec<Row>; METRICS.len()], Box<dyn Error>> {
    let mut columns = [const { Vec::new() }; METRICS.len()];
    for (index, line) in series::lines(path)?.enumerate().skip(1) {
        let line = line?;
        let fields: Vec<&str> = line.split(';').map(str::trim).collect();
        // Seconds, whatever the line of names says.
        let seconds = fields[0].parse::<f64>().map_err(|error| format!("{}:{}: {error}", path.display(), index + 1))?;
        #[expect(clippy::cast_possible_truncation, reason = "an instant in milliseconds")]
        let at = Timestamp::from_millis((seconds * 1e3) as i64);
        for ((_, column), rows) in METRICS.iter().zip(&mut columns) {
            let value = fields.get(*column).and_then(|field| field.parse().ok());
            rows.push(Row { at, value, is_labelled: false });
        }
    }
    Ok(columns)
}
