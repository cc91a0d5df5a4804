//! How each job went last.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string_len, string_len_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let runs = Table::create()
            .table("job_runs")
            .col(string_len("job", 32).primary_key())
            .col(big_integer("started_at"))
            .col(big_integer("ended_at"))
            .col(string_len("outcome", 16))
            .col(string_len_null("fault", 32))
            .col(big_integer("done"))
            .col(big_integer_null("last_ok_at"))
            .to_owned();
        manager.create_table(runs).await?;
        // The lease of the one job there was; all jobs have one now.
        let former = Query::delete().from_table("job_leases").and_where(Expr::col("job").eq("purge")).to_owned();
        manager.exec_stmt(former).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("job_runs").if_exists().to_owned()).await
    }
}
