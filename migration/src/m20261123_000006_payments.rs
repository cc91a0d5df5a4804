//! What accounts were paid for and told, evidence that was counted, and what is left of trials.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, small_integer_null, string_len, text_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const ACCOUNT_COLUMNS: [&str; 8] =
    ["trial_ends_at", "paid", "cancelled_at", "active_since", "told_status", "notice_step_at", "notice_days", "due_at"];
/// How long every trial was until now.
const TRIAL_MILLIS: i64 = 30 * 86_400_000;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column a statement.
        for mut column in account_columns() {
            manager.alter_table(Table::alter().table("accounts").add_column(&mut column).to_owned()).await?;
        }
        let known = Query::update()
            .table("accounts")
            .value("trial_ends_at", Expr::col("trial_started_at").add(TRIAL_MILLIS))
            .value("active_since", Expr::col("created_at"))
            .to_owned();
        manager.exec_stmt(known).await?;
        manager.create_index(index("accounts_due", "accounts", "due_at")).await?;
        manager.create_table(spent_attestations()).await?;
        manager.create_table(trial_tombstones()).await?;
        manager.create_index(index("trial_tombstones_end", "trial_tombstones", "until")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["trial_tombstones", "spent_attestations"] {
            manager.drop_table(Table::drop().table(table).if_exists().to_owned()).await?;
        }
        manager.drop_index(Index::drop().name("accounts_due").table("accounts").to_owned()).await?;
        for column in ACCOUNT_COLUMNS {
            manager.alter_table(Table::alter().table("accounts").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}

fn account_columns() -> [ColumnDef; 8] {
    let [trial_ends_at, paid, cancelled_at, active_since, told_status, notice_step_at, notice_days, due_at] =
        ACCOUNT_COLUMNS;
    [
        big_integer(trial_ends_at).default(0).to_owned(),
        text_null(paid),
        big_integer_null(cancelled_at),
        big_integer(active_since).default(0).to_owned(),
        string_len(told_status, 16).default("ACTIVE").to_owned(),
        big_integer_null(notice_step_at),
        small_integer_null(notice_days),
        // Every account is looked at once.
        big_integer(due_at).default(0).to_owned(),
    ]
}

fn spent_attestations() -> TableCreateStatement {
    Table::create()
        .table("spent_attestations")
        .col(ColumnDef::new("digest").binary_len(32).not_null().primary_key())
        .col(ColumnDef::new("request").binary_len(32).null())
        .to_owned()
}

fn trial_tombstones() -> TableCreateStatement {
    Table::create()
        .table("trial_tombstones")
        .col(ColumnDef::new("tag").binary_len(32).not_null().primary_key())
        .col(big_integer("until"))
        .to_owned()
}

fn index(name: &'static str, table: &'static str, column: &'static str) -> IndexCreateStatement {
    Index::create().name(name).table(table).col(column).to_owned()
}
