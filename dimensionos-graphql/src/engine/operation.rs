use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// An operation as clients send it, over POST, GET, WebSocket or server-sent events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Operation {
    /// The document; left out where its digest stands for it.
    pub(crate) query: Option<String>,
    pub(crate) operation_name: Option<String>,
    pub(crate) variables: Option<serde_json::Map<String, serde_json::Value>>,
    pub(crate) extensions: Option<Extensions>,
}

impl Operation {
    /// Whether it asks for nothing: it has neither a document nor the digest of one.
    pub(crate) fn is_empty(&self) -> bool {
        let has_digest = self.extensions.as_ref().is_some_and(|extensions| extensions.persisted_query.is_some());
        self.query.is_none() && !has_digest
    }
}

/// Its members, each of which may be left out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    extensions: Option<Extensions>,
}

/// An object, and nothing else: derived, a list of the members in their order would do too.
impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Members, A::Error> {
                Members::deserialize(MapAccessDeserializer::new(members))
            }
        }

        let Members { query, operation_name, variables, extensions } = deserializer.deserialize_map(Object)?;
        Ok(Self { query, operation_name, variables, extensions })
    }
}

/// What a request says beside its operation; of what other servers read there, this one knows persisted queries alone.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Extensions {
    #[serde(default)]
    pub(crate) persisted_query: Option<PersistedQuery>,
}

/// A document by its digest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PersistedQuery {
    pub(crate) version: u64,
    /// SHA-256 of the text, 64 hex digits.
    pub(crate) sha256_hash: String,
}
