use std::sync::LazyLock;

use async_trait::async_trait;
use dimensionos_core::AccountId;
use dimensionos_core::Timestamp;
use dimensionos_core::allocation::TierName;
use dimensionos_core::auth::{KeyId, PasswordHash};
use dimensionos_core::payment::{Notice, Paid, Told};
use dimensionos_core::secret::SecretDigest;
use dimensionos_core::store::{Accounts, StoreError};
use dimensionos_core::tos::Restriction;
use dimensionos_core::users::{Account, AccountPlace, AnonymousId, OperatorStatus, SealedSeed, TermsAcceptance};
use sea_orm::sea_query::{ArrayType, Expr, ExprTrait, OnConflict, Value};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Statement,
};
use uuid::Uuid;

use crate::entity::{account, password, recovery_code};
use crate::error::{store_error, unreadable};
use crate::transaction::{SqlTx, ids, signed, unsigned};

impl From<&Account> for account::Model {
    fn from(account: &Account) -> Self {
        let decided = account.operator_status.as_ref();
        let accepted = account.terms.as_ref();
        Self {
            id: Uuid::from_u128(account.id.bits()),
            anonymous_id: account.anonymous_id.as_bytes().to_vec(),
            pepper_id: account.pepper.bits().cast_signed(),
            tier: account.tier.name().to_owned(),
            created_at: account.created_at.as_millis(),
            trial_started_at: account.trial_started_at.as_millis(),
            epoch: signed(account.epoch),
            operator_status: decided.map(|decided| decided.status.name().to_owned()),
            operator_status_at: decided.map(|decided| decided.since.as_millis()),
            operator_status_note: decided.map(|decided| decided.note.as_str().to_owned()),
            restrictions: (!account.restrictions.is_empty()).then(|| Restriction::to_text(&account.restrictions)),
            terms_version: accepted.map(|accepted| accepted.version.to_string()),
            terms_accepted_at: accepted.map(|accepted| accepted.accepted_at.as_millis()),
            subject_seed: account.subject_seed.as_ref().map(|seed| seed.as_bytes().to_vec()),
            trial_ends_at: account.trial_ends_at.as_millis(),
            paid: account.paid.to_text(),
            cancelled_at: account.cancelled_at.map(Timestamp::as_millis),
            active_since: account.active_since.as_millis(),
            told_status: account.told.status.name().to_owned(),
            notice_step_at: account.told.notice.map(|notice| notice.step_at.as_millis()),
            notice_days: account.told.notice.map(|notice| notice.days.into()),
            due_at: account.told.due_at.as_millis(),
        }
    }
}

impl TryFrom<account::Model> for Account {
    type Error = StoreError;

    fn try_from(mut row: account::Model) -> Result<Self, StoreError> {
        let seed = row.subject_seed.take().map(<[u8; 32]>::try_from).transpose();
        Ok(Self {
            id: AccountId::from_bits(row.id.as_u128()),
            operator_status: operator_status(&row)?,
            restrictions: restrictions(&row)?,
            paid: Paid::from_text(row.paid.as_deref()).ok_or(unreadable("payments"))?,
            cancelled_at: row.cancelled_at.map(Timestamp::from_millis),
            active_since: Timestamp::from_millis(row.active_since),
            told: told(&row)?,
            trial_ends_at: Timestamp::from_millis(row.trial_ends_at),
            terms: acceptance(&row)?,
            anonymous_id: AnonymousId::from_bytes(row.anonymous_id.try_into().map_err(|_| unreadable("tag"))?),
            pepper: KeyId::from_bits(row.pepper_id.cast_unsigned()),
            tier: row.tier.parse().map_err(|_| unreadable("tier"))?,
            created_at: Timestamp::from_millis(row.created_at),
            trial_started_at: Timestamp::from_millis(row.trial_started_at),
            epoch: unsigned(row.epoch),
            subject_seed: seed.map_err(|_| unreadable("seed"))?.map(SealedSeed::from_bytes),
        })
    }
}

fn operator_status(row: &account::Model) -> Result<Option<OperatorStatus>, StoreError> {
    match (&row.operator_status, row.operator_status_at, &row.operator_status_note) {
        (Some(status), Some(since), Some(note)) => Ok(Some(OperatorStatus {
            status: status.parse().map_err(|_| unreadable("status"))?,
            since: Timestamp::from_millis(since),
            note: note.parse().map_err(|_| unreadable("note of a status"))?,
        })),
        (None, None, None) => Ok(None),
        _ => Err(unreadable("status")),
    }
}

