//! SQLite and PostgreSQL pass the cases every storage passes.

mod sqlite {
    use dimensionos_store::{Database, testing};

    async fn fresh() -> Option<(Database, impl Sized)> {
        Some(testing::sqlite().await)
    }

    dimensionos_core::conformance_cases!(fresh);
}

mod postgres {
    use dimensionos_store::testing::postgres as fresh;

    dimensionos_core::conformance_cases!(fresh);
}
