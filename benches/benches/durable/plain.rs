//! The floor: the same rows through the plain driver, by statements written by hand whose text never changes.

use std::str::FromStr;
use std::sync::LazyLock;

use dimensionos_core::AccountId;
use dimensionos_core::monitoring::{Counter, Level, MAX_AMOUNT, Readings, UsageRow};
use sea_orm::prelude::Uuid;
use sea_orm::sqlx::{
    self, Connection, Executor, PgConnection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

/// Rows of one of SQLite's statements.
const SQLITE_ROWS: usize = 64;
/// The agent of the floor's sources.
const AGENT: Uuid = Uuid::from_u128(1);

/// A connection of one engine.
pub(crate) enum Plain {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// What one transaction writes.
pub(crate) struct Group {
    pub(crate) usage: Vec<UsageRow>,
    pub(crate) readings: Vec<(AccountId, Readings)>,
    pub(crate) sources: Vec<String>,
}

/// A table's columns and what a row does to the one that is there.
struct Table {
    name: &'static str,
    /// Names and PostgreSQL's types.
    columns: Vec<(String, &'static str)>,
    conflict: String,
}

static ROLLUPS: LazyLock<Table> = LazyLock::new(|| {
    let mut columns = vec![
        ("account_id".to_owned(), "uuid"),
        ("resolution".to_owned(), "smallint"),
        ("bucket_start".to_owned(), "bigint"),
    ];
    let mut updates = Vec::new();
    for level in Level::ALL.map(Level::name) {
        for (part, kind) in [("sum", "float8"), ("count", "bigint")] {
            let column = format!("{level}_{part}");
            updates.push(format!(
                "{column} = COALESCE(usage_rollups.{column} + excluded.{column}, usage_rollups.{column}, \
                 excluded.{column})"
            ));
            columns.push((column, kind));
        }
        let peak = format!("{level}_peak");
        updates.push(format!(
            "{peak} = CASE WHEN usage_rollups.{peak} IS NULL OR excluded.{peak} > usage_rollups.{peak} \
             THEN excluded.{peak} ELSE usage_rollups.{peak} END"
        ));
        columns.push((peak, "bigint"));
    }
    for counter in Counter::ALL.map(Counter::name) {
        updates.push(format!(
            "{counter} = CASE WHEN usage_rollups.{counter} + excluded.{counter} > {MAX_AMOUNT} THEN {MAX_AMOUNT} \
             ELSE COALESCE(usage_rollups.{counter} + excluded.{counter}, usage_rollups.{counter}, \
             excluded.{counter}) END"
        ));
        columns.push((counter.to_owned(), "bigint"));
    }
    let conflict = format!("(account_id, resolution, bucket_start) DO UPDATE SET {}", updates.join(", "));
    Table { name: "usage_rollups", columns, conflict }
});

static READINGS: LazyLock<Table> = LazyLock::new(|| {
    let mut columns = vec![("account_id".to_owned(), "uuid")];
    let mut updates = Vec::new();
    for level in Level::ALL.map(Level::name) {
        for column in [level.to_owned(), format!("{level}_at")] {
            updates.push(format!(
                "{column} = CASE WHEN excluded.{level}_at >= COALESCE(usage_readings.{level}_at, -1) \
                 THEN excluded.{column} ELSE usage_readings.{column} END"
            ));
            columns.push((column, "bigint"));
        }
    }
    updates.push(
        "newest_at = CASE WHEN COALESCE(excluded.newest_at, -1) > COALESCE(usage_readings.newest_at, -1) \
         THEN excluded.newest_at ELSE usage_readings.newest_at END"
            .to_owned(),
    );
    columns.push(("newest_at".to_owned(), "bigint"));
    let conflict = format!("(account_id) DO UPDATE SET {}", updates.join(", "));
    Table { name: "usage_readings", columns, conflict }
});

impl Table {
    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn values(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        let Self { name, conflict, .. } = self;
        format!("INSERT INTO {name} ({}) VALUES {} ON CONFLICT {conflict}", self.names(), vec![row; rows].join(", "))
    }

    fn unnest(&self) -> String {
        let arrays = self.columns.iter().zip(1..).map(|((_, kind), place)| format!("${place}::{kind}[]"));
        let arrays = arrays.collect::<Vec<_>>().join(", ");
        let Self { name, conflict, .. } = self;
        format!("INSERT INTO {name} ({}) SELECT * FROM UNNEST({arrays}) ON CONFLICT {conflict}", self.names())
    }
}

/// The texts of SQLite's statements of many rows and of one, and of PostgreSQL's.
struct Texts {
    many: String,
    one: String,
    unnest: String,
}

impl Texts {
    fn of(table: &Table) -> Self {
        Self { many: table.values(SQLITE_ROWS), one: table.values(1), unnest: table.unnest() }
    }
}

static ROLLUP_TEXTS: LazyLock<Texts> = LazyLock::new(|| Texts::of(&ROLLUPS));
static READING_TEXTS: LazyLock<Texts> = LazyLock::new(|| Texts::of(&READINGS));
static SOURCE_TEXTS: LazyLock<Texts> = LazyLock::new(|| {
    let columns = [("agent_id", "uuid"), ("name", "text"), ("state", "text")];
    let columns = columns.map(|(name, kind)| (name.to_owned(), kind)).to_vec();
    let conflict = "(agent_id, name) DO UPDATE SET state = excluded.state".to_owned();
    Texts::of(&Table { name: "usage_sources", columns, conflict })
});
const SOURCES: &str = "INSERT INTO usage_sources (agent_id, name, state) \
     SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[]) \
     ON CONFLICT (agent_id, name) DO UPDATE SET state = excluded.state";

fn signed(value: u64) -> i64 {
    i64::try_from(value).expect("a figure of a sample")
}

fn id(account: AccountId) -> Uuid {
    Uuid::from_u128(account.bits())
}

type Sums = [Option<f64>; Level::ALL.len()];
type Column = Vec<Option<i64>>;

/// A row's figures as columns hold them: sums, then counts, peaks and totals.
fn figures(row: &UsageRow) -> (Sums, Column, Column, Column) {
    let measured = Level::ALL.map(|level| Some(row.rollup.level(level)).filter(|level| level.count > 0));
    (
        measured.map(|level| level.map(|level| level.sum)),
        measured.iter().map(|level| level.map(|level| signed(level.count))).collect(),
        measured.iter().map(|level| level.map(|level| signed(level.peak))).collect(),
        Counter::ALL.iter().map(|counter| row.rollup.total(*counter).map(signed)).collect(),
    )
}

type SqliteQuery = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind_usage(mut query: SqliteQuery, row: &UsageRow) -> SqliteQuery {
    query = query.bind(id(row.account)).bind(row.resolution as i16 + 1).bind(row.bucket.start().as_millis());
    for level in Level::ALL {
        let level = Some(row.rollup.level(level)).filter(|level| level.count > 0);
        query = query.bind(level.map(|level| level.sum));
        query = query.bind(level.map(|level| signed(level.count))).bind(level.map(|level| signed(level.peak)));
    }
    Counter::ALL.iter().fold(query, |query, counter| query.bind(row.rollup.total(*counter).map(signed)))
}

fn bind_readings(query: SqliteQuery, (account, readings): &(AccountId, Readings)) -> SqliteQuery {
    let query = Level::ALL.iter().fold(query.bind(id(*account)), |query, level| {
        let reading = readings.of(*level);
        query.bind(reading.map(|reading| signed(reading.value))).bind(reading.map(|reading| reading.at.as_millis()))
    });
    query.bind(readings.newest().map(dimensionos_core::Timestamp::as_millis))
}

async fn sqlite_rows<T>(
    tx: &mut SqliteConnection,
    texts: &'static Texts,
    rows: &[T],
    bind: impl Fn(SqliteQuery, &T) -> SqliteQuery,
) -> sqlx::Result<()> {
    let (many, single) = rows.as_chunks::<SQLITE_ROWS>();
    for rows in many {
        rows.iter().fold(sqlx::query(texts.many.as_str()), &bind).execute(&mut *tx).await?;
    }
    for row in single {
        bind(sqlx::query(texts.one.as_str()), row).execute(&mut *tx).await?;
    }
    Ok(())
}

impl Plain {
    pub(crate) async fn connect(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url).expect("a good URL");
            let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
            let options = options.busy_timeout(std::time::Duration::from_secs(60));
            Self::Sqlite(SqliteConnection::connect_with(&options).await.expect("a connection"))
        } else {
            Self::Postgres(PgConnection::connect(url).await.expect("a connection"))
        }
    }

    /// One row in a transaction of its own.
    pub(crate) async fn commit_one(&mut self, row: &UsageRow) {
        let done = match self {
            Self::Sqlite(connection) => {
                bind_usage(sqlx::query(ROLLUP_TEXTS.one.as_str()), row).execute(connection).await.map(drop)
            }
            Self::Postgres(connection) => postgres_usage(connection, std::slice::from_ref(row)).await,
        };
        done.expect("a commit");
    }

    /// All of a group in one transaction.
    pub(crate) async fn commit(&mut self, group: &Group, sequence: u64) {
        let done = match self {
            Self::Sqlite(connection) => sqlite_group(connection, group, sequence).await,
            Self::Postgres(connection) => postgres_group(connection, group, sequence).await,
        };
        done.expect("a commit");
    }

    pub(crate) async fn run(&mut self, statement: String) {
        let statement = sqlx::AssertSqlSafe(statement);
        match self {
            Self::Sqlite(connection) => connection.execute(statement).await.map(drop),
            Self::Postgres(connection) => connection.execute(statement).await.map(drop),
        }
        .expect("a statement");
    }

    /// Copies of the one account there is, under other ids.
    pub(crate) async fn copy_accounts(&mut self, ids: &[AccountId]) {
        const COPY: &str = "INSERT INTO accounts (id, anonymous_id, pepper_id, tier, created_at, trial_started_at, \
            trial_ends_at, active_since, due_at, epoch) SELECT $1, $2, pepper_id, tier, created_at, trial_started_at, \
            trial_ends_at, active_since, due_at, epoch FROM accounts LIMIT 1";
        self.run("BEGIN".to_owned()).await;
        for id in ids {
            let anonymous = [id.bits().to_be_bytes(), id.bits().to_le_bytes()].concat();
            let id = Uuid::from_u128(id.bits());
            match self {
                Self::Sqlite(connection) => {
                    sqlx::query(COPY).bind(id).bind(anonymous).execute(connection).await.map(drop)
                }
                Self::Postgres(connection) => {
                    sqlx::query(COPY).bind(id).bind(anonymous).execute(connection).await.map(drop)
                }
            }
            .expect("a copy");
        }
        self.run("COMMIT".to_owned()).await;
    }

    /// The days of an account, every figure read; how many there are.
    pub(crate) async fn days(&mut self, account: AccountId, from: i64, to: i64) -> usize {
        static SELECT: LazyLock<String> = LazyLock::new(|| {
            let columns: Vec<&str> = ROLLUPS.columns[2..].iter().map(|(name, _)| name.as_str()).collect();
            format!(
                "SELECT {} FROM usage_rollups WHERE account_id = $1 AND resolution = 3 AND bucket_start >= $2 \
                 AND bucket_start < $3 ORDER BY bucket_start",
                columns.join(", ")
            )
        });
        fn read<R: Row>(row: &R) -> i64
        where
            usize: sqlx::ColumnIndex<R>,
            for<'r> i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
            for<'r> f64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
        {
            let levels = 1 + Level::ALL.len() * 3;
            let mut sum: i64 = row.get(0);
            for column in 1..levels + Counter::ALL.len() {
                if column < levels && column % 3 == 1 {
                    std::hint::black_box(row.get::<Option<f64>, _>(column));
                } else {
                    sum ^= row.get::<Option<i64>, _>(column).unwrap_or(0);
                }
            }
            sum
        }
        let query = SELECT.as_str();
        let id = id(account);
        match self {
            Self::Sqlite(connection) => {
                let rows = sqlx::query(query).bind(id).bind(from).bind(to).fetch_all(connection).await.expect("rows");
                std::hint::black_box(rows.iter().map(read).collect::<Vec<_>>()).len()
            }
            Self::Postgres(connection) => {
                let rows = sqlx::query(query).bind(id).bind(from).bind(to).fetch_all(connection).await.expect("rows");
                std::hint::black_box(rows.iter().map(read).collect::<Vec<_>>()).len()
            }
        }
    }
}

async fn sqlite_group(connection: &mut SqliteConnection, group: &Group, sequence: u64) -> sqlx::Result<()> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlite_rows(&mut tx, &ROLLUP_TEXTS, &group.usage, bind_usage).await?;
    sqlite_rows(&mut tx, &READING_TEXTS, &group.readings, bind_readings).await?;
    let bind_source =
        |query: SqliteQuery, source: &String| query.bind(AGENT).bind(source.clone()).bind(sequence.to_string());
    sqlite_rows(&mut tx, &SOURCE_TEXTS, &group.sources, bind_source).await?;
    tx.commit().await
}

