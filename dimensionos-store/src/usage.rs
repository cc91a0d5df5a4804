//! Usage, whose columns follow the lists of levels and counters.

use std::collections::HashMap;
use std::sync::LazyLock;

use async_trait::async_trait;
use dimensionos_core::allocation::Resource;
use dimensionos_core::id::{AccessKeyId, ReplicaId};
use dimensionos_core::monitoring::{
    Bucket, Counter, Level, LevelRollup, MAX_AMOUNT, Reading, Readings, Resolution, Rollup, SourceName, SourceState,
    UsageRow, UsageTotals,
};
use dimensionos_core::store::{StoreError, Usage};
use dimensionos_core::{AccountId, Timestamp};
use sea_orm::sea_query::{Alias, ArrayType, Expr, ExprTrait, Order, Query, Value};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryResult, Statement,
};
use uuid::Uuid;

use crate::batch::{Batch, Kind};
use crate::entity::usage_source;
use crate::error::{store_error, unreadable};
use crate::partitions;
use crate::transaction::{SqlTx, ids, signed, unsigned};

pub(crate) const ROLLUPS: &str = "usage_rollups";
const ROLLUP_KEY: [&str; 3] = ["account_id", "resolution", "bucket_start"];
pub(crate) const READINGS: &str = "usage_readings";

/// Sources that one of SQLite's statements asks for; what is asked for less than that is asked for again.
const SOURCES_PER_STATEMENT: [usize; 3] = [1, 16, 256];

/// Sources that one statement adds: three parameters each stay far below what either engine takes.
const NEW_SOURCES_PER_STATEMENT: usize = 1_000;

/// The columns of a level in the rollups.
fn level_columns(level: Level) -> [String; 3] {
    ["sum", "count", "peak"].map(|part| format!("{}_{part}", level.name()))
}

/// Every column of the readings: a level's value, then its time; and when anything was measured last.
static READING_COLUMNS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let levels = Level::ALL.iter().flat_map(|level| [level.name().to_owned(), format!("{}_at", level.name())]);
    levels.chain([NEWEST.to_owned()]).collect()
});
const NEWEST: &str = "newest_at";

pub(crate) const fn resolution_number(resolution: Resolution) -> i16 {
    match resolution {
        Resolution::Minute => 1,
        Resolution::Hour => 2,
        Resolution::Day => 3,
    }
}

/// What an added row does to the row that is there. A null is what nobody measured, and gives way to any figure.
static ADD_TO_ROLLUPS: LazyLock<Batch> = LazyLock::new(|| {
    let mut columns: Vec<_> =
        ROLLUP_KEY.map(str::to_owned).into_iter().zip([Kind::Id, Kind::Small, Kind::Integer]).collect();
    let mut updates = Vec::new();
    for level in Level::ALL {
        let [sum, count, peak] = level_columns(level);
        for column in [&sum, &count] {
            updates.push(format!(
                "{column} = COALESCE({ROLLUPS}.{column} + excluded.{column}, {ROLLUPS}.{column}, excluded.{column})"
            ));
        }
        updates.push(format!(
            "{peak} = CASE WHEN {ROLLUPS}.{peak} IS NULL OR excluded.{peak} > {ROLLUPS}.{peak} \
             THEN excluded.{peak} ELSE {ROLLUPS}.{peak} END"
        ));
        columns.extend([(sum, Kind::DoubleOrNull), (count, Kind::IntegerOrNull), (peak, Kind::IntegerOrNull)]);
    }
    for column in Counter::ALL.map(Counter::name) {
        updates.push(format!(
            "{column} = CASE WHEN {ROLLUPS}.{column} + excluded.{column} > {MAX_AMOUNT} THEN {MAX_AMOUNT} \
             ELSE COALESCE({ROLLUPS}.{column} + excluded.{column}, {ROLLUPS}.{column}, excluded.{column}) END"
        ));
        columns.push((column.to_owned(), Kind::IntegerOrNull));
    }
    let conflict = format!("({}) DO UPDATE SET {}", ROLLUP_KEY.join(", "), updates.join(", "));
    Batch::new(ROLLUPS, &columns, &conflict)
});

