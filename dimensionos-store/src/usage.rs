//! Usage, whose columns follow the lists of levels and counters.

use std::sync::LazyLock;

use async_trait::async_trait;
use dimensionos_core::id::AccessKeyId;
use dimensionos_core::monitoring::{
    Bucket, Counter, Level, LevelRollup, MAX_AMOUNT, Reading, Readings, Resolution, Rollup, SourceName, SourceState,
    UsageRow,
};
use dimensionos_core::store::{StoreError, Usage};
use dimensionos_core::{AccountId, Timestamp};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict, Order, Query, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryResult,
};
use uuid::Uuid;

use crate::entity::usage_source;
use crate::error::{store_error, unreadable};
use crate::transaction::{SqlTx, signed, unsigned};

const ROLLUPS: &str = "usage_rollups";
const ROLLUP_KEY: [&str; 3] = ["account_id", "resolution", "bucket_start"];
const READINGS: &str = "usage_readings";

/// Rows of one statement: 30 parameters each stay below SQLite's 32,766 and PostgreSQL's 65,535.
const ROWS_PER_STATEMENT: usize = 1_000;

/// The columns of a level in the rollups.
fn level_columns(level: Level) -> [String; 3] {
    ["sum", "count", "peak"].map(|part| format!("{}_{part}", level.name()))
}

/// Every measured column of the rollups, levels first.
static ROLLUP_COLUMNS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let levels = Level::ALL.into_iter().flat_map(level_columns);
    levels.chain(Counter::ALL.iter().map(|counter| counter.name().to_owned())).collect()
});

/// Every column of the readings: a level's value, then its time.
static READING_COLUMNS: LazyLock<Vec<String>> = LazyLock::new(|| {
    Level::ALL.iter().flat_map(|level| [level.name().to_owned(), format!("{}_at", level.name())]).collect()
});

const fn resolution_number(resolution: Resolution) -> i16 {
    match resolution {
        Resolution::Minute => 1,
        Resolution::Hour => 2,
        Resolution::Day => 3,
    }
}

/// What an added row does to the row that is there. A null is what nobody measured, and gives way to any figure.
fn add_to_rollup() -> OnConflict {
    let mut updates: Vec<(Alias, SimpleExpr)> = Vec::new();
    for level in Level::ALL {
        let [sum, count, peak] = level_columns(level);
        for column in [sum, count] {
            let added =
                format!("COALESCE({ROLLUPS}.{column} + excluded.{column}, {ROLLUPS}.{column}, excluded.{column})");
            updates.push((Alias::new(column), Expr::cust(added)));
        }
        let higher = format!(
            "CASE WHEN {ROLLUPS}.{peak} IS NULL OR excluded.{peak} > {ROLLUPS}.{peak} \
             THEN excluded.{peak} ELSE {ROLLUPS}.{peak} END"
        );
        updates.push((Alias::new(peak), Expr::cust(higher)));
    }
    for column in Counter::ALL.map(Counter::name) {
        let added = format!(
            "CASE WHEN {ROLLUPS}.{column} + excluded.{column} > {MAX_AMOUNT} THEN {MAX_AMOUNT} \
             ELSE COALESCE({ROLLUPS}.{column} + excluded.{column}, {ROLLUPS}.{column}, excluded.{column}) END"
        );
        updates.push((Alias::new(column), Expr::cust(added)));
    }
    OnConflict::columns(ROLLUP_KEY.map(Alias::new)).values(updates).to_owned()
}

fn rollup_values(row: &UsageRow) -> Vec<SimpleExpr> {
    let key: [SimpleExpr; 3] = [
        Uuid::from_u128(row.account.bits()).into(),
        resolution_number(row.resolution).into(),
        row.bucket.start().as_millis().into(),
    ];
    let levels = Level::ALL.iter().flat_map(|level| {
        let level = row.rollup.level(*level);
        let measured = (level.count > 0).then_some(level);
        [
            SimpleExpr::from(measured.map(|level| level.sum)),
            measured.map(|level| signed(level.count)).into(),
            measured.map(|level| signed(level.peak)).into(),
        ]
    });
    let counters = Counter::ALL.iter().map(|counter| row.rollup.total(*counter).map(signed).into());
    key.into_iter().chain(levels).chain(counters).collect()
}

