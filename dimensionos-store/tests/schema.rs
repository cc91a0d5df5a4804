//! Tables are made, made once, and made anew.

use dimensionos_core::Platform;
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
        assert!(database.migration_state().await.unwrap().pending.is_empty());
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
    let (database, _folder) = testing::sqlite().await;
    let platform = Platform::builder(database.clone()).open().await.unwrap();
    assert_eq!(platform.allocation().tiers().len(), 4);
    database.reset().await.unwrap();
    let state = database.migration_state().await.unwrap();
    assert_eq!((state.applied.len(), state.pending.len()), (1, 0));
    Platform::builder(database).open().await.unwrap();
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
