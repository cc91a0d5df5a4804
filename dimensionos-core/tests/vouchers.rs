//! Vouchers through the services: what is bought blind pays for whoever redeems it, and once.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod setting;

use std::time::Duration;

use dimensionos_core::allocation::TierName;
use dimensionos_core::auth::{Keys, VoucherKey};
use dimensionos_core::jobs::JobName;
use dimensionos_core::payment::voucher::{
    Blinded, Denomination, Epoch, Issue, IssuingKey, Order, PublishedKey, REDEEMABLE_EPOCHS, Voucher,
};
use dimensionos_core::payment::{Grant, ServiceStatus, StatusReason};
use dimensionos_core::store::{Access, Store};
use dimensionos_core::testing::FixedClock;
use dimensionos_core::users::Registration;
use dimensionos_core::{Clock, Code, Context, Error, MemoryStore, OsEntropy, Platform, Timestamp};
use setting::{DAY, Setting, attester, code, keys, password};

fn denomination(text: &str) -> Denomination {
    text.parse().unwrap()
}

fn secret(number: u8) -> VoucherKey {
    VoucherKey::from_bytes([number; 32])
}

fn with_secrets(secrets: &[u8]) -> Keys {
    keys(&[1]).with_vouchers(secrets.iter().copied().map(secret).collect())
}

async fn server(store: &MemoryStore, clock: &FixedClock, secrets: &[u8]) -> Platform {
    setting::platform(store, clock, with_secrets(secrets)).await
}

fn attest(clock: &FixedClock, what: &str, count: usize) -> String {
    let grant = Grant::Vouchers { denomination: denomination(what), count };
    attester().attest(grant, clock.now(), DAY * 400, &OsEntropy).unwrap()
}

fn order(clock: &FixedClock, what: &str, count: usize) -> Order {
    Order::new(denomination(what), count, clock.now(), &OsEntropy).unwrap()
}

async fn issue(platform: &Platform, attestation: &str, order: &Order) -> Result<Issue, Error> {
    platform.payment().issue_vouchers(attestation, order.blinded()).await
}

async fn published(platform: &Platform) -> Vec<PublishedKey> {
    platform.payment().voucher_keys().await.unwrap()
}

/// Pays for, buys and unblinds.
async fn buy(platform: &Platform, clock: &FixedClock, what: &str, count: usize) -> Vec<Voucher> {
    let order = order(clock, what, count);
    let issued = issue(platform, &attest(clock, what, count), &order).await.unwrap();
    order.finish(&issued, &published(platform).await).unwrap()
}

/// Ada, who has just signed in again.
async fn signed_in(setting: &Setting) -> Context {
    Context::new(setting.caller(&setting.login().await.unwrap()).await)
}

/// Another account, signed in.
async fn somebody(setting: &Setting, platform: &Platform) -> Context {
    let registration = Registration::new(None, password());
    let registered = platform.users().register(&Context::anonymous(), registration).await.unwrap();
    setting.context(&registered.tokens).await
}

fn until(result: Result<dimensionos_core::users::Account, Error>, tier: TierName) -> Option<Timestamp> {
    result.unwrap().paid.until(tier)
}

#[tokio::test]
async fn a_voucher_pays_for_whoever_redeems_it_from_now_or_from_the_end_of_what_is_paid() {
    let setting = Setting::new().await;
    let (payment, clock) = (setting.platform.payment(), &setting.clock);
    let vouchers = buy(&setting.platform, clock, "STARTER:30", 3).await;
    let pro = buy(&setting.platform, clock, "PRO:30", 1).await;
    setting.register().await;

    let start = clock.now();
    let account = payment.redeem_voucher(&signed_in(&setting).await, &vouchers[0]).await.unwrap();
    assert_eq!((account.tier, account.paid.until(TierName::Starter)), (TierName::Starter, Some(start.after(DAY * 30))));
    clock.advance(DAY * 10);
    let own = signed_in(&setting).await;
    assert_eq!(until(payment.redeem_voucher(&own, &vouchers[1]).await, TierName::Starter), Some(start.after(DAY * 60)));
    // What was paid for has run out meanwhile: no day is lost to the past.
    clock.advance(DAY * 60);
    let (late, own) = (clock.now(), signed_in(&setting).await);
    assert_eq!(until(payment.redeem_voucher(&own, &vouchers[2]).await, TierName::Starter), Some(late.after(DAY * 30)));

    let account = payment.redeem_voucher(&own, &pro[0]).await.unwrap();
    assert_eq!((account.tier, account.paid.until(TierName::Pro)), (TierName::Pro, Some(late.after(DAY * 30))));
    let other = somebody(&setting, &setting.platform).await;
    let refused = payment.redeem_voucher(&other, &pro[0]).await;
    assert_eq!(code(refused), Code::AttestationSpent);
}

