use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tier_versions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tier: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    pub effective_from: i64,
    pub cpu_millicores: i64,
    pub ram_megabytes: i64,
    pub storage_gigabytes: i64,
    pub bandwidth_bits_per_second: i64,
    pub database: String,
    pub api_calls_per_hour: i64,
    pub file_operations_per_hour: i64,
    pub price_cents_per_month: i64,
    pub trial_days: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