fn write_rollup(row: &UsageRow, values: &mut Vec<Value>) {
    values.push(Uuid::from_u128(row.account.bits()).into());
    values.push(resolution_number(row.resolution).into());
    values.push(row.bucket.start().as_millis().into());
    for level in Level::ALL {
        let level = Some(row.rollup.level(level)).filter(|level| level.count > 0);
        values.push(level.map(|level| level.sum).into());
        values.push(level.map(|level| signed(level.count)).into());
        values.push(level.map(|level| signed(level.peak)).into());
    }
    values.extend(Counter::ALL.map(|counter| Value::from(row.rollup.total(counter).map(signed))));
}

/// Reads those figures, levels first, behind the first column.
fn rollup(row: &QueryResult, levels: &[Level], counters: &[Counter]) -> Result<Rollup, DbErr> {
    let mut rollup = Rollup::default();
    for (place, level) in levels.iter().enumerate() {
        let column = 1 + place * 3;
        if let Some(sum) = row.try_get_by_index::<Option<f64>>(column)? {
            let count = unsigned(row.try_get_by_index::<i64>(column + 1)?);
            let peak = unsigned(row.try_get_by_index::<i64>(column + 2)?);
            rollup.set_level(*level, LevelRollup { sum, count, peak });
        }
    }
    for (place, counter) in counters.iter().enumerate() {
        let column = 1 + levels.len() * 3 + place;
        if let Some(total) = row.try_get_by_index::<Option<i64>>(column)? {
            rollup.add_total(*counter, unsigned(total));
        }
    }
    Ok(rollup)
}

/// All buckets of an account together: the figures that [`rollup`] reads, and the most of each counter in one of them.
/// No sum of a month's buckets passes 64 bits; PostgreSQL sums them to a decimal.
static TOTALS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let levels = Level::ALL.into_iter().flat_map(|level| {
        let [sum, count, peak] = level_columns(level);
        [format!("SUM({sum})"), format!("CAST(SUM({count}) AS BIGINT)"), format!("MAX({peak})")]
    });
    let sums = Counter::ALL.map(|counter| format!("CAST(SUM({}) AS BIGINT)", counter.name()));
    let busiest = Counter::ALL.map(|counter| format!("MAX({})", counter.name()));
    levels.chain(sums).chain(busiest).collect()
});

/// The buckets of several accounts that start in a range.
fn in_range(accounts: &[AccountId], resolution: Resolution, (from, to): (Timestamp, Timestamp)) -> Condition {
    Condition::all()
        .add(Expr::col("account_id").is_in(ids(accounts)))
        .add(Expr::col("resolution").eq(resolution_number(resolution)))
        .add(Expr::col("bucket_start").gte(from.as_millis()))
        .add(Expr::col("bucket_start").lt(to.as_millis()))
}

fn account(row: &QueryResult, column: usize) -> Result<AccountId, DbErr> {
    Ok(AccountId::from_bits(row.try_get_by_index::<Uuid>(column)?.as_u128()))
}

