//! Many who use one token or code at once, on every storage.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::BTreeSet;
use std::time::Duration;

use dimensionos_core::auth::{HashCost, Password, SignedIn};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::store::{Access, Store};
use dimensionos_core::testing::FixedClock;
use dimensionos_core::users::Registration;
use dimensionos_core::{Caller, Code, Context, Error, Platform};
use dimensionos_store::{Database, testing};

async fn a_hundred_refreshes_of_one_token(database: Database) {
    let clock = FixedClock::default();
    let builder = Platform::builder(database.clone()).clock(clock.clone()).hash_cost(HashCost::for_tests());
    let platform = builder.open().await.unwrap();
    let password = Password::new("violet harbour kestrel 41").unwrap();
    let anonymous = Context::anonymous();
    let registered = platform.users().register(&anonymous, Registration::new(None, password)).await.unwrap();
    let auth = platform.auth();
    let all_at_once = async |token: &dimensionos_core::secret::RefreshToken| {
        let tries = (0..100).map(|_| async {
            loop {
                match auth.refresh(&anonymous, token).await {
                    // Whoever waits too long for a connection tries again, as a client does.
                    Err(error) if error.code() == Code::Busy || error.code() == Code::Internal => {}
                    other => return other,
                }
            }
        });
        futures_util::future::join_all(tries).await
    };
    let is_live = async |signed_in: &SignedIn| {
        let token = BearerToken::new(signed_in.tokens.access_token.expose());
        matches!(auth.caller(&token).await.unwrap(), Caller::Account(_))
    };

    let pairs: Vec<SignedIn> =
        all_at_once(&registered.tokens.refresh_token).await.into_iter().map(Result::unwrap).collect();
    let sessions: BTreeSet<_> = pairs.iter().map(|pair| pair.tokens.principal.session).collect();
    assert_eq!(sessions.len(), 1, "one family");
    for pair in &pairs {
        assert!(is_live(pair).await);
    }
    let mut tx = database.begin(Access::Read).await.unwrap();
    let stored = tx.sessions(registered.account.id).await.unwrap();
    assert_eq!(stored.iter().map(|session| session.id).collect::<BTreeSet<_>>(), sessions);
    drop(tx);

    // Replayed after the window, by a hundred at once: the family ends, and every one of them is told a consistent tale.
    clock.advance(Duration::from_secs(11));
    let replayed = all_at_once(&registered.tokens.refresh_token).await;
    let codes: Vec<Code> =
        replayed.iter().map(|one| one.as_ref().map_err(Error::code).map(|_| ()).unwrap_err()).collect();
    assert_eq!(codes.iter().filter(|code| **code == Code::TokenReused).count(), 1);
    assert!(codes.iter().all(|code| matches!(code, Code::TokenReused | Code::TokenInvalid)));
    for pair in &pairs {
        assert!(!is_live(pair).await);
        assert_eq!(auth.refresh(&anonymous, &pair.tokens.refresh_token).await.unwrap_err().code(), Code::TokenInvalid);
    }
    let mut tx = database.begin(Access::Read).await.unwrap();
    assert!(tx.sessions(registered.account.id).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_refreshes_of_one_token_leave_one_family_on_sqlite() {
    let (database, _folder) = testing::sqlite().await;
    a_hundred_refreshes_of_one_token(database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_refreshes_of_one_token_leave_one_family_on_postgres() {
    let Some((database, _guard)) = testing::postgres().await else { return };
    a_hundred_refreshes_of_one_token(database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_agrees_with_the_storage_however_early_a_caller_hangs_up() {
    let (database, _folder) = testing::sqlite().await;
    let platform = Platform::builder(database.clone()).hash_cost(HashCost::for_tests()).open().await.unwrap();
    let password = Password::new("violet harbour kestrel 41").unwrap();
    let anonymous = Context::anonymous();
    let (mut ended, mut open) = (0, 0);
    for step in 0..60_u64 {
        let registered =
            platform.users().register(&anonymous, Registration::new(None, password.clone())).await.unwrap();
        let token = BearerToken::new(registered.tokens.access_token.expose());
        let context = Context::new(platform.auth().caller(&token).await.unwrap());
        let auth = platform.auth();
        let _ = tokio::time::timeout(Duration::from_micros(step * 25), auth.logout_everywhere(&context)).await;
        // Whatever was under way when it was dropped has come to its end by now.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut tx = database.begin(Access::Read).await.unwrap();
        let is_stored = !tx.sessions(registered.account.id).await.unwrap().is_empty();
        drop(tx);
        let is_known = matches!(platform.auth().caller(&token).await.unwrap(), Caller::Account(_));
        assert_eq!(is_known, is_stored, "hung up after {} µs", step * 25);
        if is_stored { open += 1 } else { ended += 1 }
    }
    assert!(open > 0 && ended > 0, "hung up too late or too early each time: {open} and {ended}");
}
