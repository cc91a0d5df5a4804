//! What the processes on one database tell one another through it: which accounts were changed, and how often what each
//! of them used was added to.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, small_integer, uuid};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let deployment = Table::create()
            .table("deployment")
            .col(small_integer("singleton").primary_key())
            .col(uuid("id"))
            .to_owned();
        manager.create_table(deployment).await?;
        let mut number = ColumnDef::new("number");
        // SQLite gives no number twice only where it is told so, and then takes no other type than this.
        match manager.get_database_backend() {
            DbBackend::Sqlite => number.integer(),
            _ => number.big_integer(),
        };
        let changes = Table::create()
            .table("account_changes")
            .col(number.not_null().auto_increment().primary_key())
            .col(uuid("account_id"))
            .col(uuid("replica"))
            .col(big_integer("written_in"))
            .col(big_integer("changed_at"))
            .to_owned();
        manager.create_table(changes).await?;
        let mut order = Index::create();
        order.name("account_changes_written_in").table("account_changes").col("written_in");
        manager.create_index(order).await?;
        let mut account = Index::create();
        account.name("account_changes_account").table("account_changes").col("account_id");
        manager.create_index(account).await?;
        let mut version = big_integer("version").default(0).to_owned();
        manager.alter_table(Table::alter().table("usage_readings").add_column(&mut version).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("usage_readings").drop_column("version").to_owned()).await?;
        for table in ["account_changes", "deployment"] {
            manager.drop_table(Table::drop().table(table).if_exists().to_owned()).await?;
        }
        Ok(())
    }
}
