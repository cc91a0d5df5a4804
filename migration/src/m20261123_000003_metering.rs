//! When an account was last measured, what is granted and reserved of its quotas, limits of its own, and which server
//! does the jobs.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, string_len, string_len_null, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const NEW_TABLES: [&str; 4] = ["quota_holds", "quota_decisions", "limit_overrides", "job_leases"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut newest = big_integer_null("newest_at");
        manager.alter_table(Table::alter().table("usage_readings").add_column(&mut newest).to_owned()).await?;
        for table in [quota_holds(), quota_decisions(), limit_overrides(), job_leases()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in NEW_TABLES {
            manager.drop_table(Table::drop().table(table).if_exists().to_owned()).await?;
        }
        manager.alter_table(Table::alter().table("usage_readings").drop_column("newest_at").to_owned()).await
    }
}

fn quota_holds() -> TableCreateStatement {
    Table::create()
        .table("quota_holds")
        .col(uuid("id").primary_key())
        .col(uuid("account_id"))
        .col(string_len("resource", 20))
        .col(big_integer("amount"))
        .col(big_integer("expires_at"))
        .foreign_key(&mut of_account("quota_holds"))
        .to_owned()
}

fn quota_decisions() -> TableCreateStatement {
    Table::create()
        .table("quota_decisions")
        .col(ColumnDef::new("key_digest").binary_len(32).not_null().primary_key())
        .col(uuid("account_id"))
        .col(string_len("resource", 20))
        .col(big_integer("amount"))
        .col(boolean("is_allowed"))
        .col(boolean("is_over"))
        .col(string_len_null("reason", 32))
        .col(big_integer_null("limit_amount"))
        .col(big_integer("used"))
        .col(big_integer_null("resets_at"))
        .col(big_integer("expires_at"))
        .foreign_key(&mut of_account("quota_decisions"))
        .to_owned()
}

fn limit_overrides() -> TableCreateStatement {
    Table::create()
        .table("limit_overrides")
        .col(uuid("account_id"))
        .col(string_len("resource", 20))
        .col(big_integer("limit_amount"))
        .col(big_integer("until"))
        .primary_key(Index::create().col("account_id").col("resource"))
        .foreign_key(&mut of_account("limit_overrides"))
        .to_owned()
}

fn job_leases() -> TableCreateStatement {
    Table::create()
        .table("job_leases")
        .col(string_len("job", 32).primary_key())
        .col(uuid("holder"))
        .col(big_integer("expires_at"))
        .to_owned()
}

fn of_account(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{table}_account"))
        .from(table, "account_id")
        .to("accounts", "id")
        .on_delete(ForeignKeyAction::Cascade)
        .to_owned()
}

fn indexes() -> [IndexCreateStatement; 5] {
    let index = |name: &'static str, table: &'static str, column: &'static str| {
        Index::create().name(name).table(table).col(column).to_owned()
    };
    [
        index("quota_holds_account", "quota_holds", "account_id"),
        index("quota_holds_expiry", "quota_holds", "expires_at"),
        index("quota_decisions_account", "quota_decisions", "account_id"),
        index("quota_decisions_expiry", "quota_decisions", "expires_at"),
        index("limit_overrides_end", "limit_overrides", "until"),
    ]
}
