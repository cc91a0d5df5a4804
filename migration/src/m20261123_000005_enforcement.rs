//! What was found against accounts and what followed, the policies that decide it, and the state of the detectors.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, string_len, string_len_null, text, text_null, uuid, uuid_null,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const NEW_TABLES: [&str; 3] = ["violations", "enforcement_policies", "detector_states"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut restrictions = text_null("restrictions");
        manager.alter_table(Table::alter().table("accounts").add_column(&mut restrictions).to_owned()).await?;
        for table in [violations(), enforcement_policies(), detector_states()] {
            manager.create_table(table).await?;
        }
        let index = |name: &'static str, columns: [&'static str; 2]| {
            Index::create().name(name).table("violations").col(columns[0]).col(columns[1]).to_owned()
        };
        manager.create_index(index("violations_account", ["account_id", "detected_at"])).await?;
        manager.create_index(index("violations_found", ["detected_at", "id"])).await?;
        manager.create_index(index("violations_kind", ["kind", "detected_at"])).await?;
        manager.create_index(Index::create().name("violations_end").table("violations").col("ends_at").to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in NEW_TABLES {
            manager.drop_table(Table::drop().table(table).if_exists().to_owned()).await?;
        }
        manager.alter_table(Table::alter().table("accounts").drop_column("restrictions").to_owned()).await
    }
}

fn violations() -> TableCreateStatement {
    Table::create()
        .table("violations")
        .col(uuid("id").primary_key())
        .col(uuid("account_id"))
        .col(string_len("kind", 24))
        .col(string_len("rule", 40))
        .col(string_len("severity", 10))
        .col(big_integer("strikes"))
        .col(big_integer("policy_version"))
        .col(string_len("decided", 10))
        .col(string_len("sanction", 10))
        .col(big_integer("imposed_at"))
        .col(uuid_null("imposed_by"))
        .col(big_integer("ends_at"))
        .col(boolean("is_automated"))
        .col(big_integer("detected_at"))
        .col(big_integer_null("lowered_at"))
        .col(big_integer_null("shadow_version"))
        .col(string_len_null("shadow_sanction", 10))
        .col(text("statement"))
        .col(string_len_null("appeal_ground", 20))
        .col(big_integer_null("appealed_at"))
        .col(text_null("appeal_statement"))
        .col(big_integer_null("appeal_decided_at"))
        .col(uuid_null("appeal_decided_by"))
        .col(string_len_null("verdict", 10))
        .col(text_null("complaint"))
        .col(text_null("handled_by"))
        .foreign_key(&mut of_account("violations"))
        .to_owned()
}

fn enforcement_policies() -> TableCreateStatement {
    Table::create()
        .table("enforcement_policies")
        .col(big_integer("version").primary_key())
        .col(boolean("is_shadow"))
        .col(big_integer("applied_at"))
        .col(text("policy"))
        .to_owned()
}

fn detector_states() -> TableCreateStatement {
    Table::create()
        .table("detector_states")
        .col(uuid("account_id").primary_key())
        .col(ColumnDef::new("state").blob().not_null())
        .foreign_key(&mut of_account("detector_states"))
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