/// Reads what [`ROLLUP_COLUMNS`] selected, behind `first` columns.
fn rollup(row: &QueryResult, first: usize) -> Result<Rollup, DbErr> {
    let mut rollup = Rollup::default();
    for (place, level) in Level::ALL.into_iter().enumerate() {
        let column = first + place * 3;
        if let Some(sum) = row.try_get_by_index::<Option<f64>>(column)? {
            let count = unsigned(row.try_get_by_index::<i64>(column + 1)?);
            let peak = unsigned(row.try_get_by_index::<i64>(column + 2)?);
            rollup.set_level(level, LevelRollup { sum, count, peak });
        }
    }
    for (place, counter) in Counter::ALL.into_iter().enumerate() {
        let column = first + Level::ALL.len() * 3 + place;
        if let Some(total) = row.try_get_by_index::<Option<i64>>(column)? {
            rollup.add_total(counter, unsigned(total));
        }
    }
    Ok(rollup)
}

/// What a newer reading does to the one that is there.
fn replace_older_readings() -> OnConflict {
    let updates = Level::ALL.iter().flat_map(|level| {
        let value = level.name();
        let is_newer = format!("excluded.{value}_at >= COALESCE({READINGS}.{value}_at, -1)");
        [value.to_owned(), format!("{value}_at")].map(|column| {
            let newer = format!("CASE WHEN {is_newer} THEN excluded.{column} ELSE {READINGS}.{column} END");
            (Alias::new(column), Expr::cust(newer))
        })
    });
    OnConflict::column(Alias::new("account_id")).values(updates).to_owned()
}

