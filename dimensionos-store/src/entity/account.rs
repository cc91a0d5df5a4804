use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub anonymous_id: Vec<u8>,
    pub pepper_id: i64,
    pub tier: String,
    pub created_at: i64,
    pub trial_started_at: i64,
    pub epoch: i64,
    pub operator_status: Option<String>,
    pub operator_status_at: Option<i64>,
    pub operator_status_note: Option<String>,
    pub restrictions: Option<String>,
    pub terms_version: Option<String>,
    pub terms_accepted_at: Option<i64>,
    pub subject_seed: Option<Vec<u8>>,
    pub trial_ends_at: i64,
    pub paid: Option<String>,
    pub cancelled_at: Option<i64>,
    pub active_since: i64,
    pub told_status: String,
    pub notice_step_at: Option<i64>,
    pub notice_days: Option<i16>,
    pub due_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
