//! `MemoryStore` passes the cases every storage passes.

use dimensionos_core::MemoryStore;

#[expect(clippy::unused_async, reason = "other stores are made asynchronously")]
async fn fresh() -> Option<(MemoryStore, ())> {
    Some((MemoryStore::new(), ()))
}

dimensionos_core::conformance_cases!(fresh);