/// What a newer reading does to the one that is there.
static REPLACE_OLDER_READINGS: LazyLock<Batch> = LazyLock::new(|| {
    let mut columns = vec![("account_id".to_owned(), Kind::Id)];
    columns.extend(READING_COLUMNS.iter().map(|column| (column.clone(), Kind::IntegerOrNull)));
    columns.push(("version".to_owned(), Kind::Integer));
    let levels = Level::ALL.map(Level::name).into_iter().flat_map(|value| {
        let is_newer = format!("excluded.{value}_at >= COALESCE({READINGS}.{value}_at, -1)");
        [value.to_owned(), format!("{value}_at")].map(|column| {
            format!("{column} = CASE WHEN {is_newer} THEN excluded.{column} ELSE {READINGS}.{column} END")
        })
    });
    let newest = format!(
        "{NEWEST} = CASE WHEN COALESCE(excluded.{NEWEST}, -1) > COALESCE({READINGS}.{NEWEST}, -1) \
         THEN excluded.{NEWEST} ELSE {READINGS}.{NEWEST} END"
    );
    let version = format!("version = {READINGS}.version + 1");
    let updates: Vec<_> = levels.chain([newest, version]).collect();
    Batch::new(READINGS, &columns, &format!("(account_id) DO UPDATE SET {}", updates.join(", ")))
});

fn write_readings((account, readings): &(AccountId, Readings), values: &mut Vec<Value>) {
    values.push(Uuid::from_u128(account.bits()).into());
    for level in Level::ALL {
        let reading = readings.of(level);
        values.push(reading.map(|reading| signed(reading.value)).into());
        values.push(reading.map(|reading| reading.at.as_millis()).into());
    }
    values.push(readings.newest().map(Timestamp::as_millis).into());
    // The first; what is there goes up by one.
    values.push(1_i64.into());
}

fn readings(row: &QueryResult) -> Result<Readings, DbErr> {
    let mut readings = Readings::default();
    for (place, level) in Level::ALL.into_iter().enumerate() {
        let value: Option<i64> = row.try_get_by_index(place * 2)?;
        let at: Option<i64> = row.try_get_by_index(place * 2 + 1)?;
        if let (Some(value), Some(at)) = (value, at) {
            readings.set(level, Reading { value: unsigned(value), at: Timestamp::from_millis(at) });
        }
    }
    if let Some(newest) = row.try_get_by_index::<Option<i64>>(Level::ALL.len() * 2)? {
        readings.see(Timestamp::from_millis(newest));
    }
    Ok(readings)
}

static REPLACE_SOURCES: LazyLock<Batch> = LazyLock::new(|| {
    let columns = [("agent_id", Kind::Id), ("name", Kind::Text), ("state", Kind::Text)];
    let columns = columns.map(|(name, kind)| (name.to_owned(), kind));
    Batch::new("usage_sources", &columns, "(agent_id, name) DO UPDATE SET state = excluded.state")
});

/// Selects the sources of a list of that length, each by its key: an `IN` of pairs would have SQLite read the table.
fn select_sources(count: usize) -> String {
    let pairs = vec!["(?, ?)"; count].join(", ");
    format!(
        "WITH asked (agent, named) AS (VALUES {pairs}) SELECT agent_id, name, state FROM asked \
         CROSS JOIN usage_sources ON agent_id = agent AND name = named"
    )
}

static SELECT_SOURCES: LazyLock<[String; 3]> = LazyLock::new(|| SOURCES_PER_STATEMENT.map(select_sources));

/// In the order of their key, as every writer takes them, so that two never wait in a circle.
const HOLD_SOURCES: &str = "SELECT agent_id, name, state FROM usage_sources \
     WHERE (agent_id, name) IN (SELECT * FROM UNNEST($1::uuid[], $2::text[])) ORDER BY agent_id, name FOR UPDATE";
const READ_SOURCES: &str = "SELECT agent_id, name, state FROM usage_sources \
     WHERE (agent_id, name) IN (SELECT * FROM UNNEST($1::uuid[], $2::text[]))";

/// The same of one source, as a lone report has it: quicker to plan.
const HOLD_SOURCE: &str =
    "SELECT agent_id, name, state FROM usage_sources WHERE agent_id = $1 AND name = $2 FOR UPDATE";

type SourceKey = (AccessKeyId, SourceName);

