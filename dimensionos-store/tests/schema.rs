//! Tables are made, made once, and made anew.

use std::collections::BTreeSet;

use dimensionos_core::{Platform, privacy};
use dimensionos_store::{ConnectError, Database, testing};

#[tokio::test]
async fn several_servers_may_migrate_at_once() {
    let folder = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}", folder.path().join("one.db").display());
    let opened = futures_util::future::join_all((0..4).map(|_| async {
        let database = Database::connect(&url).await.unwrap();
        database.migrate().await.unwrap();
        database
    }));
    for database in opened.await {
        database.close().await;
        assert!(Database::inspect(&url).await.unwrap().pending.is_empty());
    }
    if let Some(fresh) = testing::PostgresDatabase::create().await {
        let opened = futures_util::future::join_all((0..4).map(|_| async {
            let database = Database::connect(&fresh.url).await.unwrap();
            database.migrate().await.unwrap();
            database.close().await;
        }));
        opened.await;
    }
}

#[tokio::test]
async fn a_reset_database_is_empty_and_whole() {
    let (database, folder) = testing::sqlite().await;
    let platform = Platform::builder(database.clone()).open().await.unwrap();
    assert_eq!(platform.allocation().tiers().len(), 4);
    database.reset().await.unwrap();
    let state = Database::inspect(&Database::sqlite_url(&folder.path().join("test.db"))).await.unwrap();
    assert_eq!((state.applied.len(), state.pending.len()), (11, 0));
    Platform::builder(database).open().await.unwrap();
}

#[tokio::test]
async fn a_path_may_have_any_character_and_its_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::TempDir::new().unwrap();
    for name in ["plain", "a space", "q?mark", "pct%41x", "ha#sh", "ünïcode"] {
        let path = folder.path().join(name);
        let url = Database::sqlite_url(&path);
        assert_eq!(Database::sqlite_path(&url), Some(path.clone()));
        assert!(Database::inspect(&url).await.is_err(), "looking makes nothing");
        let database = Database::connect(&url).await.unwrap();
        assert_eq!(Database::inspect(&url).await.unwrap().pending.len(), 11);
        database.migrate().await.unwrap();
        assert_eq!(Database::inspect(&url).await.unwrap().applied.len(), 11);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        database.close().await;
    }
}

#[tokio::test]
async fn every_column_stands_in_the_inventory_and_no_other() {
    use sea_orm::{ConnectionTrait, Statement};
    let (_database, folder) = testing::sqlite().await;
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let connection = sea_orm::Database::connect(url).await.unwrap();
    let query =
        "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
        WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'";
    let statement = Statement::from_string(connection.get_database_backend(), query);
    let rows = connection.query_all_raw(statement).await.unwrap();
    let stored: BTreeSet<(String, String)> =
        rows.iter().map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap())).collect();
    let inventory = privacy::stored_data();
    let told: BTreeSet<_> = inventory.iter().map(|field| (field.table.to_owned(), field.column.clone())).collect();
    assert_eq!(told.len(), inventory.len(), "nothing is told twice");
    assert_eq!(told, stored);
}

