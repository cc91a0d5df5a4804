//! The adaptive layer fed with a series, as the sets' adapters need it.

use dimensionos_core::tos::detectors::adaptive::{Adaptive, AdaptiveParameters, Score};
use dimensionos_core::tos::{Finding, Flag};

use crate::series::Row;

/// The score of each row beside all rows before it. What was not measured has none.
pub(crate) fn scores(rows: &[Row]) -> Vec<Score> {
    let mut scores = Vec::with_capacity(rows.len());
    walk(rows, |score, _| scores.push(score));
    scores
}

/// The notices that a series raises, those that are raised again included.
pub(crate) fn notices(rows: &[Row]) -> Vec<Flag> {
    let mut notices = Vec::new();
    walk(rows, |_, findings| {
        notices.extend(findings.iter().filter_map(|finding| match finding {
            Finding::Raised(flag) => Some(*flag),
            Finding::Lowered { .. } => None,
        }));
    });
    notices
}

fn walk(rows: &[Row], mut each: impl FnMut(Score, &[Finding])) {
    let parameters = AdaptiveParameters::default();
    let mut adaptive = Adaptive::new();
    let mut findings = Vec::new();
    for row in rows {
        findings.clear();
        let observe =
            |value| adaptive.observe(row.at, value, "value", &parameters, &mut |finding| findings.push(finding));
        let score = row.value.map(observe).unwrap_or_default();
        each(score, &findings);
    }
}
