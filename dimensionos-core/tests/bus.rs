//! The bus within a process passes the cases of every bus.

use dimensionos_core::replicas::LocalBus;

async fn fresh() -> Option<(LocalBus, LocalBus, ())> {
    let bus = LocalBus::new();
    Some((bus.clone(), bus, ()))
}

dimensionos_core::bus_cases!(fresh);
