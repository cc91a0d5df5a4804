use std::collections::HashMap;

use async_trait::async_trait;
use dimensionos_core::allocation::{Decision, Hold, KeyedDecision, LimitOverride};
use dimensionos_core::id::HoldId;
use dimensionos_core::secret::SecretDigest;
use dimensionos_core::store::{Quotas, StoreError};
use dimensionos_core::{AccountId, Timestamp};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use uuid::Uuid;

use crate::entity::{limit_override, quota_decision, quota_hold};
use crate::error::{store_error, unreadable};
use crate::transaction::{SqlTx, ids, signed, unsigned};

/// Keys of one statement, and rows of one: far below what either engine takes parameters for.
const ROWS_PER_STATEMENT: usize = 1_000;

impl TryFrom<quota_hold::Model> for Hold {
    type Error = StoreError;

    fn try_from(row: quota_hold::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: HoldId::from_bits(row.id.as_u128()),
            account: AccountId::from_bits(row.account_id.as_u128()),
            resource: row.resource.parse().map_err(|_| unreadable("resource"))?,
            amount: unsigned(row.amount),
            expires_at: Timestamp::from_millis(row.expires_at),
        })
    }
}

impl TryFrom<quota_decision::Model> for KeyedDecision {
    type Error = StoreError;

    fn try_from(row: quota_decision::Model) -> Result<Self, StoreError> {
        let key = row.key_digest.try_into().map_err(|_| unreadable("key"))?;
        let reason = row.reason.map(|reason| reason.parse().map_err(|_| unreadable("reason"))).transpose()?;
        Ok(Self {
            key: SecretDigest::from_bytes(key),
            account: AccountId::from_bits(row.account_id.as_u128()),
            amount: unsigned(row.amount),
            decision: Decision {
                is_allowed: row.is_allowed,
                resource: row.resource.parse().map_err(|_| unreadable("resource"))?,
                limit: row.limit_amount.map(unsigned),
                used: unsigned(row.used),
                resets_at: row.resets_at.map(Timestamp::from_millis),
                is_over: row.is_over,
                reason,
            },
            expires_at: Timestamp::from_millis(row.expires_at),
        })
    }
}

impl TryFrom<limit_override::Model> for LimitOverride {
    type Error = StoreError;

    fn try_from(row: limit_override::Model) -> Result<Self, StoreError> {
        Ok(Self {
            resource: row.resource.parse().map_err(|_| unreadable("resource"))?,
            limit: unsigned(row.limit_amount),
            until: Timestamp::from_millis(row.until),
        })
    }
}

fn decision_row(decided: &KeyedDecision) -> quota_decision::Model {
    let KeyedDecision { key, account, amount, decision, expires_at } = decided;
    quota_decision::Model {
        key_digest: key.as_bytes().to_vec(),
        account_id: Uuid::from_u128(account.bits()),
        resource: decision.resource.name().to_owned(),
        amount: signed(*amount),
        is_allowed: decision.is_allowed,
        is_over: decision.is_over,
        reason: decision.reason.map(|reason| reason.name().to_owned()),
        limit_amount: decision.limit.map(signed),
        used: signed(decision.used),
        resets_at: decision.resets_at.map(Timestamp::as_millis),
        expires_at: expires_at.as_millis(),
    }
}

#[async_trait]
impl Quotas for SqlTx {
    async fn holds(&mut self, account: AccountId) -> Result<Vec<Hold>, StoreError> {
        let own = quota_hold::Column::AccountId.eq(Uuid::from_u128(account.bits()));
        let select = quota_hold::Entity::find().filter(own).order_by_asc(quota_hold::Column::Id);
        let rows = self.held(select).all(&self.sql).await.map_err(store_error)?;
        rows.into_iter().map(Hold::try_from).collect()
    }

    async fn hold(&mut self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        let select = quota_hold::Entity::find_by_id(Uuid::from_u128(id.bits()));
        let row = self.held(select).one(&self.sql).await.map_err(store_error)?;
        row.map(Hold::try_from).transpose()
    }