impl SqlTx {
    /// The statements that find sources.
    fn find_sources(&self, sources: &[SourceKey]) -> Vec<Statement> {
        if sources.is_empty() {
            return Vec::new();
        }
        let backend = self.sql.get_database_backend();
        let agent = |(agent, _): &SourceKey| Value::from(Uuid::from_u128(agent.bits()));
        let name = |(_, name): &SourceKey| Value::from(name.as_str());
        if let (DbBackend::Postgres, [source], true) = (backend, sources, self.is_writing()) {
            return vec![Statement::from_sql_and_values(backend, HOLD_SOURCE, [agent(source), name(source)])];
        }
        if backend == DbBackend::Postgres {
            let text = if self.is_writing() { HOLD_SOURCES } else { READ_SOURCES };
            let array = |kind, values: Vec<Value>| Value::Array(kind, Some(Box::new(values)));
            let agents = array(ArrayType::Uuid, sources.iter().map(agent).collect());
            let names = array(ArrayType::String, sources.iter().map(name).collect());
            return vec![Statement::from_sql_and_values(backend, text, [agents, names])];
        }
        let [.., most] = SOURCES_PER_STATEMENT;
        let statement = |sources: &[SourceKey]| {
            let (size, text) =
                SOURCES_PER_STATEMENT.iter().zip(&*SELECT_SOURCES).find(|(size, _)| **size >= sources.len())?;
            let asked = sources.iter().chain(std::iter::repeat(sources.last()?)).take(*size);
            let values: Vec<Value> = asked.flat_map(|source| [agent(source), name(source)]).collect();
            Some(Statement::from_sql_and_values(backend, text, values))
        };
        sources.chunks(most).filter_map(statement).collect()
    }

    /// Those figures of the buckets of several accounts that start in a range, each account's oldest first.
    async fn buckets(
        &self,
        accounts: &[AccountId],
        resolution: Resolution,
        range: (Timestamp, Timestamp),
        (levels, counters): (&[Level], &[Counter]),
    ) -> Result<Vec<(AccountId, Bucket, Rollup)>, StoreError> {
        let measured = levels.iter().copied().flat_map(level_columns);
        let measured = measured.chain(counters.iter().map(|counter| counter.name().to_owned()));
        let mut select = Query::select();
        select
            .column("bucket_start")
            .columns(measured.map(Alias::new))
            .column("account_id")
            .from(ROLLUPS)
            .cond_where(in_range(accounts, resolution, range))
            .order_by("bucket_start", Order::Asc);
        let rows = self.sql.query_all(&select).await.map_err(store_error)?;
        let last = 1 + levels.len() * 3 + counters.len();
        let read = |row: &QueryResult| {
            let start = Timestamp::from_millis(row.try_get_by_index(0)?);
            Ok((account(row, last)?, Bucket::at(start), rollup(row, levels, counters)?))
        };
        rows.iter().map(read).collect::<Result<_, DbErr>>().map_err(store_error)
    }

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
    async fn sources(&mut self, sources: &[(AccessKeyId, SourceName)]) -> Result<Vec<Option<SourceState>>, StoreError> {
        let mut states = HashMap::new();
        for statement in self.find_sources(sources) {
            for row in self.sql.query_all_raw(statement).await.map_err(store_error)? {
                let agent: Uuid = row.try_get_by_index(0).map_err(store_error)?;
                let name: String = row.try_get_by_index(1).map_err(store_error)?;
                let state: String = row.try_get_by_index(2).map_err(store_error)?;
                let state: SourceState = state.parse().map_err(|_| unreadable("source"))?;
                states.insert((agent, name), state);
            }
        }
        let key = |(agent, name): &SourceKey| (Uuid::from_u128(agent.bits()), name.as_str().to_owned());
        Ok(sources.iter().map(|source| states.remove(&key(source))).collect())
    }

    async fn source_count(&mut self, agent: AccessKeyId) -> Result<u64, StoreError> {
        let sources =
            usage_source::Entity::find().filter(usage_source::Column::AgentId.eq(Uuid::from_u128(agent.bits())));
        sources.count(&self.sql).await.map_err(store_error)
    }

