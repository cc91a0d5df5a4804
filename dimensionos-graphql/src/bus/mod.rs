//! What servers on one database tell one another over.
//!
//! Within one process it is core's [`LocalBus`](dimensionos_core::replicas::LocalBus); beyond it [`NatsBus`]. Both pass
//! `dimensionos_core::testing::conformance::bus`.

mod nats;
mod reports;

pub use nats::{NatsBus, NatsError, NatsSettings};
pub use reports::ReportStream;