    async fn save_hold(&mut self, hold: &Hold) -> Result<(), StoreError> {
        let row = quota_hold::Model {
            id: Uuid::from_u128(hold.id.bits()),
            account_id: Uuid::from_u128(hold.account.bits()),
            resource: hold.resource.name().to_owned(),
            amount: signed(hold.amount),
            expires_at: hold.expires_at.as_millis(),
        };
        let replace = OnConflict::column(quota_hold::Column::Id)
            .update_columns([quota_hold::Column::Amount, quota_hold::Column::ExpiresAt])
            .to_owned();
        let insert = quota_hold::Entity::insert(row.into_active_model()).on_conflict(replace);
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn remove_hold(&mut self, id: HoldId) -> Result<(), StoreError> {
        let id = Uuid::from_u128(id.bits());
        quota_hold::Entity::delete_by_id(id).exec(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn decisions(&mut self, keys: &[SecretDigest]) -> Result<Vec<Option<KeyedDecision>>, StoreError> {
        let mut known = HashMap::new();
        for keys in keys.chunks(ROWS_PER_STATEMENT) {
            let digests = keys.iter().map(|key| key.as_bytes().to_vec());
            let select = quota_decision::Entity::find().filter(quota_decision::Column::KeyDigest.is_in(digests));
            for row in select.all(&self.sql).await.map_err(store_error)? {
                let decided = KeyedDecision::try_from(row)?;
                known.insert(decided.key, decided);
            }
        }
        Ok(keys.iter().map(|key| known.get(key).cloned()).collect())
    }

    async fn decisions_of(&mut self, account: AccountId) -> Result<Vec<KeyedDecision>, StoreError> {
        let own = quota_decision::Column::AccountId.eq(Uuid::from_u128(account.bits()));
        let select = quota_decision::Entity::find().filter(own).order_by_asc(quota_decision::Column::KeyDigest);
        let rows = select.all(&self.sql).await.map_err(store_error)?;
        rows.into_iter().map(KeyedDecision::try_from).collect()
    }

    async fn insert_decisions(&mut self, decisions: &[KeyedDecision]) -> Result<(), StoreError> {
        for decisions in decisions.chunks(ROWS_PER_STATEMENT) {
            let rows = decisions.iter().map(|decided| decision_row(decided).into_active_model());
            let insert = quota_decision::Entity::insert_many(rows);
            insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        }
        Ok(())
    }

    async fn overrides(&mut self, account: AccountId) -> Result<Vec<LimitOverride>, StoreError> {
        let own = limit_override::Column::AccountId.eq(Uuid::from_u128(account.bits()));
        let select = limit_override::Entity::find().filter(own).order_by_asc(limit_override::Column::Resource);
        let rows = select.all(&self.sql).await.map_err(store_error)?;
        rows.into_iter().map(LimitOverride::try_from).collect()
    }

    async fn overrides_of(&mut self, accounts: &[AccountId]) -> Result<Vec<(AccountId, LimitOverride)>, StoreError> {
        let own = limit_override::Column::AccountId.is_in(ids(accounts));
        let select = limit_override::Entity::find().filter(own).order_by_asc(limit_override::Column::Resource);
        let rows = select.all(&self.sql).await.map_err(store_error)?;
        rows.into_iter()
            .map(|row| Ok((AccountId::from_bits(row.account_id.as_u128()), LimitOverride::try_from(row)?)))
            .collect()
    }

    async fn set_override(&mut self, account: AccountId, own: &LimitOverride) -> Result<(), StoreError> {
        let row = limit_override::Model {
            account_id: Uuid::from_u128(account.bits()),
            resource: own.resource.name().to_owned(),
            limit_amount: signed(own.limit),
            until: own.until.as_millis(),
        };
        let replace = OnConflict::columns([limit_override::Column::AccountId, limit_override::Column::Resource])
            .update_columns([limit_override::Column::LimitAmount, limit_override::Column::Until])
            .to_owned();
        let insert = limit_override::Entity::insert(row.into_active_model()).on_conflict(replace);
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn purge_quotas(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let before = before.as_millis();
        let holds = quota_hold::Entity::delete_many().filter(quota_hold::Column::ExpiresAt.lt(before));
        let decisions = quota_decision::Entity::delete_many().filter(quota_decision::Column::ExpiresAt.lt(before));
        let overrides = limit_override::Entity::delete_many().filter(limit_override::Column::Until.lt(before));
        let gone = holds.exec(&self.sql).await.map_err(store_error)?.rows_affected
            + decisions.exec(&self.sql).await.map_err(store_error)?.rows_affected;
        Ok(gone + overrides.exec(&self.sql).await.map_err(store_error)?.rows_affected)
    }
}
