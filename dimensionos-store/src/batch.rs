//! Many rows added to a table, by statements whose text never changes: the driver keeps what it prepared by its text,
//! and a text made anew for each number of rows costs more than the rows do.

use dimensionos_core::store::StoreError;
use sea_orm::sea_query::{ArrayType, Value};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::error::store_error;
use crate::transaction::SqlTx;

/// SQLite's statements, by the powers of two of their rows: as many as 64 share a way to its thread and back, and any
/// number is made of few.
const SQLITE_SIZES: usize = 7;
/// Fewer rows than this PostgreSQL is given one by one: planning over as many arrays as there are columns takes longer
/// than they do. A lone report has three.
const POSTGRES_FEW: usize = 4;
/// Rows of one of PostgreSQL's statements: its arrays are then some hundreds of KB.
const POSTGRES_ROWS: usize = 4_096;
/// What stands for null in an array, which the driver cannot send nulls in: none of our figures or times comes near it.
const NO_INTEGER: i64 = i64::MIN;
/// The same for a sum, which is never below 0.
const NO_SUM: f64 = -1.0;

/// What a column holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Id,
    Small,
    Integer,
    IntegerOrNull,
    DoubleOrNull,
    Text,
}

impl Kind {
    const fn postgres(self) -> (&'static str, ArrayType) {
        match self {
            Self::Id => ("uuid", ArrayType::Uuid),
            Self::Small => ("smallint", ArrayType::SmallInt),
            Self::Integer | Self::IntegerOrNull => ("bigint", ArrayType::BigInt),
            Self::DoubleOrNull => ("float8", ArrayType::Double),
            Self::Text => ("text", ArrayType::String),
        }
    }
}

/// An insertion of rows into one table.
#[derive(Debug)]
pub(crate) struct Batch {
    kinds: Vec<Kind>,
    sqlite: [String; SQLITE_SIZES],
    /// PostgreSQL's statements of one row, of two and of three.
    few: [String; POSTGRES_FEW - 1],
    many: String,
}

impl Batch {
    /// `conflict` is what follows `ON CONFLICT`.
    pub(crate) fn new(table: &str, columns: &[(String, Kind)], conflict: &str) -> Self {
        let names = columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let values = |rows: usize, place: &dyn Fn(usize) -> String| {
            let row = |row: usize| {
                let places = (1..=columns.len()).map(|column| place(row * columns.len() + column));
                format!("({})", places.collect::<Vec<_>>().join(", "))
            };
            let rows = (0..rows).map(row).collect::<Vec<_>>().join(", ");
            format!("INSERT INTO {table} ({names}) VALUES {rows} ON CONFLICT {conflict}")
        };
        let sqlite = std::array::from_fn(|size| values(1 << size, &|_| "?".to_owned()));
        let few = std::array::from_fn(|others| values(others + 1, &|place| format!("${place}")));
        let fields = columns.iter().map(|(name, kind)| match kind {
            Kind::IntegerOrNull => format!("NULLIF({name}, '{NO_INTEGER}'::bigint)"),
            Kind::DoubleOrNull => format!("NULLIF({name}, {NO_SUM})"),
            _ => name.clone(),
        });
        let fields = fields.collect::<Vec<_>>().join(", ");
        let arrays = columns.iter().zip(1..).map(|((_, kind), place)| format!("${place}::{}[]", kind.postgres().0));
        let arrays = arrays.collect::<Vec<_>>().join(", ");
        let many = format!(
            "INSERT INTO {table} ({names}) SELECT {fields} FROM UNNEST({arrays}) AS added ({names}) \
             ON CONFLICT {conflict}"
        );
        Self { kinds: columns.iter().map(|(_, kind)| *kind).collect(), sqlite, few, many }
    }
}

impl SqlTx {
    /// Adds rows, each written by `write` as one value a column.
    pub(crate) async fn add_rows<T: Sync>(
        &self,
        batch: &Batch,
        mut rows: &[T],
        write: impl Fn(&T, &mut Vec<Value>) + Send,
    ) -> Result<(), StoreError> {
        let backend = self.sql.get_database_backend();
        let mut values = Vec::new();
        while !rows.is_empty() {
            let (text, count) = if backend == DbBackend::Postgres {
                match batch.few.get(rows.len() - 1) {
                    Some(few) => (few, rows.len()),
                    None => (&batch.many, rows.len().min(POSTGRES_ROWS)),
                }
            } else {
                let size = (rows.len().ilog2() as usize).min(SQLITE_SIZES - 1);
                (&batch.sqlite[size], 1 << size)
            };
            let (now, later) = rows.split_at(count);
            rows = later;
            values.reserve(count * batch.kinds.len());
            now.iter().for_each(|row| write(row, &mut values));
            let values = std::mem::take(&mut values);
            let is_unnested = backend == DbBackend::Postgres && count >= POSTGRES_FEW;
            let values = if is_unnested { batch.arrays(values) } else { values };
            let statement = Statement::from_sql_and_values(backend, text, values);
            self.sql.execute_raw(statement).await.map_err(store_error)?;
        }
        Ok(())
    }
}

impl Batch {
    /// An array for each column.
    fn arrays(&self, values: Vec<Value>) -> Vec<Value> {
        let rows = values.len() / self.kinds.len();
        let mut columns: Vec<Vec<Value>> = self.kinds.iter().map(|_| Vec::with_capacity(rows)).collect();
        for (place, value) in values.into_iter().enumerate() {
            columns[place % self.kinds.len()].push(match value {
                Value::BigInt(None) => Value::BigInt(Some(NO_INTEGER)),
                Value::Double(None) => Value::Double(Some(NO_SUM)),
                value => value,
            });
        }
        let array = |(kind, column): (&Kind, _)| Value::Array(kind.postgres().1, Some(Box::new(column)));
        self.kinds.iter().zip(columns).map(array).collect()
    }
}
