use async_trait::async_trait;
use dimensionos_core::AccountId;
use dimensionos_core::Timestamp;
use dimensionos_core::auth::{KeyId, PasswordHash};
use dimensionos_core::store::{Accounts, StoreError};
use dimensionos_core::users::{Account, AnonymousId};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use uuid::Uuid;

use crate::entity::{account, password};
use crate::error::{store_error, unreadable};
use crate::transaction::{SqlTx, signed, unsigned};

impl From<&Account> for account::Model {
    fn from(account: &Account) -> Self {
        Self {
            id: Uuid::from_u128(account.id.bits()),
            anonymous_id: account.anonymous_id.as_bytes().to_vec(),
            pepper_id: account.pepper.bits().cast_signed(),
            tier: account.tier.name().to_owned(),
            created_at: account.created_at.as_millis(),
            trial_started_at: account.trial_started_at.as_millis(),
            epoch: signed(account.epoch),
        }
    }
}

impl TryFrom<account::Model> for Account {
    type Error = StoreError;

    fn try_from(row: account::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: AccountId::from_bits(row.id.as_u128()),
            anonymous_id: AnonymousId::from_bytes(row.anonymous_id.try_into().map_err(|_| unreadable("tag"))?),
            pepper: KeyId::from_bits(row.pepper_id.cast_unsigned()),
            tier: row.tier.parse().map_err(|_| unreadable("tier"))?,
            created_at: Timestamp::from_millis(row.created_at),
            trial_started_at: Timestamp::from_millis(row.trial_started_at),
            epoch: unsigned(row.epoch),
        })
    }
}

#[async_trait]
impl Accounts for SqlTx {
    async fn insert_account(&mut self, account: &Account) -> Result<(), StoreError> {
        let row = account::Model::from(account).into_active_model();
        account::Entity::insert(row).exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn update_account(&mut self, account: &Account) -> Result<(), StoreError> {
        let row = account::Model::from(account).into_active_model().reset_all();
        account::Entity::update_many()
            .set(row)
            .filter(account::Column::Id.eq(Uuid::from_u128(account.id.bits())))
            .exec(&self.sql)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn account(&mut self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let select = self.held(account::Entity::find_by_id(Uuid::from_u128(id.bits())));
        select.one(&self.sql).await.map_err(store_error)?.map(Account::try_from).transpose()
    }

    async fn account_by_tag(&mut self, tags: &[AnonymousId]) -> Result<Option<Account>, StoreError> {
        let tags = tags.iter().map(|tag| tag.as_bytes().to_vec());
        let select = self.held(account::Entity::find().filter(account::Column::AnonymousId.is_in(tags)));
        select.one(&self.sql).await.map_err(store_error)?.map(Account::try_from).transpose()
    }

    async fn set_password(&mut self, account: AccountId, hash: &PasswordHash) -> Result<(), StoreError> {
        let row = password::Model {
            account_id: Uuid::from_u128(account.bits()),
            bcrypt: hash.bcrypt.clone(),
            pepper_id: hash.pepper.bits().cast_signed(),
        };
        let replace = OnConflict::column(password::Column::AccountId)
            .update_columns([password::Column::Bcrypt, password::Column::PepperId])
            .to_owned();
        let insert = password::Entity::insert(row.into_active_model()).on_conflict(replace);
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn password(&mut self, account: AccountId) -> Result<Option<PasswordHash>, StoreError> {
        let select = self.held(password::Entity::find_by_id(Uuid::from_u128(account.bits())));
        let row = select.one(&self.sql).await.map_err(store_error)?;
        Ok(row.map(|row| PasswordHash { bcrypt: row.bcrypt, pepper: KeyId::from_bits(row.pepper_id.cast_unsigned()) }))
    }
}