    async fn add_sources(&mut self, sources: &[(AccessKeyId, SourceName, SourceState)]) -> Result<(), StoreError> {
        for sources in sources.chunks(NEW_SOURCES_PER_STATEMENT) {
            let rows = sources.iter().map(|(agent, name, state)| {
                let (agent_id, name) = (Uuid::from_u128(agent.bits()), name.as_str().to_owned());
                usage_source::Model { agent_id, name, state: state.to_string() }.into_active_model()
            });
            // Without a word on conflicts: of two processes that hear of a source at once, the second is refused.
            let insert = usage_source::Entity::insert_many(rows);
            insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        }
        Ok(())
    }

    async fn save_sources(&mut self, sources: &[(AccessKeyId, SourceName, SourceState)]) -> Result<(), StoreError> {
        let write = |(agent, name, state): &(AccessKeyId, SourceName, SourceState), values: &mut Vec<Value>| {
            values.extend([Uuid::from_u128(agent.bits()).into(), name.as_str().into(), state.to_string().into()]);
        };
        self.add_rows(&REPLACE_SOURCES, sources, write).await
    }

    async fn add_usage(&mut self, rows: &[UsageRow]) -> Result<(), StoreError> {
        self.add_rows(&ADD_TO_ROLLUPS, rows, write_rollup).await
    }

    async fn usage(
        &mut self,
        account: AccountId,
        resolution: Resolution,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Bucket, Rollup)>, StoreError> {
        let buckets = self.buckets(&[account], resolution, (from, to), (&Level::ALL, &Counter::ALL)).await?;
        Ok(buckets.into_iter().map(|(_, bucket, rollup)| (bucket, rollup)).collect())
    }

    async fn usage_of(
        &mut self,
        account: AccountId,
        resource: Resource,
        resolution: Resolution,
        range: (Timestamp, Timestamp),
    ) -> Result<Vec<(Bucket, Rollup)>, StoreError> {
        let buckets = self.usage_of_each(&[account], Some(resource), resolution, range).await?;
        Ok(buckets.into_iter().map(|(_, bucket, rollup)| (bucket, rollup)).collect())
    }

    async fn usage_of_each(
        &mut self,
        accounts: &[AccountId],
        resource: Option<Resource>,
        resolution: Resolution,
        range: (Timestamp, Timestamp),
    ) -> Result<Vec<(AccountId, Bucket, Rollup)>, StoreError> {
        let Some(resource) = resource else {
            return self.buckets(accounts, resolution, range, (&Level::ALL, &Counter::ALL)).await;
        };
        let (level, counter) = (resource.level(), resource.counter());
        self.buckets(accounts, resolution, range, (level.as_slice(), counter.as_slice())).await
    }

    async fn usage_totals(
        &mut self,
        accounts: &[AccountId],
        resolution: Resolution,
        range: (Timestamp, Timestamp),
    ) -> Result<Vec<(AccountId, UsageTotals)>, StoreError> {
        let mut select = Query::select();
        select
            .column("account_id")
            .exprs(TOTALS.iter().map(|figure| Expr::cust(figure.as_str())))
            .from(ROLLUPS)
            .cond_where(in_range(accounts, resolution, range))
            .group_by_col("account_id");
        let rows = self.sql.query_all(&select).await.map_err(store_error)?;
        let read = |row: &QueryResult| {
            let mut totals = UsageTotals::default();
            totals.whole = rollup(row, &Level::ALL, &Counter::ALL)?;
            let busiest = 1 + Level::ALL.len() * 3 + Counter::ALL.len();
            for (place, counter) in Counter::ALL.into_iter().enumerate() {
                if let Some(amount) = row.try_get_by_index::<Option<i64>>(busiest + place)? {
                    totals.see(counter, unsigned(amount));
                }
            }
            Ok((account(row, 0)?, totals))
        };
        rows.iter().map(read).collect::<Result<_, DbErr>>().map_err(store_error)
    }

