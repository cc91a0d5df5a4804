//! The order in which accounts are listed: newest first, of all tiers and of one.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut created = Index::create();
        created.name("accounts_created").table("accounts").col("created_at").col("id");
        manager.create_index(created).await?;
        let mut of_tier = Index::create();
        of_tier.name("accounts_tier").table("accounts").col("tier").col("created_at").col("id");
        manager.create_index(of_tier).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("accounts_tier").table("accounts").to_owned()).await?;
        manager.drop_index(Index::drop().name("accounts_created").table("accounts").to_owned()).await
    }
}
