//! Tiers have versions, each in force from an instant on. What was granted until now is the first, and always was.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string_len};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const FIGURES: [&str; 9] = [
    "cpu_millicores",
    "ram_megabytes",
    "storage_gigabytes",
    "bandwidth_bits_per_second",
    "database",
    "api_calls_per_hour",
    "file_operations_per_hour",
    "price_cents_per_month",
    "trial_days",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut versions = Table::create();
        versions.table("tier_versions").col(string_len("tier", 16)).col(big_integer("version"));
        versions.col(big_integer("effective_from"));
        versions.primary_key(Index::create().col("tier").col("version"));
        manager.create_table(with_figures(versions)).await?;
        let figures = FIGURES.join(", ");
        let copy = format!(
            "INSERT INTO tier_versions (tier, version, effective_from, {figures}) \
             SELECT tier, 1, 0, {figures} FROM tier_allocations"
        );
        manager.get_connection().execute_unprepared(&copy).await?;
        manager.drop_table(Table::drop().table("tier_allocations").to_owned()).await
    }

    /// Keeps what is in force by the database's own clock: the latest of the versions that have begun.
    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut allocations = Table::create();
        allocations.table("tier_allocations").col(string_len("tier", 16).primary_key());
        manager.create_table(with_figures(allocations)).await?;
        let figures = FIGURES.join(", ");
        let now = match manager.get_database_backend() {
            DbBackend::Postgres => "CAST(EXTRACT(EPOCH FROM now()) * 1000 AS BIGINT)",
            _ => "CAST(strftime('%s', 'now') AS INTEGER) * 1000",
        };
        let copy = format!(
            "INSERT INTO tier_allocations (tier, {figures}) SELECT tier, {figures} FROM tier_versions AS kept \
             WHERE version = (SELECT MAX(version) FROM tier_versions AS begun \
             WHERE begun.tier = kept.tier AND begun.effective_from <= {now})"
        );
        manager.get_connection().execute_unprepared(&copy).await?;
        manager.drop_table(Table::drop().table("tier_versions").to_owned()).await
    }
}

fn with_figures(mut table: TableCreateStatement) -> TableCreateStatement {
    for figure in FIGURES {
        table.col(match figure {
            "database" => string_len(figure, 32),
            "trial_days" => big_integer_null(figure),
            _ => big_integer(figure),
        });
    }
    table
}
