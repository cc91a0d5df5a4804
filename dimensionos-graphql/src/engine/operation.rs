use serde::Deserialize;

/// An operation as clients send it, over POST, GET, WebSocket or server-sent events.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operation {
    /// The document; left out where its digest stands for it.
    #[serde(default)]
    pub(crate) query: Option<String>,
    #[serde(default)]
    pub(crate) operation_name: Option<String>,
    #[serde(default)]
    pub(crate) variables: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    pub(crate) extensions: Option<Extensions>,
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