#[tokio::test]
async fn a_spent_voucher_is_refused_to_everybody_after_a_restart_and_by_another_server() {
    let setting = Setting::new().await;
    let voucher = buy(&setting.platform, &setting.clock, "STARTER:30", 1).await.remove(0);
    let own = setting.context(&setting.register().await.tokens).await;
    let other = somebody(&setting, &setting.platform).await;
    let another = setting::platform(&setting.store, &setting.clock, keys(&[1])).await;
    let (one, two) = (setting.platform.payment(), another.payment());
    let both = tokio::join!(one.redeem_voucher(&own, &voucher), two.redeem_voucher(&other, &voucher));
    let (redeemed, refused): (Vec<_>, Vec<_>) = [both.0, both.1].into_iter().partition(Result::is_ok);
    assert_eq!((redeemed.len(), refused.len()), (1, 1));
    assert_eq!(code(refused.into_iter().next().unwrap()), Code::AttestationSpent);
    let restarted = setting::platform(&setting.store, &setting.clock, keys(&[1])).await;
    for server in [&setting.platform, &another, &restarted] {
        for context in [&own, &other] {
            assert_eq!(code(server.payment().redeem_voucher(context, &voucher).await), Code::AttestationSpent);
        }
    }
}

#[tokio::test]
async fn what_no_server_here_issued_is_refused_and_changes_nothing() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    let registered = setting.register().await;
    let own = setting.context(&registered.tokens).await;
    let voucher = buy(platform, clock, "STARTER:30", 1).await.remove(0);
    let text = voucher.expose();
    let renamed = |from: &str, to: &str| text.replacen(from, to, 1).parse::<Voucher>();
    let mut forged: Vec<Voucher> = Vec::new();
    for place in 13..text.len() - 1 {
        let other = if &text[place..=place] == "A" { "B" } else { "A" };
        forged.push(format!("{}{other}{}", &text[..place], &text[place + 1..]).parse().unwrap());
    }
    assert!(renamed("dimv_", "dimr_").is_err());
    // Another deployment's, of the same epoch and denomination, of another, and of an epoch and denomination unheard of.
    let epoch = Epoch::of(clock.now());
    for (epoch, what) in
        [(epoch.number(), "STARTER:30"), (epoch.number(), "PRO:31"), (epoch.number() + 1, "STARTER:30")]
    {
        let key = IssuingKey::derive(&secret(77), Epoch::from_number(epoch), denomination(what)).unwrap();
        let order = order(clock, what, 1);
        let issued = key.issue(&order.blinded(), &OsEntropy).unwrap();
        forged.extend(order.finish(&issued, &[key.published()]).unwrap());
    }
    assert!(forged.len() > 80);
    for forged in &forged {
        let refused = platform.payment().redeem_voucher(&own, forged).await;
        assert_eq!(code(refused), Code::AttestationInvalid);
    }
    let account = platform.users().account(&own, registered.account.id).await.unwrap();
    assert_eq!((account.tier, account.paid), (TierName::Free, registered.account.paid));
    // None of them has used it up.
    platform.payment().redeem_voucher(&own, &voucher).await.unwrap();
}

#[tokio::test]
async fn a_voucher_is_good_to_the_last_millisecond_of_its_two_years_and_no_longer() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    let vouchers = buy(platform, clock, "STARTER:30", 2).await;
    let end = Epoch::of(clock.now()).redeemable_until();
    assert!(end.since(clock.now()) > DAY * 730);
    clock.set(end.before(Duration::from_millis(1)));
    let own = setting.context(&setting.register().await.tokens).await;
    platform.payment().redeem_voucher(&own, &vouchers[0]).await.unwrap();
    clock.set(end);
    let own = somebody(&setting, platform).await;
    assert_eq!(code(platform.payment().redeem_voucher(&own, &vouchers[1]).await), Code::AttestationInvalid);
    assert!(published(platform).await.iter().all(|key| key.epoch >= Epoch::of(end).oldest_redeemable()));
}