fn told(row: &account::Model) -> Result<Told, StoreError> {
    let notice = match (row.notice_step_at, row.notice_days.map(u8::try_from)) {
        (Some(step_at), Some(Ok(days))) => Some(Notice { step_at: Timestamp::from_millis(step_at), days }),
        (None, None) => None,
        _ => return Err(unreadable("notice")),
    };
    let status = row.told_status.parse().map_err(|_| unreadable("status"))?;
    Ok(Told { status, notice, due_at: Timestamp::from_millis(row.due_at) })
}

fn restrictions(row: &account::Model) -> Result<Vec<Restriction>, StoreError> {
    match &row.restrictions {
        None => Ok(Vec::new()),
        Some(text) => Restriction::from_text(text).ok_or(unreadable("restrictions")),
    }
}

fn acceptance(row: &account::Model) -> Result<Option<TermsAcceptance>, StoreError> {
    match (&row.terms_version, row.terms_accepted_at) {
        (Some(version), Some(at)) => Ok(Some(TermsAcceptance {
            version: version.parse().map_err(|_| unreadable("version of the terms"))?,
            accepted_at: Timestamp::from_millis(at),
        })),
        (None, None) => Ok(None),
        _ => Err(unreadable("acceptance of the terms")),
    }
}

/// Accounts that one of SQLite's statements asks for: its text never changes, so that it is prepared once.
const ACCOUNTS_PER_STATEMENT: [usize; 3] = [1, 16, 256];

static SELECT_MISSING: LazyLock<[String; 3]> = LazyLock::new(|| {
    ACCOUNTS_PER_STATEMENT.map(|count| {
        let asked = vec!["(?)"; count].join(", ");
        format!(
            "WITH asked (id) AS (VALUES {asked}) SELECT id FROM asked \
             WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.id = asked.id)"
        )
    })
});

const READ_MISSING: &str = "SELECT asked.id FROM UNNEST($1::uuid[]) AS asked (id) \
     WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.id = asked.id)";
/// The same, and those that are there stay: the lock is the one that a foreign key takes, and in nobody's way but whose
/// who removes the row.
const HOLD_MISSING: &str = "SELECT asked.id FROM UNNEST($1::uuid[]) AS asked (id) \
     WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.id = asked.id FOR KEY SHARE)";