    async fn used_since(&mut self, account: AccountId, counter: Counter, from: Timestamp) -> Result<u64, StoreError> {
        let mut select = Query::select();
        // PostgreSQL sums 64 bits to a decimal.
        let sum = Expr::cust(format!("CAST(COALESCE(SUM({}), 0) AS BIGINT)", counter.name()));
        select
            .expr(sum)
            .from(ROLLUPS)
            .and_where(Expr::col("account_id").eq(Uuid::from_u128(account.bits())))
            .and_where(Expr::col("resolution").eq(resolution_number(Resolution::Minute)))
            .and_where(Expr::col("bucket_start").gte(from.as_millis()));
        let row = self.sql.query_one(&select).await.map_err(store_error)?;
        let sum = row.map(|row| row.try_get_by_index::<i64>(0)).transpose().map_err(store_error)?;
        Ok(sum.map_or(0, unsigned))
    }

    async fn prepare_usage(
        &mut self,
        resolution: Resolution,
        oldest: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        partitions::prepare(&self.sql, resolution, (oldest, now)).await.map_err(store_error)
    }

    async fn purge_usage(&mut self, resolution: Resolution, before: Timestamp) -> Result<u64, StoreError> {
        if let Some(gone) = partitions::drop_over(&self.sql, resolution, before).await.map_err(store_error)? {
            return Ok(gone);
        }
        let mut delete = Query::delete();
        delete
            .from_table(ROLLUPS)
            .and_where(Expr::col("resolution").eq(resolution_number(resolution)))
            .and_where(Expr::col("bucket_start").lt(before.as_millis()));
        Ok(self.sql.execute(&delete).await.map_err(store_error)?.rows_affected())
    }

    async fn save_readings(&mut self, readings: &[(AccountId, Readings)]) -> Result<(), StoreError> {
        self.add_rows(&REPLACE_OLDER_READINGS, readings, write_readings).await
    }

    async fn readings(&mut self, account: AccountId) -> Result<Readings, StoreError> {
        let known = self.readings_of(&[account]).await?.pop();
        Ok(known.map(|(_, readings)| readings).unwrap_or_default())
    }

    async fn readings_of(&mut self, accounts: &[AccountId]) -> Result<Vec<(AccountId, Readings)>, StoreError> {
        let mut select = Query::select();
        select
            .columns(READING_COLUMNS.iter().map(Alias::new))
            .column("account_id")
            .from(READINGS)
            .and_where(Expr::col("account_id").is_in(ids(accounts)));
        let rows = self.sql.query_all(&select).await.map_err(store_error)?;
        let read = |row: &QueryResult| Ok((account(row, READING_COLUMNS.len())?, readings(row)?));
        rows.iter().map(read).collect::<Result<_, DbErr>>().map_err(store_error)
    }

    async fn usage_versions(&mut self, accounts: &[AccountId]) -> Result<Vec<(AccountId, u64)>, StoreError> {
        let mut select = Query::select();
        select
            .column("version")
            .column("account_id")
            .from(READINGS)
            .and_where(Expr::col("account_id").is_in(ids(accounts)));
        let rows = self.sql.query_all(&select).await.map_err(store_error)?;
        let read = |row: &QueryResult| Ok((account(row, 1)?, unsigned(row.try_get_by_index(0)?)));
        rows.iter().map(read).collect::<Result<_, DbErr>>().map_err(store_error)
    }

    async fn mark_flush(&mut self, replica: ReplicaId, flush: u64, at: Timestamp) -> Result<(), StoreError> {
        self.mark(replica, flush, at).await
    }

    async fn last_flush(&mut self, replica: ReplicaId) -> Result<Option<u64>, StoreError> {
        self.last_mark(replica).await
    }

    async fn purge_flushes(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.purge_marks(before).await
    }
}
