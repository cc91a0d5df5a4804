//! Which flush of usage of each process was the last to take effect.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let flushes = Table::create()
            .table("usage_flushes")
            .col(uuid("replica").primary_key())
            .col(big_integer("number"))
            .col(big_integer("flushed_at"))
            .to_owned();
        manager.create_table(flushes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("usage_flushes").if_exists().to_owned()).await
    }
}
