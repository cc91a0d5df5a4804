//! What is held against an account, in the document that its holder takes out.

use serde::Serialize;

use super::NOT_SHOWN;
use crate::time::Timestamp;
use crate::tos::{Author, Sanction, Severity, Violation, ViolationKind};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExportedViolation {
    id: String,
    kind: ViolationKind,
    severity: Severity,
    state: &'static str,
    sanction: Sanction,
    imposed_by: &'static str,
    imposed_at: String,
    ends_at: String,
    detected_at: String,
    lowered_at: Option<String>,
    strikes: u32,
    policy: u32,
    decided: Sanction,
    shadow: Option<(u32, Sanction)>,
    /// As it is stored.
    statement: String,
    facts: String,
    counterfactual: String,
    appeal: Option<ExportedAppeal>,
    complaint: Option<ExportedComplaint>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedAppeal {
    ground: &'static str,
    filed_at: String,
    /// As its holder sealed it.
    sealed_statement: Option<String>,
    decided_at: Option<String>,
    verdict: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedComplaint {
    state: &'static str,
    notice_digest: String,
    /// Whoever complains has a right of their own not to be known.
    complainant: Option<&'static str>,
    received_at: String,
    counter_notice: Option<(String, String)>,
    court_at: Option<String>,
    withdrawn_at: Option<String>,
}

impl ExportedViolation {
    pub(super) fn new(violation: &Violation, now: Timestamp) -> Self {
        let statement = violation.imposed.statement();
        let text = |at: Timestamp| at.to_string();
        let verdict = violation.verdict.map(|_| violation.state(now).name());
        Self {
            id: violation.id.to_string(),
            kind: violation.kind(),
            severity: violation.grounds.severity,
            state: violation.state(now).name(),
            sanction: violation.sanction(now),
            imposed_by: match violation.imposed.author() {
                Author::Policy(_) => "policy",
                Author::Operator(_) => "operator",
            },
            imposed_at: text(violation.imposed.since()),
            ends_at: text(violation.ends_at()),
            detected_at: text(violation.detected_at),
            lowered_at: violation.lowered_at.map(text),
            strikes: violation.grounds.strikes,
            policy: violation.policy,
            decided: violation.decided,
            shadow: violation.shadow.map(|shadow| (shadow.version, shadow.sanction)),
            statement: statement.to_text(),
            facts: statement.facts(),
            counterfactual: statement.counterfactual(),
            appeal: violation.appeal.as_ref().map(|appeal| ExportedAppeal {
                ground: appeal.ground.name(),
                filed_at: text(appeal.filed_at),
                sealed_statement: appeal.sealed_statement.as_ref().map(|sealed| sealed.as_str().to_owned()),
                decided_at: appeal.decided.map(|(at, _)| text(at)),
                verdict,
            }),
            complaint: violation.complaint.as_ref().map(|complaint| ExportedComplaint {
                state: complaint.state(now).name(),
                notice_digest: complaint.notice.to_string(),
                complainant: complaint.complainant.map(|_| NOT_SHOWN),
                received_at: text(complaint.received_at),
                counter_notice: complaint.counter.map(|(digest, at)| (digest.to_string(), text(at))),
                court_at: complaint.court_at.map(text),
                withdrawn_at: complaint.withdrawn_at.map(text),
            }),
        }
    }
}
