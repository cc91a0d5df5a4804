//! The bus within a process passes the cases of every bus.

use dimensionos_core::replicas::LocalBus;

fn fresh() -> std::future::Ready<Option<(LocalBus, LocalBus, ())>> {
    let bus = LocalBus::new();
    std::future::ready(Some((bus.clone(), bus, ())))
}

dimensionos_core::bus_cases!(fresh);
