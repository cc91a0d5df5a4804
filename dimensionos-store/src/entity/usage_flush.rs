use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_flushes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub replica: Uuid,
    pub number: i64,
    pub flushed_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
