//! What is asked of several accounts at once is what is asked of each.

use std::time::Duration;

use super::enforcement::violation;
use super::quotas::put_quotas;
use super::{NOW, account, commit, id, put_account, read, row, session, write};
use crate::allocation::Resource;
use crate::id::AccountId;
use crate::monitoring::{Counter, Level, Readings, Resolution, Sample, UsageTotals};
use crate::store::Store;
use crate::tos::{Rule, Violation, ViolationFilter};

/// More than one statement asks for by a power of two; every third has nothing, and the last is not there.
const ACCOUNTS: u8 = 7;

async fn put_accounts(store: &dyn Store) -> Vec<AccountId> {
    for number in 1..ACCOUNTS {
        put_account(store, &account(number)).await;
        let owner = id(number.into());
        if number % 3 == 0 {
            continue;
        }
        let mut tx = write(store).await;
        for place in 0..=u128::from(number % 2) {
            tx.insert_session(&session(u128::from(number) * 10 + place, owner)).await.expect("the session is new");
        }
        let mut readings = Readings::default();
        for minute in 0..u64::from(number) {
            let at = NOW.after(Duration::from_secs(60 * minute));
            let sample =
                Sample::at(at).with_level(Level::RamBytes, 100 + minute).with_added(Counter::ApiCalls, minute + 1);
            readings.add(&sample);
            tx.add_usage(&[row(owner, Resolution::Minute, at, &sample)]).await.expect("usage is added");
        }
        tx.save_readings(&[(owner, readings)]).await.expect("readings are saved");
        put_quotas(&mut *tx, number).await;
        tx.save_detectors(&[(owner, vec![number])]).await.expect("the state is kept");
        for place in 0..number {
            let violation = violation(number * 10 + place, owner, Rule::Scan);
            tx.insert_violation(&violation).await.expect("the violation is new");
        }
        commit(tx).await;
    }
    (1..=ACCOUNTS).map(|number| id(number.into())).collect()
}

pub async fn several_accounts_are_read_as_each_of_them_is(store: &dyn Store) {
    let ids = put_accounts(store).await;
    let range = (NOW, NOW.after(Duration::from_secs(240)));
    let mut tx = read(store).await;
    let mut accounts = tx.accounts(&ids).await.unwrap();
    accounts.sort_by_key(|account| account.id);
    assert_eq!(accounts, (1..ACCOUNTS).map(account).collect::<Vec<_>>());
    let sessions = tx.sessions_of(&ids).await.unwrap();
    let overrides = tx.overrides_of(&ids).await.unwrap();
    let readings = tx.readings_of(&ids).await.unwrap();
    let detectors = tx.detectors_of(&ids).await.unwrap();
    let all = tx.usage_of_each(&ids, None, Resolution::Minute, range).await.unwrap();
    let of_memory = tx.usage_of_each(&ids, Some(Resource::Ram), Resolution::Minute, range).await.unwrap();
    let totals = tx.usage_totals(&ids, Resolution::Minute, range).await.unwrap();
    let violations = tx.violations_of(&ids, None, 3).await.unwrap();
    let place = violations.get(violations.len() / 2).map(Violation::place);
    let later = tx.violations_of(&ids, place, 2).await.unwrap();
    for owner in ids {
        let own: Vec<_> = sessions.iter().filter(|session| session.account == owner).cloned().collect();
        assert_eq!(own, tx.sessions(owner).await.unwrap());
        let own: Vec<_> = overrides.iter().filter(|(account, _)| *account == owner).map(|(_, own)| *own).collect();
        assert_eq!(own, tx.overrides(owner).await.unwrap());
        let own = readings.iter().find(|(account, _)| *account == owner).map(|(_, own)| *own);
        assert_eq!(own.unwrap_or_default(), tx.readings(owner).await.unwrap());
        let own = detectors.iter().find(|(account, _)| *account == owner).map(|(_, own)| own.clone());
        assert_eq!(own, tx.detectors(owner).await.unwrap());
        let buckets = tx.usage(owner, Resolution::Minute, range.0, range.1).await.unwrap();
        let own: Vec<_> = all.iter().filter(|row| row.0 == owner).map(|row| (row.1, row.2)).collect();
        assert_eq!(own, buckets);
        let own: Vec<_> = of_memory.iter().filter(|row| row.0 == owner).map(|row| (row.1, row.2)).collect();
        assert_eq!(own, tx.usage_of(owner, Resource::Ram, Resolution::Minute, range).await.unwrap());
        let mut expected = UsageTotals::default();
        buckets.iter().for_each(|(_, bucket)| expected.add(bucket));
        let own = totals.iter().find(|(account, _)| *account == owner).map(|(_, own)| *own);
        assert_eq!(own.unwrap_or_default(), expected);
        let filter = ViolationFilter { account: Some(owner), ..ViolationFilter::default() };
        let own: Vec<_> = violations.iter().filter(|one| one.account == owner).cloned().collect();
        assert_eq!(own, tx.violations(&filter, None, 3).await.unwrap());
        let own: Vec<_> = later.iter().filter(|one| one.account == owner).cloned().collect();
        assert_eq!(own, tx.violations(&filter, place, 2).await.unwrap());
    }
}