#[tokio::test]
async fn a_url_of_another_database_is_refused() {
    for url in ["", "mysql://localhost/x", "file.db"] {
        assert!(matches!(Database::connect(url).await, Err(ConnectError::UnknownUrl)), "{url}");
    }
    let refused = Database::connect("postgres://user:hunter2@127.0.0.1:1/x").await.unwrap_err();
    let told = format!("{refused:?} {refused}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn an_account_of_the_first_schema_goes_on_under_the_present_one() {
    use dimensionos_core::store::{Access, Store};
    use migration::MigratorTrait;
    use sea_orm::ConnectionTrait;
    let folder = tempfile::TempDir::new().unwrap();
    let mut urls = vec![Database::sqlite_url(&folder.path().join("old.db")) + "?mode=rwc"];
    let postgres = testing::PostgresDatabase::create().await;
    urls.extend(postgres.iter().map(|fresh| fresh.url.clone()));
    for url in urls {
        let connection = sea_orm::Database::connect(&url).await.unwrap();
        migration::Migrator::up(&connection, Some(1)).await.unwrap();
        let (id, tag) = ("00000000-0000-0000-0000-000000000007", "07".repeat(32));
        let (id, tag) = match connection.get_database_backend() {
            sea_orm::DbBackend::Postgres => (format!("'{id}'"), format!("'\\x{tag}'")),
            _ => (format!("x'{}'", id.replace('-', "")), format!("x'{tag}'")),
        };
        let insert = format!("INSERT INTO accounts VALUES ({id}, {tag}, 5, 'FREE', 1700000000000, 1700000000000, 3)");
        connection.execute_unprepared(&insert).await.unwrap();
        let session = format!("INSERT INTO sessions VALUES ({id}, {id}, 1700000000000, 1800000000000)");
        connection.execute_unprepared(&session).await.unwrap();
        connection.close().await.unwrap();

        let database = Database::connect(&url).await.unwrap();
        database.migrate().await.unwrap();
        let mut tx = database.begin(Access::Read).await.unwrap();
        let account = tx.account(dimensionos_core::AccountId::from_bits(7)).await.unwrap().unwrap();
        assert_eq!((account.epoch, account.operator_status, account.subject_seed), (3, None, None));
        let accepted = account.terms.unwrap();
        assert_eq!((accepted.version.as_str(), accepted.accepted_at), ("1", account.created_at));
        // Its trial is what it was, and it is looked at once.
        let told = (account.trial_ends_at, account.active_since, account.told.due_at);
        let month = std::time::Duration::from_hours(30 * 24);
        assert_eq!(told, (account.created_at.after(month), account.created_at, dimensionos_core::Timestamp::EPOCH));
        let sessions = tx.sessions(account.id).await.unwrap();
        // Nobody remembers when its password was checked: it has to be checked again.
        assert_eq!(sessions[0].authenticated_at, dimensionos_core::Timestamp::EPOCH);
        drop(tx);
        database.close().await;
    }
}

#[tokio::test]
async fn what_a_tier_granted_is_its_first_version_and_what_is_in_force_outlives_the_step_back() {
    use dimensionos_core::Timestamp;
    use dimensionos_core::store::{Access, Store};
    use migration::MigratorTrait;
    use sea_orm::{ConnectionTrait, Statement};
    let folder = tempfile::TempDir::new().unwrap();
    let mut urls = vec![Database::sqlite_url(&folder.path().join("old.db")) + "?mode=rwc"];
    let postgres = testing::PostgresDatabase::create().await;
    urls.extend(postgres.iter().map(|fresh| fresh.url.clone()));
    let steps = migration::Migrator::migrations();
    let before = steps.iter().position(|step| step.name().ends_with("tier_versions")).unwrap();
    let number = |steps: usize| Some(u32::try_from(steps).unwrap());
    for url in urls {
        let connection = sea_orm::Database::connect(&url).await.unwrap();
        migration::Migrator::up(&connection, number(before)).await.unwrap();
        let insert = "INSERT INTO tier_allocations VALUES ('FREE', 1, 2, 3, 4, 'SQLITE', 5, 6, 7, 14)";
        connection.execute_unprepared(insert).await.unwrap();
        let database = Database::connect(&url).await.unwrap();
        database.migrate().await.unwrap();
        let versions = database.begin(Access::Read).await.unwrap().tier_versions().await.unwrap();
        let [first] = versions.as_slice() else { panic!("{versions:?}") };
        assert_eq!((first.version, first.effective_from), (1, Timestamp::EPOCH));
        assert_eq!((first.allocation.storage_gigabytes, first.allocation.trial_days), (3, Some(14)));

        // One that has begun, one that it took the place of, and one that is years ahead.
        for (version, from) in [(2, 2_000), (3, 1_000), (4, 200_000_000_000_000_i64)] {
            let insert = format!(
                "INSERT INTO tier_versions VALUES ('FREE', {version}, {from}, {version}, 2, 3, 4, 'SQLITE', 5, 6, 7, NULL)"
            );
            connection.execute_unprepared(&insert).await.unwrap();
        }
        migration::Migrator::down(&connection, number(steps.len() - before)).await.unwrap();
        let query = "SELECT cpu_millicores, price_cents_per_month FROM tier_allocations";
        let rows = connection.query_all_raw(Statement::from_string(connection.get_database_backend(), query));
        let rows = rows.await.unwrap();
        let kept: Vec<(i64, i64)> =
            rows.iter().map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap())).collect();
        assert_eq!(kept, [(3, 7)]);
        connection.close().await.unwrap();
        database.close().await;
    }
}
