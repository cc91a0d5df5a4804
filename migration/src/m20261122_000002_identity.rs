//! What an operator decided, which terms were accepted, recovery codes, and when a password was last checked.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string_len_null, text_null, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column a statement.
        for column in account_columns() {
            let mut column = column;
            manager.alter_table(Table::alter().table("accounts").add_column(&mut column).to_owned()).await?;
        }
        let mut checked = big_integer("authenticated_at").default(0).to_owned();
        manager.alter_table(Table::alter().table("sessions").add_column(&mut checked).to_owned()).await?;
        // Whoever registered before terms had versions did so under the first.
        let accepted = Query::update()
            .table("accounts")
            .value("terms_version", "1")
            .value("terms_accepted_at", Expr::col("created_at"))
            .to_owned();
        manager.exec_stmt(accepted).await?;
        manager.create_table(recovery_codes()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("recovery_codes").if_exists().to_owned()).await?;
        manager.alter_table(Table::alter().table("sessions").drop_column("authenticated_at").to_owned()).await?;
        for column in ACCOUNT_COLUMNS {
            manager.alter_table(Table::alter().table("accounts").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}

const ACCOUNT_COLUMNS: [&str; 6] = [
    "operator_status",
    "operator_status_at",
    "operator_status_note",
    "terms_version",
    "terms_accepted_at",
    "subject_seed",
];

fn account_columns() -> [ColumnDef; 6] {
    let [status, status_at, note, terms, accepted_at, seed] = ACCOUNT_COLUMNS;
    [
        string_len_null(status, 16),
        big_integer_null(status_at),
        text_null(note),
        string_len_null(terms, 32),
        big_integer_null(accepted_at),
        ColumnDef::new(seed).binary_len(32).null().to_owned(),
    ]
}

fn recovery_codes() -> TableCreateStatement {
    Table::create()
        .table("recovery_codes")
        .col(uuid("account_id"))
        .col(ColumnDef::new("digest").binary_len(32).not_null())
        .primary_key(Index::create().col("account_id").col("digest"))
        .foreign_key(
            ForeignKey::create()
                .name("recovery_codes_account_id")
                .from("recovery_codes", "account_id")
                .to("accounts", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}
