//! The public keys of vouchers, and which vouchers were redeemed: a digest by epoch, and nothing beside it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{integer, string_len};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(voucher_keys()).await?;
        manager.create_table(spent_vouchers()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["spent_vouchers", "voucher_keys"] {
            manager.drop_table(Table::drop().table(table).if_exists().to_owned()).await?;
        }
        Ok(())
    }
}

fn voucher_keys() -> TableCreateStatement {
    Table::create()
        .table("voucher_keys")
        .col(integer("epoch"))
        .col(string_len("tier", 16))
        .col(integer("days"))
        .col(ColumnDef::new("public_key").binary_len(32).not_null())
        .primary_key(Index::create().col("epoch").col("tier").col("days"))
        .to_owned()
}

fn spent_vouchers() -> TableCreateStatement {
    Table::create()
        .table("spent_vouchers")
        .col(integer("epoch"))
        .col(ColumnDef::new("nullifier").binary_len(32).not_null())
        .primary_key(Index::create().col("epoch").col("nullifier"))
        .to_owned()
}
