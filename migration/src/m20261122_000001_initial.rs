//! Accounts, sessions, access keys, tiers and usage.
//!
//! Instants are milliseconds since 1970 in UTC, because both engines hold such numbers exactly and in order. Names are
//! written out: what a step did must not change with the code around it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary_len_uniq, double_null, small_integer, string_len, text, uuid,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const LEVELS: [&str; 7] =
    ["cpu_millicores", "ram_bytes", "storage_bytes", "file_count", "connections", "table_count", "record_count"];
const COUNTERS: [&str; 6] =
    ["cpu_microseconds", "bytes_sent", "bytes_received", "database_queries", "api_calls", "file_operations"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables().into_iter().rev() {
            if let Some(name) = table.get_table_name() {
                manager.drop_table(Table::drop().table(name.clone()).if_exists().to_owned()).await?;
            }
        }
        Ok(())
    }
}

fn tables() -> Vec<TableCreateStatement> {
    vec![
        Table::create()
            .table("accounts")
            .col(uuid("id").primary_key())
            .col(binary_len_uniq("anonymous_id", 32))
            .col(big_integer("pepper_id"))
            .col(string_len("tier", 16))
            .col(big_integer("created_at"))
            .col(big_integer("trial_started_at"))
            .col(big_integer("epoch"))
            .to_owned(),
        Table::create()
            .table("passwords")
            .col(uuid("account_id").primary_key())
            .col(text("bcrypt"))
            .col(big_integer("pepper_id"))
            .foreign_key(&mut cascade("passwords", "account_id", "accounts"))
            .to_owned(),
        Table::create()
            .table("sessions")
            .col(uuid("id").primary_key())
            .col(uuid("account_id"))
            .col(big_integer("created_at"))
            .col(big_integer("expires_at"))
            .foreign_key(&mut cascade("sessions", "account_id", "accounts"))
            .to_owned(),
        Table::create()
            .table("refresh_tokens")
            .col(ColumnDef::new("digest").binary_len(32).not_null().primary_key())
            .col(uuid("session_id"))
            .col(big_integer("expires_at"))
            .col(big_integer_null("used_at"))
            .foreign_key(&mut cascade("refresh_tokens", "session_id", "sessions"))
            .to_owned(),
        Table::create()
            .table("access_keys")
            .col(uuid("id").primary_key())
            .col(string_len("role", 16))
            .col(string_len("name", 64))
            .col(binary_len_uniq("digest", 32))
            .col(big_integer("created_at"))
            .to_owned(),
        Table::create()
            .table("tier_allocations")
            .col(string_len("tier", 16).primary_key())
            .col(big_integer("cpu_millicores"))
            .col(big_integer("ram_megabytes"))
            .col(big_integer("storage_gigabytes"))
            .col(big_integer("bandwidth_bits_per_second"))
            .col(string_len("database", 32))
            .col(big_integer("api_calls_per_hour"))
            .col(big_integer("file_operations_per_hour"))
            .col(big_integer("price_cents_per_month"))
            .col(big_integer_null("trial_days"))
            .to_owned(),
        Table::create()
            .table("usage_sources")
            .col(uuid("agent_id"))
            .col(string_len("name", 64))
            .col(text("state"))
            .primary_key(Index::create().col("agent_id").col("name"))
            .to_owned(),
        usage_rollups(),
        usage_readings(),
    ]
}

/// What an account used, by minute, hour and day; a column is null where nobody measured.
fn usage_rollups() -> TableCreateStatement {
    let mut table = Table::create();
    table.table("usage_rollups").col(uuid("account_id")).col(small_integer("resolution"));
    table.col(big_integer("bucket_start"));
    for level in LEVELS {
        table.col(double_null(format!("{level}_sum")));
        table.col(big_integer_null(format!("{level}_count")));
        table.col(big_integer_null(format!("{level}_peak")));
    }
    for counter in COUNTERS {
        table.col(big_integer_null(counter));
    }
    table.primary_key(Index::create().col("account_id").col("resolution").col("bucket_start"));
    table
}

/// The newest reading of each level, and when it was taken.
fn usage_readings() -> TableCreateStatement {
    let mut table = Table::create();
    table.table("usage_readings").col(uuid("account_id").primary_key());
    for level in LEVELS {
        table.col(big_integer_null(level)).col(big_integer_null(format!("{level}_at")));
    }
    table
}

fn indexes() -> Vec<IndexCreateStatement> {
    let index = |name: &'static str, table: &'static str, columns: &[&'static str]| {
        let mut index = Index::create();
        index.name(name).table(table);
        columns.iter().for_each(|column| {
            index.col(*column);
        });
        index
    };
    vec![
        index("sessions_account", "sessions", &["account_id"]),
        index("sessions_expiry", "sessions", &["expires_at"]),
        index("refresh_tokens_session", "refresh_tokens", &["session_id"]),
        index("refresh_tokens_expiry", "refresh_tokens", &["expires_at"]),
        index("access_keys_name", "access_keys", &["role", "name"]).unique().to_owned(),
        index("usage_rollups_age", "usage_rollups", &["resolution", "bucket_start"]),
    ]
}

fn cascade(table: &'static str, column: &'static str, parent: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{table}_{column}"))
        .from(table, column)
        .to(parent, "id")
        .on_delete(ForeignKeyAction::Cascade)
        .to_owned()
}
