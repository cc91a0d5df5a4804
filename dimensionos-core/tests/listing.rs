//! The accounts of the service, page by page, on a clock that is set by hand.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod setting;

use dimensionos_core::allocation::TierName;
use dimensionos_core::auth::KeyId;
use dimensionos_core::id::AccessKeyId;
use dimensionos_core::payment::ServiceStatus;
use dimensionos_core::store::{Access, Store};
use dimensionos_core::users::{Account, AccountFilter, AccountPlace, AnonymousId, MAX_LOOKED_AT};
use dimensionos_core::{AccountId, Caller, Clock, Code, Context};
use setting::{DAY, Setting, code};

/// As many accounts as asked, a day of trial more for each than for the one before, registered in that order.
async fn put(setting: &Setting, count: u32) {
    let mut tx = setting.store.begin(Access::Write).await.unwrap();
    for number in 0..count {
        let created_at = setting.clock.now().after(std::time::Duration::from_millis(number.into()));
        let mut tag = [0; 32];
        tag[..4].copy_from_slice(&number.to_be_bytes());
        let id = AccountId::from_bits(u128::from(number) + 1);
        let new = Account::new(id, AnonymousId::from_bytes(tag), KeyId::from_bits(0), created_at);
        let tier = if number % 2 == 0 { TierName::Free } else { TierName::Pro };
        let trial_ends_at = created_at.after(DAY * (number + 1));
        tx.insert_account(&Account { tier, trial_ends_at, ..new }).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn operator() -> Context {
    Context::new(Caller::Operator(AccessKeyId::from_bits(1)))
}

/// Every account of a filter, and on how many pages of that length they were.
async fn all(setting: &Setting, filter: &AccountFilter, first: u64) -> (Vec<Account>, usize) {
    let (mut found, mut pages, mut after) = (Vec::new(), 0, None::<AccountPlace>);
    loop {
        let page = setting.platform.users().list(&operator(), filter, after, first).await.unwrap();
        assert!(page.accounts.len() as u64 <= first);
        for (account, standing) in page.accounts {
            assert_eq!(standing, setting.platform.users().standing_of(&account), "the standing it was chosen by shows");
            found.push(account);
        }
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => return (found, pages),
        }
    }
}

#[tokio::test]
async fn pages_hold_every_account_once_newest_first() {
    let setting = Setting::new().await;
    put(&setting, 45).await;
    for first in [1, 7, 45, 100] {
        let (found, pages) = all(&setting, &AccountFilter::default(), first).await;
        let ids: Vec<u128> = found.iter().map(|account| account.id.bits()).collect();
        assert_eq!(ids, (1..=45).rev().collect::<Vec<_>>());
        assert_eq!(pages, usize::try_from(45_u64.div_ceil(first)).unwrap());
    }
    let pro = AccountFilter { tier: Some(TierName::Pro), ..AccountFilter::default() };
    let (found, pages) = all(&setting, &pro, 10).await;
    assert_eq!((found.len(), pages), (22, 3));
    assert!(found.iter().all(|account| account.tier == TierName::Pro));
}

#[tokio::test]
async fn a_status_is_looked_for_as_the_clock_says_it_is() {
    let setting = Setting::new().await;
    put(&setting, 40).await;
    let free = |status| AccountFilter { status: Some(status), tier: Some(TierName::Free) };
    for days in [0, 10, 10, 25, 60] {
        setting.clock.advance(DAY * days);
        let (everybody, _) = all(&setting, &free(ServiceStatus::Active), 3).await;
        let mut count = everybody.len();
        for status in [ServiceStatus::ReadOnly, ServiceStatus::Suspended, ServiceStatus::Cancelled] {
            let (found, _) = all(&setting, &free(status), 3).await;
            assert!(found.iter().all(|account| setting.platform.users().standing_of(account).status == status));
            count += found.len();
        }
        assert_eq!(count, 20, "each account has one status");
    }
    // Whose time has come is listed no more, though nobody has removed it.
    setting.clock.advance(DAY * 400);
    assert_eq!(all(&setting, &free(ServiceStatus::Cancelled), 3).await.0, []);
    assert_eq!(all(&setting, &AccountFilter { tier: Some(TierName::Free), status: None }, 3).await.0, []);
}

#[tokio::test]
async fn a_page_that_found_nothing_in_time_leads_on() {
    let setting = Setting::new().await;
    put(&setting, u32::try_from(MAX_LOOKED_AT).unwrap() * 2 + 10).await;
    // Active are those whose trial began last, and the oldest of all has ended.
    setting.clock.advance(DAY + DAY / 2);
    let lapsed = AccountFilter { status: Some(ServiceStatus::ReadOnly), tier: None };
    let (found, pages) = all(&setting, &lapsed, 5).await;
    let oldest: Vec<u128> = found.iter().map(|account| account.id.bits()).filter(|id| id % 2 == 1).collect();
    assert_eq!(oldest, [1], "of the free accounts");
    assert!(pages >= 3, "{pages}");
}

#[tokio::test]
async fn nobody_but_operators_looks_through_accounts() {
    let setting = Setting::new().await;
    put(&setting, 2).await;
    let registered = setting.register().await;
    let holder = setting.caller(registered.tokens.access_token.expose()).await;
    let list = async |context: &Context, first| {
        setting.platform.users().list(context, &AccountFilter::default(), None, first).await
    };
    let agent = Caller::Agent(AccessKeyId::from_bits(1));
    for (caller, expected) in
        [(holder, Code::Forbidden), (agent, Code::Forbidden), (Caller::Anonymous, Code::Unauthenticated)]
    {
        assert_eq!(code(list(&Context::new(caller), 10).await), expected);
    }
    for first in [0, 101] {
        assert_eq!(code(list(&operator(), first).await), Code::InvalidInput);
    }
    assert_eq!(list(&operator(), 100).await.unwrap().accounts.len(), 3);
}