async fn postgres_group(connection: &mut PgConnection, group: &Group, sequence: u64) -> sqlx::Result<()> {
    let mut tx = connection.begin().await?;
    postgres_usage(&mut tx, &group.usage).await?;
    let readings = &group.readings;
    let mut query = sqlx::query(READING_TEXTS.unnest.as_str());
    query = query.bind(readings.iter().map(|(account, _)| id(*account)).collect::<Vec<_>>());
    for level in Level::ALL {
        let of = || readings.iter().map(|(_, readings)| readings.of(level));
        query = query.bind(of().map(|reading| reading.map(|reading| signed(reading.value))).collect::<Vec<_>>());
        query = query.bind(of().map(|reading| reading.map(|reading| reading.at.as_millis())).collect::<Vec<_>>());
    }
    let newest = readings.iter().map(|(_, readings)| readings.newest().map(dimensionos_core::Timestamp::as_millis));
    query.bind(newest.collect::<Vec<_>>()).execute(&mut *tx).await?;
    let count = group.sources.len();
    let query = sqlx::query(SOURCES).bind(vec![AGENT; count]).bind(group.sources.clone());
    query.bind(vec![sequence.to_string(); count]).execute(&mut *tx).await?;
    tx.commit().await
}

async fn postgres_usage(connection: &mut PgConnection, rows: &[UsageRow]) -> sqlx::Result<()> {
    // Some thousands of rows a statement; all of a large group at once would be held twice.
    for rows in rows.chunks(4_096) {
        let mut sums: [Vec<Option<f64>>; Level::ALL.len()] = Default::default();
        let mut counts: [Vec<Option<i64>>; Level::ALL.len()] = Default::default();
        let mut peaks: [Vec<Option<i64>>; Level::ALL.len()] = Default::default();
        let mut totals: [Vec<Option<i64>>; Counter::ALL.len()] = Default::default();
        for row in rows {
            let (sum, count, peak, total) = figures(row);
            sums.iter_mut().zip(sum).for_each(|(column, value)| column.push(value));
            counts.iter_mut().zip(count).for_each(|(column, value)| column.push(value));
            peaks.iter_mut().zip(peak).for_each(|(column, value)| column.push(value));
            totals.iter_mut().zip(total).for_each(|(column, value)| column.push(value));
        }
        let mut query = sqlx::query(ROLLUP_TEXTS.unnest.as_str());
        query = query.bind(rows.iter().map(|row| id(row.account)).collect::<Vec<_>>());
        query = query.bind(rows.iter().map(|row| row.resolution as i16 + 1).collect::<Vec<_>>());
        query = query.bind(rows.iter().map(|row| row.bucket.start().as_millis()).collect::<Vec<_>>());
        for ((sum, count), peak) in sums.into_iter().zip(counts).zip(peaks) {
            query = query.bind(sum).bind(count).bind(peak);
        }
        query = totals.into_iter().fold(query, sqlx::query::Query::bind);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
