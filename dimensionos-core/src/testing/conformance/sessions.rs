//! Sessions, refresh tokens and the keys of agents and operators.

use std::time::Duration;

use super::{NOW, account, commit, digest, id, put_account, read, refresh, session, write};
use crate::auth::{AccessKey, RefreshRecord, Role, Session};
use crate::id::AccessKeyId;
use crate::store::{Store, StoreError};

pub async fn an_ended_session_takes_its_refresh_tokens_along(store: &dyn Store) {
    for number in [1, 2] {
        put_account(store, &account(number)).await;
    }
    let sessions = [session(1, id(1)), session(2, id(1)), session(3, id(2))];
    let mut tx = write(store).await;
    for (number, session) in (1..).zip(&sessions) {
        tx.insert_session(session).await.expect("the session is new");
        tx.insert_refresh(&refresh(number, session)).await.expect("the token is new");
    }
    tx.end_session(sessions[0].id).await.expect("the session ends");
    tx.end_session(sessions[0].id).await.expect("ending it again does nothing");
    commit(tx).await;

    let mut tx = write(store).await;
    assert_eq!(tx.session(sessions[0].id).await.unwrap(), None);
    assert_eq!(tx.refresh(&digest(1)).await.unwrap(), None);
    assert_eq!(tx.sessions(id(1)).await.unwrap(), [sessions[1].clone()]);
    tx.end_sessions(id(1)).await.expect("all sessions end");
    commit(tx).await;

    let mut tx = read(store).await;
    assert_eq!(tx.sessions(id(1)).await.unwrap(), []);
    assert_eq!(tx.refreshes(id(1)).await.unwrap(), []);
    assert_eq!(tx.refreshes(id(2)).await.unwrap(), [refresh(3, &sessions[2])]);
    assert_eq!(tx.refresh(&digest(2)).await.unwrap(), None);
    assert_eq!(tx.session(sessions[2].id).await.unwrap(), Some(sessions[2].clone()));
    assert!(tx.refresh(&digest(3)).await.unwrap().is_some());
}

pub async fn what_ran_out_is_purged_and_nothing_else(store: &dyn Store) {
    put_account(store, &account(1)).await;
    let old = session(1, id(1));
    let young = Session { expires_at: old.expires_at.after(Duration::from_secs(60)), ..session(2, id(1)) };
    let mut tx = write(store).await;
    for session in [&old, &young] {
        tx.insert_session(session).await.expect("the session is new");
    }
    tx.insert_refresh(&refresh(1, &old)).await.expect("the token is new");
    tx.insert_refresh(&refresh(2, &young)).await.expect("the token is new");
    assert_eq!(tx.purge_sessions(old.expires_at).await.unwrap(), 0);
    assert_eq!(tx.purge_sessions(young.expires_at).await.unwrap(), 1);
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!(tx.sessions(id(1)).await.unwrap(), [young]);
    assert_eq!(tx.refresh(&digest(1)).await.unwrap(), None);
    assert!(tx.refresh(&digest(2)).await.unwrap().is_some());
}

pub async fn a_refresh_token_remembers_its_first_use(store: &dyn Store) {
    put_account(store, &account(1)).await;
    let session = session(1, id(1));
    let later = session.expires_at.after(Duration::from_secs(5));
    let mut tx = write(store).await;
    tx.insert_session(&session).await.expect("the session is new");
    tx.insert_refresh(&refresh(1, &session)).await.expect("the token is new");
    tx.mark_refresh_used(&digest(1), NOW).await.expect("the use is written");
    tx.extend_session(session.id, later).await.expect("the session is extended");
    tx.mark_authenticated(session.id, later).await.expect("the check is written");
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!(
        tx.refresh(&digest(1)).await.unwrap(),
        Some(RefreshRecord { used_at: Some(NOW), ..refresh(1, &session) })
    );
    assert_eq!(
        tx.session(session.id).await.unwrap(),
        Some(Session { expires_at: later, authenticated_at: later, ..session })
    );
}

pub async fn a_key_name_is_given_once_a_role(store: &dyn Store) {
    let key = |number: u8, role, name: &str| AccessKey {
        id: AccessKeyId::from_bits(u128::from(number)),
        role,
        name: name.parse().expect("a good name"),
        digest: digest(number),
        created_at: NOW,
    };
    let mut tx = write(store).await;
    tx.insert_access_key(&key(1, Role::Agent, "one")).await.expect("the name is new");
    tx.insert_access_key(&key(2, Role::Operator, "one")).await.expect("the name is new to the role");
    commit(tx).await;
    let mut tx = write(store).await;
    assert!(matches!(tx.insert_access_key(&key(3, Role::Agent, "one")).await, Err(StoreError::Conflict)));
    drop(tx);
    let mut tx = read(store).await;
    assert_eq!(tx.access_key(&digest(2)).await.unwrap(), Some(key(2, Role::Operator, "one")));
    assert_eq!(tx.access_key(&digest(3)).await.unwrap(), None);
    let by_id = |number| AccessKeyId::from_bits(number);
    assert_eq!(tx.access_key_by_id(by_id(1)).await.unwrap(), Some(key(1, Role::Agent, "one")));
    assert_eq!(tx.access_key_by_id(by_id(3)).await.unwrap(), None);
}

pub async fn keys_of_a_role_are_listed_newest_first_in_pages(store: &dyn Store) {
    let key = |number: u8, role, seconds: u64| AccessKey {
        id: AccessKeyId::from_bits(u128::from(number) << 100 | u128::from(number)),
        role,
        name: format!("key-{number}").parse().expect("a good name"),
        digest: digest(number),
        created_at: NOW.after(Duration::from_secs(seconds)),
    };
    // Three of one instant, and the ids against the order of the instants.
    let agents = [key(4, Role::Agent, 9), key(7, Role::Agent, 5), key(6, Role::Agent, 5), key(2, Role::Agent, 5)];
    let operator = key(5, Role::Operator, 7);
    let mut tx = write(store).await;
    for key in [&agents[2], &operator, &agents[0], &agents[3], &agents[1]] {
        tx.insert_access_key(key).await.expect("the name is new");
    }
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!(tx.list_access_keys(Role::Agent, None, 100).await.unwrap(), agents);
    assert_eq!(tx.list_access_keys(Role::Agent, None, 2).await.unwrap(), agents[..2]);
    for (place, listed) in agents.iter().enumerate() {
        let after = Some(listed.place());
        assert_eq!(tx.list_access_keys(Role::Agent, after, 100).await.unwrap(), agents[place + 1..]);
    }
    assert_eq!(tx.list_access_keys(Role::Operator, None, 100).await.unwrap(), [operator]);
}
