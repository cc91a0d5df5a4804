use async_graphql::{Context, Object, Result, SimpleObject};

use crate::engine::Asked;
use crate::schema::UInt53;

/// This server.
#[derive(Debug, SimpleObject)]
pub struct ServiceInfo {
    /// What it is called.
    name: &'static str,
    /// Its version.
    version: &'static str,
    /// Seconds since it started.
    uptime_seconds: UInt53,
}

#[derive(Debug, Default)]
pub struct ServiceQuery;

#[Object]
impl ServiceQuery {
    /// Name, version and uptime. Public.
    async fn service(&self, context: &Context<'_>) -> Result<ServiceInfo> {
        let asked = Asked::of(context)?;
        let uptime = asked.platform.clock().now().since(asked.started_at);
        Ok(ServiceInfo {
            name: "DimensionOS",
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: uptime.as_secs().into(),
        })
    }
}