impl SqlTx {
    /// The statements that find which of these accounts are not there.
    fn find_missing(&self, accounts: &[AccountId]) -> Vec<Statement> {
        let backend = self.sql.get_database_backend();
        let value = |account: &AccountId| Value::from(Uuid::from_u128(account.bits()));
        if accounts.is_empty() {
            return Vec::new();
        }
        if backend == DbBackend::Postgres {
            let text = if self.is_writing() { HOLD_MISSING } else { READ_MISSING };
            let asked = Value::Array(ArrayType::Uuid, Some(Box::new(accounts.iter().map(value).collect())));
            return vec![Statement::from_sql_and_values(backend, text, [asked])];
        }
        let [.., most] = ACCOUNTS_PER_STATEMENT;
        let statement = |accounts: &[AccountId]| {
            let (size, text) =
                ACCOUNTS_PER_STATEMENT.iter().zip(&*SELECT_MISSING).find(|(size, _)| **size >= accounts.len())?;
            let asked = accounts.iter().chain(std::iter::repeat(accounts.last()?)).take(*size);
            Some(Statement::from_sql_and_values(backend, text, asked.map(value).collect::<Vec<_>>()))
        };
        accounts.chunks(most).filter_map(statement).collect()
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

    async fn accounts(&mut self, accounts: &[AccountId]) -> Result<Vec<Account>, StoreError> {
        let select = self.held(account::Entity::find().filter(account::Column::Id.is_in(ids(accounts))));
        let rows = select.all(&self.sql).await.map_err(store_error)?;
        rows.into_iter().map(Account::try_from).collect()
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

    async fn set_recovery_codes(&mut self, account: AccountId, digests: &[SecretDigest]) -> Result<(), StoreError> {
        let account_id = Uuid::from_u128(account.bits());
        let before = recovery_code::Entity::delete_many().filter(recovery_code::Column::AccountId.eq(account_id));
        before.exec(&self.sql).await.map_err(store_error)?;
        if digests.is_empty() {
            return Ok(());
        }
        let row = |digest: &SecretDigest| recovery_code::Model { account_id, digest: digest.as_bytes().to_vec() };
        let rows = digests.iter().map(|digest| row(digest).into_active_model());
        recovery_code::Entity::insert_many(rows).exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn use_recovery_code(&mut self, account: AccountId, digest: &SecretDigest) -> Result<bool, StoreError> {
        let key = (Uuid::from_u128(account.bits()), digest.as_bytes().to_vec());
        let deleted = recovery_code::Entity::delete_by_id(key).exec(&self.sql).await.map_err(store_error)?;
        Ok(deleted.rows_affected > 0)
    }

    async fn recovery_code_count(&mut self, account: AccountId) -> Result<u64, StoreError> {
        let codes = recovery_code::Entity::find();
        let codes = codes.filter(recovery_code::Column::AccountId.eq(Uuid::from_u128(account.bits())));
        codes.count(&self.sql).await.map_err(store_error)
    }

    async fn missing_accounts(&mut self, accounts: &[AccountId]) -> Result<Vec<AccountId>, StoreError> {
        let mut missing = Vec::new();
        for statement in self.find_missing(accounts) {
            for row in self.sql.query_all_raw(statement).await.map_err(store_error)? {
                let id: Uuid = row.try_get_by_index(0).map_err(store_error)?;
                missing.push(AccountId::from_bits(id.as_u128()));
            }
        }
        // What fills a statement of a fixed length up stands in it more than once.
        missing.dedup();
        Ok(missing)
    }

    // Passwords, codes, sessions and refresh tokens go with their account: the foreign keys cascade.
    async fn erase_account(&mut self, id: AccountId) -> Result<(), StoreError> {
        account::Entity::delete_by_id(Uuid::from_u128(id.bits())).exec(&self.sql).await.map_err(store_error)?;
        self.erase_changes(id).await?;
        self.erase_usage(id).await
    }

    async fn accounts_due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<AccountId>, StoreError> {
        let due = account::Entity::find()
            .select_only()
            .column(account::Column::Id)
            .filter(account::Column::DueAt.lte(now.as_millis()))
            .order_by_asc(account::Column::DueAt)
            .order_by_asc(account::Column::Id)
            .limit(limit);
        let ids: Vec<Uuid> = due.into_tuple().all(&self.sql).await.map_err(store_error)?;
        Ok(ids.into_iter().map(|id| AccountId::from_bits(id.as_u128())).collect())
    }

    async fn list_accounts(
        &mut self,
        tier: Option<TierName>,
        after: Option<AccountPlace>,
        limit: u64,
    ) -> Result<Vec<Account>, StoreError> {
        let mut select = account::Entity::find()
            .order_by_desc(account::Column::CreatedAt)
            .order_by_desc(account::Column::Id)
            .limit(limit);
        if let Some(tier) = tier {
            select = select.filter(account::Column::Tier.eq(tier.name()));
        }
        if let Some(AccountPlace { created_at, id }) = after {
            // As a pair, so that the index is entered at it.
            let place = Expr::tuple([Expr::col(account::Column::CreatedAt), Expr::col(account::Column::Id)]);
            let after = Expr::tuple([created_at.as_millis().into(), Uuid::from_u128(id.bits()).into()]);
            select = select.filter(place.lt(after));
        }
        let rows = select.all(&self.sql).await.map_err(store_error)?;
        rows.into_iter().map(Account::try_from).collect()
    }

    async fn accounts_by_pepper(&mut self) -> Result<Vec<(KeyId, u64)>, StoreError> {
        let counted = account::Entity::find()
            .select_only()
            .column(account::Column::PepperId)
            .column_as(account::Column::Id.count(), "accounts")
            .group_by(account::Column::PepperId);
        let rows: Vec<(i64, i64)> = counted.into_tuple().all(&self.sql).await.map_err(store_error)?;
        let mut counts: Vec<_> =
            rows.into_iter().map(|(id, count)| (KeyId::from_bits(id.cast_unsigned()), unsigned(count))).collect();
        counts.sort_unstable();
        Ok(counts)
    }
}
