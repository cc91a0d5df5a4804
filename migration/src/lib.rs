//! The steps that bring a database to the current schema, in order. A step that has been released is never edited.
#![expect(
    elided_lifetimes_in_paths,
    reason = "sea-orm-migration's macros and signatures leave the lifetime of SchemaManager out"
)]

pub use sea_orm_migration::prelude::{MigrationTrait, MigratorTrait};

mod m20261122_000001_initial;
mod m20261122_000002_identity;
mod m20261123_000003_metering;
mod m20261123_000004_flushes;
mod m20261123_000005_enforcement;
mod m20261123_000006_payments;
mod m20261123_000007_jobs;
mod m20261123_000008_vouchers;
mod m20261123_000009_tier_versions;
mod m20261123_000010_account_order;
mod m20261123_000011_replicas;

/// Applies the steps.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_initial::Migration),
            Box::new(m20261122_000002_identity::Migration),
            Box::new(m20261123_000003_metering::Migration),
            Box::new(m20261123_000004_flushes::Migration),
            Box::new(m20261123_000005_enforcement::Migration),
            Box::new(m20261123_000006_payments::Migration),
            Box::new(m20261123_000007_jobs::Migration),
            Box::new(m20261123_000008_vouchers::Migration),
            Box::new(m20261123_000009_tier_versions::Migration),
            Box::new(m20261123_000010_account_order::Migration),
            Box::new(m20261123_000011_replicas::Migration),
        ]
    }
}
