//! Documents that are asked for by their digest: remembered once they were sent, or known beforehand and no others.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::ServerError;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::engine::document::{Document, Documents};
use crate::engine::operation::PersistedQuery;
use crate::error::{invalid_request, request_error};

/// SHA-256 of a document's text.
pub(super) type Digest = [u8; 32];

/// Which documents may be executed.
#[derive(Debug, Clone, Default)]
pub enum PersistedQueries {
    /// Any; a digest stands for nothing.
    Off,
    /// Any; one that was sent with its digest may be asked for by that digest alone.
    #[default]
    Automatic,
    /// Those of a list, by text or digest, and no others.
    Only(Arc<AllowList>),
}

/// The documents that may be executed, by their digests.
#[derive(Debug, Default)]
pub struct AllowList(HashMap<Digest, Arc<str>>);

/// Why a list of documents cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AllowListError {
    /// It is neither form.
    #[error("neither an object of documents by their SHA-256, nor a persisted query manifest")]
    Form,
    /// A document has another digest than the one it stands under.
    #[error("{id} is not the SHA-256 of its document")]
    Digest {
        /// Under what it stands.
        id: String,
    },
}

/// The forms in which build tools write such lists.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Manifest { operations: Vec<Entry> },
    Map(HashMap<String, String>),
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    body: String,
}

impl AllowList {
    /// Reads a list: a JSON object of documents by their SHA-256 in hex, as relay-compiler writes it, or a manifest of
    /// operations with `id` and `body`, as Apollo's tools do.
    ///
    /// # Errors
    /// [`AllowListError`]; every digest has to be that of its text.
    pub fn parse(json: &str) -> Result<Self, AllowListError> {
        let written: Written = serde_json::from_str(json).map_err(|_| AllowListError::Form)?;
        let documents: Vec<(String, String)> = match written {
            Written::Manifest { operations } => operations.into_iter().map(|one| (one.id, one.body)).collect(),
            Written::Map(map) => map.into_iter().collect(),
        };
        let entries = documents.into_iter().map(|(id, text)| match read_digest(&id) {
            Some(digest) if digest == sha256(text.as_bytes()) => Ok((digest, text.into())),
            _ => Err(AllowListError::Digest { id }),
        });
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }

    /// How many documents there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none, and nothing may be executed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn sha256(text: &[u8]) -> Digest {
    Sha256::digest(text).into()
}

fn read_digest(hex: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (place, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(digest)
}

/// What a request asks to be executed.
#[derive(Debug)]
pub(super) enum Asked {
    /// A text, to be remembered under a digest where one is given.
    Text(Arc<str>, Option<Digest>),
    /// A document that was remembered.
    Known(Arc<Document>),
}

/// What was remembered, and the rule.
#[derive(Debug)]
pub(super) struct Persisted {
    rule: PersistedQueries,
    known: Documents<Digest>,
}

impl Persisted {
    pub(super) fn new(rule: PersistedQueries, max_bytes: usize) -> Self {
        Self { rule, known: Documents::new(max_bytes) }
    }

    /// What is to be executed.
    ///
    /// # Errors
    /// A digest that is not known, is none, or is another document's; no document at all.
    pub(super) fn find(&self, text: Option<String>, by: Option<&PersistedQuery>) -> Result<Asked, ServerError> {
        let by = by.filter(|_| !matches!(self.rule, PersistedQueries::Off)).map(digest_of).transpose()?;
        let text = text.filter(|text| by.is_none() || !text.is_empty());
        let text: Option<Arc<str>> = text.map(Into::into);
        if let (Some(text), Some(digest)) = (&text, by)
            && sha256(text.as_bytes()) != digest
        {
            return Err(invalid_request("sha256Hash", "the SHA-256 is not that of the document"));
        }
        match (&self.rule, text, by) {
            (PersistedQueries::Only(list), text, by) => {
                let digest = by.or_else(|| text.map(|text| sha256(text.as_bytes())));
                let digest = digest.ok_or_else(no_document)?;
                let allowed = list.0.get(&digest).ok_or_else(not_found)?;
                Ok(Asked::Text(Arc::clone(allowed), None))
            }
            (_, Some(text), by) => Ok(Asked::Text(text, by)),
            (_, None, Some(digest)) => self.known.find(&digest).map(Asked::Known).ok_or_else(not_found),
            (_, None, None) => Err(no_document()),
        }
    }

    pub(super) fn keep(&self, digest: Digest, document: &Arc<Document>) {
        self.known.keep(digest, document);
    }
}

fn digest_of(by: &PersistedQuery) -> Result<Digest, ServerError> {
    if by.version != 1 {
        return Err(invalid_request("version", "the version of persisted queries is 1"));
    }
    read_digest(&by.sha256_hash).ok_or_else(|| invalid_request("sha256Hash", "not 64 hex digits"))
}

fn no_document() -> ServerError {
    invalid_request("query", "there is neither a document nor the digest of one")
}

/// In the words that clients look for before they send the document itself.
fn not_found() -> ServerError {
    request_error("PersistedQueryNotFound", crate::error::PERSISTED_QUERY_NOT_FOUND)
}