#[tokio::test]
async fn what_is_kept_of_vouchers_goes_once_no_server_can_redeem_them() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    let bought_in = Epoch::of(clock.now());
    let vouchers = buy(platform, clock, "STARTER:30", 2).await;
    platform.payment().redeem_voucher(&somebody(&setting, platform).await, &vouchers[0]).await.unwrap();
    let kept = async || {
        platform.jobs().run(&Context::system(), JobName::Purge).await.unwrap();
        let mut tx = setting.store.begin(Access::Write).await.unwrap();
        let is_spent = tx.spend_voucher(bought_in, &vouchers[0].nullifier()).await.is_err();
        let is_published = tx.voucher_keys().await.unwrap().iter().any(|key| key.epoch == bought_in);
        assert_eq!(is_spent, is_published);
        is_spent
    };
    // A server whose clock is behind, by a quarter at most, still finds what was spent.
    clock.set(bought_in.redeemable_until());
    assert!(kept().await);
    clock.set(Epoch::from_number(bought_in.number() + 1).redeemable_until());
    assert!(!kept().await);
    for voucher in &vouchers {
        let refused = platform.payment().redeem_voucher(&somebody(&setting, platform).await, voucher).await;
        assert_eq!(code(refused), Code::AttestationInvalid);
    }
}

#[tokio::test]
async fn an_attestation_is_spent_on_one_request_which_is_answered_whenever_it_comes_again() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    let (paid, order, other) =
        (attest(clock, "STARTER:30", 2), order(clock, "STARTER:30", 2), order(clock, "STARTER:30", 2));
    let first = issue(platform, &paid, &order).await.unwrap();
    assert_eq!(code(issue(platform, &paid, &other).await), Code::AttestationSpent);

    let another = setting::platform(&setting.store, clock, keys(&[1])).await;
    let vouchers = order.finish(&first, &published(platform).await).unwrap();
    for epochs in 0..=REDEEMABLE_EPOCHS.min(3) {
        let again = issue(&another, &paid, &order).await.unwrap();
        assert_eq!(again.key, first.key, "{epochs} epochs later it is met under the first key, and not under two");
        assert_eq!(again.elements.texts(), first.elements.texts());
        let finished = order.finish(&again, &published(&another).await).unwrap();
        assert_eq!(finished[0].expose(), vouchers[0].expose());
        assert_eq!(code(issue(&another, &paid, &other).await), Code::AttestationSpent);
        clock.advance(DAY * 91);
    }
}

#[tokio::test]
async fn of_requests_that_come_at_once_the_same_are_answered_and_of_others_one() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    let another = setting::platform(&setting.store, clock, keys(&[1])).await;
    for _ in 0..20 {
        let (paid, order, other) = (attest(clock, "PRO:30", 1), order(clock, "PRO:30", 1), order(clock, "PRO:30", 1));
        let (one, same, otherwise) = tokio::join!(
            issue(platform, &paid, &order),
            issue(&another, &paid, &order),
            issue(&another, &paid, &other)
        );
        assert_eq!(one.is_ok(), same.is_ok());
        assert_ne!(one.is_ok(), otherwise.is_ok());
        let refused: Vec<_> = [one, same, otherwise].into_iter().filter(Result::is_err).map(code).collect();
        assert!(refused.iter().all(|code| *code == Code::AttestationSpent));
    }
}

#[tokio::test]
async fn what_does_not_buy_vouchers_spends_nothing() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    let account = setting.register().await.account.id;
    let one = order(clock, "STARTER:30", 1);
    let for_account = setting.attest(account, TierName::Starter, clock.now().after(DAY * 30));
    assert_eq!(code(issue(platform, &for_account, &one).await), Code::AttestationInvalid);
    platform.payment().report(&Context::system(), &for_account).await.unwrap();

    // Nobody else buys those: whoever redeemed one would be known.
    let odd = attest(clock, "STARTER:31", 1);
    assert_eq!(code(issue(platform, &odd, &order(clock, "STARTER:31", 1)).await), Code::AttestationInvalid);

    let two = attest(clock, "STARTER:30", 2);
    for count in [1, 3] {
        assert_eq!(code(issue(platform, &two, &order(clock, "STARTER:30", count)).await), Code::InvalidInput);
    }
    let mut forged = two.clone();
    forged.replace_range(
        forged.len() - 5..forged.len() - 4,
        if forged.as_bytes()[forged.len() - 5] == b'A' { "B" } else { "A" },
    );
    let order = order(clock, "STARTER:30", 2);
    assert_eq!(code(issue(platform, &forged, &order).await), Code::AttestationInvalid);
    assert_eq!(code(platform.payment().report(&Context::system(), &two).await), Code::AttestationInvalid);
    issue(platform, &two, &order).await.unwrap();
}