impl SqlTx {
    /// Removes what an account used, which no foreign key leads to.
    pub(crate) async fn erase_usage(&self, account: AccountId) -> Result<(), StoreError> {
        for table in [ROLLUPS, READINGS] {
            let mut delete = Query::delete();
            delete.from_table(table).and_where(Expr::col("account_id").eq(Uuid::from_u128(account.bits())));
            self.sql.execute(&delete).await.map_err(store_error)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Usage for SqlTx {
    async fn source(&mut self, agent: AccessKeyId, name: &SourceName) -> Result<Option<SourceState>, StoreError> {
        let key = (Uuid::from_u128(agent.bits()), name.as_str().to_owned());
        let row = self.held(usage_source::Entity::find_by_id(key)).one(&self.sql).await.map_err(store_error)?;
        row.map(|row| row.state.parse().map_err(|_| unreadable("source"))).transpose()
    }

    async fn source_count(&mut self, agent: AccessKeyId) -> Result<u64, StoreError> {
        let sources =
            usage_source::Entity::find().filter(usage_source::Column::AgentId.eq(Uuid::from_u128(agent.bits())));
        sources.count(&self.sql).await.map_err(store_error)
    }

    async fn save_source(
        &mut self,
        agent: AccessKeyId,
        name: &SourceName,
        state: &SourceState,
    ) -> Result<(), StoreError> {
        let row = usage_source::Model {
            agent_id: Uuid::from_u128(agent.bits()),
            name: name.as_str().to_owned(),
            state: state.to_string(),
        };
        let replace = OnConflict::columns([usage_source::Column::AgentId, usage_source::Column::Name])
            .update_column(usage_source::Column::State)
            .to_owned();
        let insert = usage_source::Entity::insert(row.into_active_model()).on_conflict(replace);
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn add_usage(&mut self, rows: &[UsageRow]) -> Result<(), StoreError> {
        for rows in rows.chunks(ROWS_PER_STATEMENT) {
            let mut insert = Query::insert();
            insert.into_table(ROLLUPS);
            insert.columns(ROLLUP_KEY.into_iter().chain(ROLLUP_COLUMNS.iter().map(String::as_str)).map(Alias::new));
            for row in rows {
                insert.values_panic(rollup_values(row));
            }
            insert.on_conflict(add_to_rollup());
            self.sql.execute(&insert).await.map_err(store_error)?;
        }
        Ok(())
    }

    async fn usage(
        &mut self,
        account: AccountId,
        resolution: Resolution,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Bucket, Rollup)>, StoreError> {
        let mut select = Query::select();
        select
            .column("bucket_start")
            .columns(ROLLUP_COLUMNS.iter().map(Alias::new))
            .from(ROLLUPS)
            .and_where(Expr::col("account_id").eq(Uuid::from_u128(account.bits())))
            .and_where(Expr::col("resolution").eq(resolution_number(resolution)))
            .and_where(Expr::col("bucket_start").gte(from.as_millis()))
            .and_where(Expr::col("bucket_start").lt(to.as_millis()))
            .order_by("bucket_start", Order::Asc);
        let rows = self.sql.query_all(&select).await.map_err(store_error)?;
        let read = |row: &QueryResult| {
            let start = Timestamp::from_millis(row.try_get_by_index(0)?);
            Ok((Bucket::at(start), rollup(row, 1)?))
        };
        rows.iter().map(read).collect::<Result<_, DbErr>>().map_err(store_error)
    }

    async fn purge_usage(&mut self, resolution: Resolution, before: Timestamp) -> Result<u64, StoreError> {
        let mut delete = Query::delete();
        delete
            .from_table(ROLLUPS)
            .and_where(Expr::col("resolution").eq(resolution_number(resolution)))
            .and_where(Expr::col("bucket_start").lt(before.as_millis()));
        Ok(self.sql.execute(&delete).await.map_err(store_error)?.rows_affected())
    }

    async fn save_readings(&mut self, readings: &[(AccountId, Readings)]) -> Result<(), StoreError> {
        for readings in readings.chunks(ROWS_PER_STATEMENT) {
            let mut insert = Query::insert();
            insert.into_table(READINGS);
            insert
                .columns(["account_id"].into_iter().chain(READING_COLUMNS.iter().map(String::as_str)).map(Alias::new));
            for (account, readings) in readings {
                let key = SimpleExpr::from(Uuid::from_u128(account.bits()));
                let values = Level::ALL.iter().flat_map(|level| {
                    let reading = readings.of(*level);
                    [
                        SimpleExpr::from(reading.map(|reading| signed(reading.value))),
                        reading.map(|reading| reading.at.as_millis()).into(),
                    ]
                });
                insert.values_panic([key].into_iter().chain(values));
            }
            insert.on_conflict(replace_older_readings());
            self.sql.execute(&insert).await.map_err(store_error)?;
        }
        Ok(())
    }

    async fn readings(&mut self, account: AccountId) -> Result<Readings, StoreError> {
        let mut select = Query::select();
        select
            .columns(READING_COLUMNS.iter().map(Alias::new))
            .from(READINGS)
            .and_where(Expr::col("account_id").eq(Uuid::from_u128(account.bits())));
        let mut readings = Readings::default();
        if let Some(row) = self.sql.query_one(&select).await.map_err(store_error)? {
            for (place, level) in Level::ALL.into_iter().enumerate() {
                let value: Option<i64> = row.try_get_by_index(place * 2).map_err(store_error)?;
                let at: Option<i64> = row.try_get_by_index(place * 2 + 1).map_err(store_error)?;
                if let (Some(value), Some(at)) = (value, at) {
                    readings.set(level, Reading { value: unsigned(value), at: Timestamp::from_millis(at) });
                }
            }
        }
        Ok(readings)
    }
}
