use async_trait::async_trait;
use dimensionos_core::allocation::{Allocation, HeavyUse, HeavyUser, Resource, TierName, TierVersion};
use dimensionos_core::monitoring::Resolution;
use dimensionos_core::store::{StoreError, Tiers};
use dimensionos_core::{AccountId, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter};
use uuid::Uuid;

use crate::entity::{account, tier_version};
use crate::error::{store_error, unreadable};
use crate::transaction::{SqlTx, signed, unsigned};
use crate::usage::{READINGS, ROLLUPS, resolution_number};

impl TryFrom<tier_version::Model> for TierVersion {
    type Error = StoreError;

    fn try_from(row: tier_version::Model) -> Result<Self, StoreError> {
        let trial_days = row.trial_days.map(u32::try_from).transpose().map_err(|_| unreadable("trial"))?;
        Ok(Self {
            version: u32::try_from(row.version).map_err(|_| unreadable("version of a tier"))?,
            effective_from: Timestamp::from_millis(row.effective_from),
            allocation: Allocation {
                tier: row.tier.parse().map_err(|_| unreadable("tier"))?,
                cpu_millicores: unsigned(row.cpu_millicores),
                ram_megabytes: unsigned(row.ram_megabytes),
                storage_gigabytes: unsigned(row.storage_gigabytes),
                bandwidth_bits_per_second: unsigned(row.bandwidth_bits_per_second),
                database: row.database.parse().map_err(|_| unreadable("database engine"))?,
                api_calls_per_hour: unsigned(row.api_calls_per_hour),
                file_operations_per_hour: unsigned(row.file_operations_per_hour),
                price_cents_per_month: unsigned(row.price_cents_per_month),
                trial_days,
            },
        })
    }
}

/// What accounts use of a resource, as rows of `account_id` and `used`; absent for what nobody measures.
fn uses(resource: Resource, since: Timestamp) -> Option<SelectStatement> {
    let mut select = Query::select();
    select.column("account_id");
    if let Some(level) = resource.level() {
        select.expr_as(Expr::col(level.name()), "used").from(READINGS).and_where(Expr::col(level.name()).is_not_null());
    } else {
        // PostgreSQL sums 64 bits to a decimal.
        let sum = Expr::cust(format!("CAST(COALESCE(SUM({}), 0) AS BIGINT)", resource.counter()?.name()));
        select
            .expr_as(sum, "used")
            .from(ROLLUPS)
            .and_where(Expr::col("resolution").eq(resolution_number(Resolution::Minute)))
            .and_where(Expr::col("bucket_start").gte(since.as_millis()))
            .group_by_col("account_id");
    }
    Some(select)
}

/// The heavy users without their order, as rows of `account_id` and `used`.
fn heavy(asked: &HeavyUse, uses: SelectStatement) -> SelectStatement {
    let mut own = Query::select();
    own.expr(Expr::val(1))
        .from("limit_overrides")
        .and_where(Expr::col(("limit_overrides", "account_id")).equals(("accounts", "id")))
        .and_where(Expr::col(("limit_overrides", "resource")).eq(asked.resource.name()))
        .and_where(Expr::col(("limit_overrides", "until")).gt(asked.own_limit_after.as_millis()));
    let mut select = Query::select();
    select
        .column(("uses", "account_id"))
        .column(("uses", "used"))
        .from_subquery(uses, "uses")
        .inner_join("accounts", Expr::col(("accounts", "id")).equals(("uses", "account_id")))
        .and_where(Expr::col(("accounts", "tier")).eq(asked.tier.name()))
        .and_where(Expr::col(("uses", "used")).gt(signed(asked.more_than)))
        .and_where(Expr::exists(own).not());
    select
}

#[async_trait]
impl Tiers for SqlTx {
    async fn tier_versions(&mut self) -> Result<Vec<TierVersion>, StoreError> {
        let rows = tier_version::Entity::find().all(&self.sql).await.map_err(store_error)?;
        rows.into_iter().map(TierVersion::try_from).collect()
    }

    async fn insert_tier_version(&mut self, version: &TierVersion) -> Result<(), StoreError> {
        let allocation = &version.allocation;
        let row = tier_version::Model {
            tier: allocation.tier.name().to_owned(),
            version: i64::from(version.version),
            effective_from: version.effective_from.as_millis(),
            cpu_millicores: signed(allocation.cpu_millicores),
            ram_megabytes: signed(allocation.ram_megabytes),
            storage_gigabytes: signed(allocation.storage_gigabytes),
            bandwidth_bits_per_second: signed(allocation.bandwidth_bits_per_second),
            database: allocation.database.name().to_owned(),
            api_calls_per_hour: signed(allocation.api_calls_per_hour),
            file_operations_per_hour: signed(allocation.file_operations_per_hour),
            price_cents_per_month: signed(allocation.price_cents_per_month),
            trial_days: allocation.trial_days.map(i64::from),
        };
        let insert = tier_version::Entity::insert(row.into_active_model());
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn tier_accounts(&mut self, tier: TierName) -> Result<u64, StoreError> {
        let on_it = account::Entity::find().filter(account::Column::Tier.eq(tier.name()));
        on_it.count(&self.sql).await.map_err(store_error)
    }

    async fn heavy_users(&mut self, asked: &HeavyUse, limit: u64) -> Result<(u64, Vec<HeavyUser>), StoreError> {
        let Some(measured) = uses(asked.resource, asked.since) else { return Ok((0, Vec::new())) };
        let heavy = heavy(asked, measured);
        let mut count = Query::select();
        count.expr(Expr::cust("COUNT(*)")).from_subquery(heavy.clone(), "heavy");
        let row = self.sql.query_one(&count).await.map_err(store_error)?;
        let count = row.map(|row| row.try_get_by_index::<i64>(0)).transpose().map_err(store_error)?;
        let mut heaviest = heavy;
        heaviest.order_by(("uses", "used"), Order::Desc).order_by(("uses", "account_id"), Order::Asc).limit(limit);
        let rows = self.sql.query_all(&heaviest).await.map_err(store_error)?;
        let users = rows.iter().map(|row| {
            let account: Uuid = row.try_get_by_index(0).map_err(store_error)?;
            let used: i64 = row.try_get_by_index(1).map_err(store_error)?;
            Ok(HeavyUser { account: AccountId::from_bits(account.as_u128()), used: unsigned(used) })
        });
        Ok((count.map_or(0, unsigned), users.collect::<Result<_, StoreError>>()?))
    }
}
