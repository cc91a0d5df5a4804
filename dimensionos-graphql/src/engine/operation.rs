use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
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
    extensions: Option<serde_json::Map<String, serde_json::Value>>,
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
        let extensions = extensions.map(Extensions::try_from).transpose().map_err(D::Error::custom)?;
        Ok(Self { query, operation_name, variables, extensions })
    }
}

/// What a request says beside its operation; of what other servers read there, this one knows persisted queries alone.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "serde_json::Map<String, serde_json::Value>")]
pub(crate) struct Extensions {
    pub(crate) persisted_query: Option<PersistedQuery>,
}

impl TryFrom<serde_json::Map<String, serde_json::Value>> for Extensions {
    type Error = serde_json::Error;

    fn try_from(mut members: serde_json::Map<String, serde_json::Value>) -> Result<Self, Self::Error> {
        let persisted_query = match members.remove("persistedQuery") {
            None | Some(serde_json::Value::Null) => None,
            Some(object @ serde_json::Value::Object(_)) => Some(serde_json::from_value(object)?),
            Some(_) => return Err(serde_json::Error::custom("persistedQuery is no object")),
        };
        Ok(Self { persisted_query })
    }
}

/// A document by its digest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PersistedQuery {
    pub(crate) version: u64,
    /// SHA-256 of the text, 64 hex digits.
    pub(crate) sha256_hash: String,
}
