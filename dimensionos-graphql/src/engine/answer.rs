use async_graphql::{Response, ServerError, Value};
use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::engine::document::Document;
use crate::engine::nullability::Nullability;
use crate::error::code;

/// Errors of one answer: enough to mend a query by, too few to fill a pipe with.
const MAX_ERRORS: usize = 16;

/// What an operation gives: once, or each time something changes.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Of the executor.
    Executed(Box<Executed>),
    /// JSON that was written already, for everybody who asked the same of the same.
    Written(Bytes),
}

/// What the executor gave, and whether the request failed before anything was executed.
#[derive(Debug)]
pub(crate) struct Executed {
    response: Response,
    is_request_error: bool,
    cost: Option<u64>,
}

impl Answer {
    pub(super) fn new(mut response: Response, document: &Document, cost: u64, nullability: &Nullability) -> Self {
        let never_ran = response.errors.iter().all(|error| error.path.is_empty());
        let is_request_error = response.data == Value::Null && !response.errors.is_empty() && never_ran;
        if !is_request_error && (!response.errors.is_empty() || document.has_directives) {
            nullability.restore(&document.parsed, &mut response);
        }
        response.errors.truncate(MAX_ERRORS);
        response.errors.iter_mut().for_each(code);
        Self::Executed(Box::new(Executed { response, is_request_error, cost: Some(cost) }))
    }

    pub(crate) fn refused(error: ServerError) -> Self {
        let response = Response::from_errors(vec![error]);
        Self::Executed(Box::new(Executed { response, is_request_error: true, cost: None }))
    }

    /// Whether nothing was executed.
    pub(crate) fn is_request_error(&self) -> bool {
        matches!(self, Self::Executed(executed) if executed.is_request_error)
    }

    /// The errors alone, as a socket sends those of a request that was not executed.
    pub(crate) fn errors(&self) -> &[ServerError] {
        match self {
            Self::Executed(executed) => &executed.response.errors,
            Self::Written(_) => &[],
        }
    }

    /// The whole of it as JSON.
    pub(crate) fn to_json(&self) -> Bytes {
        match self {
            // Writing to memory does not fail, and every key is a text.
            Self::Executed(executed) => serde_json::to_vec(executed).unwrap_or_default().into(),
            Self::Written(json) => json.clone(),
        }
    }
}

/// As clients read it: errors first, where they are seen, and no `data` where nothing was executed. Fields keep the
/// order in which they were asked for.
impl Serialize for Executed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_map(None)?;
        if !self.response.errors.is_empty() {
            answer.serialize_entry("errors", &self.response.errors)?;
        }
        if !self.is_request_error {
            answer.serialize_entry("data", &self.response.data)?;
        }
        if let Some(cost) = self.cost {
            answer.serialize_entry("extensions", &Told { cost })?;
        }
        answer.end()
    }
}

/// What an answer says beside its data.
#[derive(Debug, Serialize)]
struct Told {
    cost: u64,
}
