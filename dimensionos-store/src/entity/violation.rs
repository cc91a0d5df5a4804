use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "violations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    pub kind: String,
    pub rule: String,
    pub severity: String,
    pub strikes: i64,
    pub policy_version: i64,
    pub decided: String,
    pub sanction: String,
    pub imposed_at: i64,
    pub imposed_by: Option<Uuid>,
    pub ends_at: i64,
    pub is_automated: bool,
    pub detected_at: i64,
    pub lowered_at: Option<i64>,
    pub shadow_version: Option<i64>,
    pub shadow_sanction: Option<String>,
    pub statement: String,
    pub appeal_ground: Option<String>,
    pub appealed_at: Option<i64>,
    pub appeal_statement: Option<String>,
    pub appeal_decided_at: Option<i64>,
    pub appeal_decided_by: Option<Uuid>,
    pub verdict: Option<String>,
    pub complaint: Option<String>,
    pub handled_by: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
