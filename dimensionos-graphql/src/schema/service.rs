use async_graphql::{Context, Enum, Object, Result, SimpleObject};
use dimensionos_core::privacy;

use crate::engine::Asked;
use crate::recipient::AppealRecipient;
use crate::schema::UInt53;
use crate::schema::terms::TermsVersion;

/// What kind of thing a column holds.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "privacy::DataClass")]
pub enum DataClass {
    /// Stands for an account, and leads to nobody without the server's key.
    Pseudonym,
    /// A digest of a secret, from which the secret cannot be had.
    SecretDigest,
    /// What an account may do, and since when.
    Status,
    /// A figure of usage.
    Metric,
    /// A finding about an account's conduct.
    Flag,
    /// Serves the storing itself.
    Technical,
}

/// One column that the server stores: why, and for how long.
#[derive(Debug, SimpleObject)]
pub struct StoredField {
    /// The table.
    table: &'static str,
    /// The column.
    column: String,
    /// What kind of thing it holds.
    class: DataClass,
    /// What for.
    purpose: &'static str,
    /// For how long.
    retention: &'static str,
}

impl From<privacy::StoredField> for StoredField {
    fn from(field: privacy::StoredField) -> Self {
        let privacy::StoredField { table, column, class, purpose, retention } = field;
        Self { table, column, class: class.into(), purpose, retention }
    }
}

/// This server.
#[derive(Debug, SimpleObject)]
pub struct ServiceInfo {
    /// What it is called.
    name: &'static str,
    /// Its version.
    version: &'static str,
    /// Seconds since it started.
    uptime_seconds: UInt53,
    /// Every column it stores.
    stored_data: Vec<StoredField>,
    /// Every version of its terms of service, oldest first.
    terms: Vec<TermsVersion>,
    /// The operators' public key (age, X25519: `age1…`), to which the statement of an appeal is sealed before it is sent;
    /// null where they have named none.
    appeal_recipient: Option<String>,
}

#[derive(Debug, Default)]
pub struct ServiceQuery;

#[Object]
impl ServiceQuery {
    /// Name, version, uptime, and which kinds of data this server stores. Public.
    async fn service(&self, context: &Context<'_>) -> Result<ServiceInfo> {
        let asked = Asked::of(context)?;
        let uptime = asked.platform.clock().now().since(asked.started_at);
        Ok(ServiceInfo {
            name: "DimensionOS",
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: uptime.as_secs().into(),
            terms: asked.platform.terms().versions().iter().map(TermsVersion::from).collect(),
            appeal_recipient: context.data_opt::<AppealRecipient>().map(ToString::to_string),
            stored_data: privacy::stored_data().into_iter().map(StoredField::from).collect(),
        })
    }
}
