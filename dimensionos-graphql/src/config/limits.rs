//! The settings of what may be asked and is answered, and how often.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crate::config::{ConfigError, Environment, Written, invalid};
use crate::engine::{AllowList, Calls, EngineOptions, Introspection, PersistedQueries};
use crate::guard::Limits;
use crate::http::SourceRate;
use crate::recipient::AppealRecipient;

/// Bytes of a body at least: less would hold no request.
const LEAST_BODY_BYTES: usize = 1024;
/// Nesting of brackets at most: the parser goes as deep on the stack, which ends at some 1,400.
const MOST_BRACKETS: usize = 200;

pub(super) fn engine(written: &Written, environment: Environment) -> Result<EngineOptions, ConfigError> {
    let introspection = match environment {
        Environment::Development => Introspection::Open,
        Environment::Production => Introspection::Closed,
    };
    Ok(EngineOptions {
        limits: limits(written)?,
        introspection,
        persisted_queries: persisted_queries(written)?,
        calls: match written.charge_api_calls.as_deref() {
            None | Some("true") => Calls::Charged,
            Some("false") => Calls::Free,
            Some(_) => return Err(invalid("CHARGE_API_CALLS", "neither true nor false")),
        },
        appeal_recipient: appeal_recipient(written.appeal_recipient.as_deref())?,
    })
}

fn limits(written: &Written) -> Result<Limits, ConfigError> {
    let usual = Limits::default();
    Ok(Limits {
        body_bytes: within(
            written.max_body_bytes.as_deref(),
            "MAX_BODY_BYTES",
            usual.body_bytes,
            LEAST_BODY_BYTES,
            usize::MAX,
        )?,
        document_bytes: within(
            written.max_document_bytes.as_deref(),
            "MAX_DOCUMENT_BYTES",
            usual.document_bytes,
            1,
            usize::MAX,
        )?,
        tokens: within(written.max_tokens.as_deref(), "MAX_TOKENS", usual.tokens, 1, usize::MAX)?,
        bracket_depth: within(
            written.max_bracket_depth.as_deref(),
            "MAX_BRACKET_DEPTH",
            usual.bracket_depth,
            1,
            MOST_BRACKETS,
        )?,
        directives: within(written.max_directives.as_deref(), "MAX_DIRECTIVES", usual.directives, 0, usize::MAX)?,
        aliases: within(written.max_aliases.as_deref(), "MAX_ALIASES", usual.aliases, 0, u64::MAX)?,
        fields: within(written.max_fields.as_deref(), "MAX_FIELDS", usual.fields, 1, u64::MAX)?,
        depth: within(written.max_depth.as_deref(), "MAX_DEPTH", usual.depth, 1, u64::MAX)?,
        root_fields: within(written.max_root_fields.as_deref(), "MAX_ROOT_FIELDS", usual.root_fields, 1, u64::MAX)?,
        cost: within(written.max_cost.as_deref(), "MAX_COST", usual.cost, 1, u64::MAX)?,
        kept_document_bytes: within(
            written.kept_document_bytes.as_deref(),
            "KEPT_DOCUMENT_BYTES",
            usual.kept_document_bytes,
            0,
            usize::MAX,
        )?,
    })
}

pub(super) fn source_rate(written: &Written) -> Result<SourceRate, ConfigError> {
    let usual = SourceRate::default();
    Ok(SourceRate {
        per_second: within(written.source_rate.as_deref(), "SOURCE_RATE", usual.per_second, 0, 1_000_000)?,
        burst: within(written.source_burst.as_deref(), "SOURCE_BURST", usual.burst, 1, 1_000_000)?,
    })
}

fn appeal_recipient(text: Option<&str>) -> Result<Option<AppealRecipient>, ConfigError> {
    let recipient = text.map(|text| text.trim().parse()).transpose();
    recipient.map_err(|_| invalid("APPEAL_RECIPIENT", "not a public key of age's, age1 and 58 characters"))
}

fn persisted_queries(written: &Written) -> Result<PersistedQueries, ConfigError> {
    match written.persisted_queries.as_deref() {
        None | Some("automatic") => Ok(PersistedQueries::Automatic),
        Some("off") => Ok(PersistedQueries::Off),
        Some("only") => {
            let missing = || invalid("PERSISTED_QUERIES_FILE", "demanded where PERSISTED_QUERIES is `only`");
            let file = written.persisted_queries_file.as_deref().ok_or_else(missing)?;
            Ok(PersistedQueries::Only(Arc::new(allow_list(Path::new(file))?)))
        }
        Some(_) => Err(invalid("PERSISTED_QUERIES", "neither automatic, off nor only")),
    }
}

fn allow_list(file: &Path) -> Result<AllowList, ConfigError> {
    let unread = || invalid("PERSISTED_QUERIES_FILE", "cannot be read");
    let json = std::fs::read_to_string(file).map_err(|_| unread())?;
    let wrong = "not JSON of documents by their SHA-256, or a manifest of operations with id and body";
    AllowList::parse(&json).map_err(|_| invalid("PERSISTED_QUERIES_FILE", wrong))
}

/// A number, within its bounds.
fn within<T: FromStr + PartialOrd + Copy>(
    text: Option<&str>,
    name: &'static str,
    usual: T,
    least: T,
    most: T,
) -> Result<T, ConfigError> {
    let Some(text) = text else { return Ok(usual) };
    let number = text.parse().ok().filter(|number| *number >= least && *number <= most);
    number.ok_or(invalid(name, "not a number within its bounds"))
}