#[tokio::test]
async fn what_is_not_offered_any_more_is_still_redeemed_and_asked_for_again() {
    let setting = Setting::new().await;
    let clock = &setting.clock;
    let offered = |list: &[&str]| list.iter().map(|text| denomination(text)).collect::<Vec<_>>();
    let open = |list| {
        let builder = Platform::builder(setting.store.clone()).clock(clock.clone()).keys(keys(&[1]));
        builder.denominations(list).open()
    };
    let before = open(offered(&["STARTER:30", "PRO:365"])).await.unwrap();
    let names: Vec<_> = published(&before).await.iter().map(|key| key.denomination.to_string()).collect();
    assert_eq!(names, ["STARTER:30", "PRO:365"]);
    let (paid, order) = (attest(clock, "PRO:365", 1), order(clock, "PRO:365", 1));
    let issued = issue(&before, &paid, &order).await.unwrap();
    let after = open(offered(&["STARTER:30"])).await.unwrap();
    let vouchers = order.finish(&issue(&after, &paid, &order).await.unwrap(), &[issued.key]).unwrap();
    let own = setting.context(&setting.register().await.tokens).await;
    after.payment().redeem_voucher(&own, &vouchers[0]).await.unwrap();
}

#[tokio::test]
async fn servers_that_share_a_secret_publish_one_key_and_one_with_another_secret_issues_nothing() {
    let setting = Setting::new().await;
    let (store, clock) = (&setting.store, &setting.clock);
    let (one, two, stranger) =
        (server(store, clock, &[1]).await, server(store, clock, &[1]).await, server(store, clock, &[2]).await);
    let (first, second) = tokio::join!(published(&one), published(&two));
    assert_eq!((first.len(), &first), (3, &second));

    assert_eq!(code(stranger.payment().voucher_keys().await), Code::Internal);
    let (paid, order) = (attest(clock, "STARTER:30", 1), order(clock, "STARTER:30", 1));
    assert_eq!(code(issue(&stranger, &paid, &order).await), Code::Internal);
    // It has spent nothing.
    let issued = issue(&one, &paid, &order).await.unwrap();
    let voucher = order.finish(&issued, &first).unwrap().remove(0);
    let own = setting.context(&setting.register().await.tokens).await;
    assert_eq!(code(stranger.payment().redeem_voucher(&own, &voucher).await), Code::Internal);
    two.payment().redeem_voucher(&own, &voucher).await.unwrap();
}

#[tokio::test]
async fn a_new_secret_makes_the_keys_of_the_next_epoch_and_leaves_those_of_this_one() {
    let setting = Setting::new().await;
    let (store, clock) = (&setting.store, &setting.clock);
    let platform = server(store, clock, &[1]).await;
    let before = published(&platform).await;
    let vouchers = buy(&platform, clock, "STARTER:30", 1).await;
    platform.replace_keys(with_secrets(&[2, 1])).unwrap();
    assert_eq!(published(&platform).await, before);
    clock.advance(DAY * 92);
    let after = published(&platform).await;
    let of_new: Vec<_> = after.iter().filter(|key| !before.contains(key)).copied().collect();
    assert_eq!((after.len(), of_new.len()), (6, 3));
    for key in of_new {
        assert_eq!(IssuingKey::derive(&secret(2), key.epoch, key.denomination).unwrap().published(), key);
    }
    let own = setting.context(&setting.register().await.tokens).await;
    platform.payment().redeem_voucher(&own, &vouchers[0]).await.unwrap();
}

#[tokio::test]
async fn only_an_account_redeems_and_one_that_has_lapsed_is_back_by_it() {
    let setting = Setting::new().await;
    let platform = &setting.platform;
    let voucher = buy(platform, &setting.clock, "STARTER:30", 1).await.remove(0);
    assert_eq!(code(platform.payment().redeem_voucher(&Context::anonymous(), &voucher).await), Code::Unauthenticated);
    assert_eq!(code(platform.payment().redeem_voucher(&Context::system(), &voucher).await), Code::Forbidden);
    let registered = setting.register().await;
    setting.clock.advance(DAY * 70);
    let id = registered.account.id;
    let standing = platform.users().standing(&Context::system(), id).await.unwrap();
    assert_eq!((standing.status, standing.reason), (ServiceStatus::Suspended, StatusReason::TrialExpired));
    let own = signed_in(&setting).await;
    platform.payment().redeem_voucher(&own, &voucher).await.unwrap();
    assert_eq!(platform.users().standing(&own, id).await.unwrap().status, ServiceStatus::Active);
}

#[tokio::test]
async fn elements_of_a_stranger_are_evaluated_and_no_more_than_that() {
    let setting = Setting::new().await;
    let (platform, clock) = (&setting.platform, &setting.clock);
    // The same element twice: two alike, of which one is good.
    let text = order(clock, "STARTER:30", 1).blinded().texts().remove(0);
    let twice = Blinded::parse(&[&text, &text]).unwrap();
    let issued = platform.payment().issue_vouchers(&attest(clock, "STARTER:30", 2), twice).await.unwrap();
    let texts = issued.elements.texts();
    assert_eq!(texts[0], texts[1]);
}
