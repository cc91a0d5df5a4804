//! What the server's answer to a report means for the next.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

/// How much of a server's message is passed on.
const MAX_MESSAGE_CHARS: usize = 200;

/// What the server had against a report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// One of the server's error codes.
    pub code: String,
    /// What the server says about it.
    pub message: String,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The report is durable.
    Received {
        /// It was so before this request.
        duplicate: bool,
    },
    /// The same report may be taken later.
    Retry { asked: Option<Duration>, reason: Reason },
    /// No report of this agent will be taken.
    Fatal(Refusal),
    /// This report will not be taken; others may.
    Refused(Refusal),
}

/// Why a report has to be sent again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("the server cannot be reached")]
    Unreachable,
    #[error("the server answers {0}")]
    Code(String),
    #[error("the server answers with HTTP status {0} and no receipt")]
    Status(u16),
}

#[derive(Deserialize)]
struct Body {
    data: Option<Data>,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "reportUsage")]
    receipt: Option<Receipt>,
}

#[derive(Deserialize)]
struct Receipt {
    sequence: u64,
    duplicate: bool,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    message: String,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Extensions {
    code: Option<String>,
    #[serde(rename = "retryAfterSeconds")]
    retry_after_seconds: Option<f64>,
}

/// What an answer means, by its code where it has one.
///
/// An answer without code and receipt is not our server's (a proxy, another program on the port), so the report waits
/// for our server; only where the request itself was at fault would it be so for ever.
pub(super) fn sort(status: StatusCode, body: &[u8], sequence: u64) -> Answer {
    let body = serde_json::from_slice::<Body>(body).unwrap_or(Body { data: None, errors: Vec::new() });
    if let Some(receipt) = body.data.and_then(|data| data.receipt)
        && status.is_success()
        && receipt.sequence == sequence
    {
        return Answer::Received { duplicate: receipt.duplicate };
    }
    for fault in body.errors {
        if let Some(code) = fault.extensions.code {
            let asked = fault.extensions.retry_after_seconds;
            let asked = asked.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            return sort_code(known_form(code), &fault.message, asked);
        }
    }
    let refusal = |code: &str| Refusal { code: code.to_owned(), message: format!("HTTP status {}", status.as_u16()) };
    match status {
        StatusCode::UNAUTHORIZED => Answer::Fatal(refusal("UNAUTHENTICATED")),
        StatusCode::FORBIDDEN => Answer::Fatal(refusal("FORBIDDEN")),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Answer::Refused(refusal("INVALID_INPUT"))
        }
        other => Answer::Retry { asked: None, reason: Reason::Status(other.as_u16()) },
    }
}

fn sort_code(code: String, message: &str, asked: Option<Duration>) -> Answer {
    match code.as_str() {
        "BUSY" | "INTERNAL" | "RATE_LIMITED" => Answer::Retry { asked, reason: Reason::Code(code) },
        "UNAUTHENTICATED" | "TOKEN_INVALID" | "TOKEN_EXPIRED" | "FORBIDDEN" | "NOT_FOUND" => {
            Answer::Fatal(Refusal { code, message: plain(message) })
        }
        _ => Answer::Refused(Refusal { code, message: plain(message) }),
    }
}

/// A code as our server writes them; whatever else stands there is not repeated.
fn known_form(code: String) -> String {
    let is_code = !code.is_empty() && code.len() <= 64 && code.bytes().all(|c| c.is_ascii_uppercase() || c == b'_');
    if is_code { code } else { "UNKNOWN".to_owned() }
}

/// The message on one line of a terminal, whatever the other end has put into it.
fn plain(message: &str) -> String {
    message.chars().filter(|character| !character.is_control()).take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        sort(StatusCode::from_u16(status).unwrap(), body.as_bytes(), 1)
    }

    fn fault(code: &str) -> String {
        format!(
            r#"{{"data":null,"errors":[{{"message":"no\nmore","path":["reportUsage"],"extensions":{{"code":"{code}"}}}}]}}"#
        )
    }

    #[test]
    fn a_receipt_ends_a_report() {
        let body =
            |duplicate| format!(r#"{{"data":{{"reportUsage":{{"sequence":1,"duplicate":{duplicate},"samples":2}}}}}}"#);
        assert_eq!(answer(200, &body(false)), Answer::Received { duplicate: false });
        assert_eq!(answer(200, &body(true)), Answer::Received { duplicate: true });
    }

    #[test]
    fn a_server_in_trouble_is_asked_again() {
        for code in ["BUSY", "INTERNAL", "RATE_LIMITED"] {
            let reason = Reason::Code(code.to_owned());
            assert_eq!(answer(200, &fault(code)), Answer::Retry { asked: None, reason });
        }
        let body = r#"{"errors":[{"message":"m","extensions":{"code":"BUSY","retryAfterSeconds":3}}]}"#;
        let asked = Some(Duration::from_secs(3));
        assert_eq!(answer(200, body), Answer::Retry { asked, reason: Reason::Code("BUSY".to_owned()) });
        for status in [500, 502, 503, 429, 408, 301] {
            assert_eq!(answer(status, "<html>"), Answer::Retry { asked: None, reason: Reason::Status(status) });
        }
    }

    #[test]
    fn an_answer_that_is_not_our_servers_drops_no_report() {
        for (status, body) in [(200, "<html>welcome</html>"), (200, "{}"), (200, r#"{"data":{}}"#), (404, "not found")]
        {
            assert_eq!(answer(status, body), Answer::Retry { asked: None, reason: Reason::Status(status) }, "{body}");
        }
    }

    #[test]
    fn an_agent_that_may_not_report_stops() {
        for code in ["UNAUTHENTICATED", "TOKEN_INVALID", "TOKEN_EXPIRED", "FORBIDDEN", "NOT_FOUND"] {
            let refusal = Refusal { code: code.to_owned(), message: "nomore".to_owned() };
            assert_eq!(answer(200, &fault(code)), Answer::Fatal(refusal));
        }
        assert!(matches!(answer(401, ""), Answer::Fatal(_)));
    }

    #[test]
    fn a_report_that_is_at_fault_is_set_aside() {
        for code in ["INVALID_INPUT", "CONFLICT", "SERVICE_CANCELLED", "NEVER_HEARD_OF"] {
            assert!(matches!(answer(200, &fault(code)), Answer::Refused(refusal) if refusal.code == code));
        }
        assert!(matches!(answer(413, ""), Answer::Refused(_)));
    }
}
