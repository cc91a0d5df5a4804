use async_trait::async_trait;
use dimensionos_core::auth::{RefreshRecord, Session};
use dimensionos_core::id::SessionId;
use dimensionos_core::secret::SecretDigest;
use dimensionos_core::store::{Sessions, StoreError};
use dimensionos_core::{AccountId, Timestamp};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use uuid::Uuid;

use crate::entity::{refresh_token, session};
use crate::error::{store_error, unreadable};
use crate::transaction::{SqlTx, ids};

impl From<session::Model> for Session {
    fn from(row: session::Model) -> Self {
        Self {
            id: SessionId::from_bits(row.id.as_u128()),
            account: AccountId::from_bits(row.account_id.as_u128()),
            created_at: Timestamp::from_millis(row.created_at),
            expires_at: Timestamp::from_millis(row.expires_at),
            authenticated_at: Timestamp::from_millis(row.authenticated_at),
        }
    }
}

impl TryFrom<refresh_token::Model> for RefreshRecord {
    type Error = StoreError;

    fn try_from(row: refresh_token::Model) -> Result<Self, StoreError> {
        Ok(Self {
            digest: SecretDigest::from_bytes(row.digest.try_into().map_err(|_| unreadable("token digest"))?),
            session: SessionId::from_bits(row.session_id.as_u128()),
            expires_at: Timestamp::from_millis(row.expires_at),
            used_at: row.used_at.map(Timestamp::from_millis),
        })
    }
}

#[async_trait]
impl Sessions for SqlTx {
    async fn insert_session(&mut self, session: &Session) -> Result<(), StoreError> {
        let row = session::Model {
            id: Uuid::from_u128(session.id.bits()),
            account_id: Uuid::from_u128(session.account.bits()),
            created_at: session.created_at.as_millis(),
            expires_at: session.expires_at.as_millis(),
            authenticated_at: session.authenticated_at.as_millis(),
        };
        let insert = session::Entity::insert(row.into_active_model());
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn session(&mut self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let select = self.held(session::Entity::find_by_id(Uuid::from_u128(id.bits())));
        Ok(select.one(&self.sql).await.map_err(store_error)?.map(Session::from))
    }

    async fn sessions(&mut self, account: AccountId) -> Result<Vec<Session>, StoreError> {
        self.sessions_of(&[account]).await
    }

    async fn sessions_of(&mut self, accounts: &[AccountId]) -> Result<Vec<Session>, StoreError> {
        let select = session::Entity::find()
            .filter(session::Column::AccountId.is_in(ids(accounts)))
            .order_by_asc(session::Column::CreatedAt)
            .order_by_asc(session::Column::Id);
        let rows = select.all(&self.sql).await.map_err(store_error)?;
        Ok(rows.into_iter().map(Session::from).collect())
    }

    async fn extend_session(&mut self, id: SessionId, expires_at: Timestamp) -> Result<(), StoreError> {
        session::Entity::update_many()
            .col_expr(session::Column::ExpiresAt, Expr::value(expires_at.as_millis()))
            .filter(session::Column::Id.eq(Uuid::from_u128(id.bits())))
            .exec(&self.sql)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn mark_authenticated(&mut self, id: SessionId, at: Timestamp) -> Result<(), StoreError> {
        session::Entity::update_many()
            .col_expr(session::Column::AuthenticatedAt, Expr::value(at.as_millis()))
            .filter(session::Column::Id.eq(Uuid::from_u128(id.bits())))
            .exec(&self.sql)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    // Refresh tokens go with their session: the foreign key cascades.
    async fn end_session(&mut self, id: SessionId) -> Result<(), StoreError> {
        session::Entity::delete_by_id(Uuid::from_u128(id.bits())).exec(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn end_sessions(&mut self, account: AccountId) -> Result<(), StoreError> {
        session::Entity::delete_many()
            .filter(session::Column::AccountId.eq(Uuid::from_u128(account.bits())))
            .exec(&self.sql)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn purge_sessions(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        refresh_token::Entity::delete_many()
            .filter(refresh_token::Column::ExpiresAt.lt(before.as_millis()))
            .exec(&self.sql)
            .await
            .map_err(store_error)?;
        let sessions = session::Entity::delete_many().filter(session::Column::ExpiresAt.lt(before.as_millis()));
        Ok(sessions.exec(&self.sql).await.map_err(store_error)?.rows_affected)
    }

    async fn insert_refresh(&mut self, record: &RefreshRecord) -> Result<(), StoreError> {
        let row = refresh_token::Model {
            digest: record.digest.as_bytes().to_vec(),
            session_id: Uuid::from_u128(record.session.bits()),
            expires_at: record.expires_at.as_millis(),
            used_at: record.used_at.map(Timestamp::as_millis),
        };
        let insert = refresh_token::Entity::insert(row.into_active_model());
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn refresh(&mut self, digest: &SecretDigest) -> Result<Option<RefreshRecord>, StoreError> {
        let select = self.held(refresh_token::Entity::find_by_id(digest.as_bytes().to_vec()));
        select.one(&self.sql).await.map_err(store_error)?.map(RefreshRecord::try_from).transpose()
    }

    async fn refreshes(&mut self, account: AccountId) -> Result<Vec<RefreshRecord>, StoreError> {
        let own = Query::select()
            .column(session::Column::Id)
            .from(session::Entity)
            .and_where(session::Column::AccountId.eq(Uuid::from_u128(account.bits())))
            .to_owned();
        let select = refresh_token::Entity::find()
            .filter(refresh_token::Column::SessionId.in_subquery(own))
            .order_by_asc(refresh_token::Column::ExpiresAt);
        let rows = select.all(&self.sql).await.map_err(store_error)?;
        rows.into_iter().map(RefreshRecord::try_from).collect()
    }

    async fn mark_refresh_used(&mut self, digest: &SecretDigest, at: Timestamp) -> Result<(), StoreError> {
        refresh_token::Entity::update_many()
            .col_expr(refresh_token::Column::UsedAt, Expr::value(at.as_millis()))
            .filter(refresh_token::Column::Digest.eq(digest.as_bytes().to_vec()))
            .exec(&self.sql)
            .await
            .map_err(store_error)?;
        Ok(())
    }
}
