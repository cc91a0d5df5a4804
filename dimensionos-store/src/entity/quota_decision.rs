use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "quota_decisions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key_digest: Vec<u8>,
    pub account_id: Uuid,
    pub resource: String,
    pub amount: i64,
    pub is_allowed: bool,
    pub is_over: bool,
    pub reason: Option<String>,
    pub limit_amount: Option<i64>,
    pub used: i64,
    pub resets_at: Option<i64>,
    pub expires_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
