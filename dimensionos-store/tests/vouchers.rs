//! Vouchers on every database: what is left of buying and redeeming, and who gets to spend one.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dimensionos_core::allocation::TierName;
use dimensionos_core::auth::{Audience, BillingKey, HashCost, Keys, Password, Pepper, SigningKey, VoucherKey};
use dimensionos_core::payment::voucher::{Denomination, Issue, Order, Voucher};
use dimensionos_core::payment::{Attester, BillingIssuer, Grant};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::testing::FixedClock;
use dimensionos_core::users::Registration;
use dimensionos_core::{Clock, Code, Context, OsEntropy, Platform};
use dimensionos_store::{Database, testing};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

const DAY: Duration = Duration::from_hours(24);

fn attester() -> Attester {
    let (issuer, audience) = (BillingIssuer::default(), Audience::default());
    Attester { key: BillingKey::from_bytes([7; 32]), issuer, audience }
}

async fn server(database: &Database, clock: &FixedClock) -> Platform {
    let keys = Keys::new(vec![Pepper::from_bytes([1; 32])], vec![SigningKey::from_bytes([2; 32])]).unwrap();
    let keys = keys.with_billing(vec![attester().key.public().unwrap()]);
    let keys = keys.with_vouchers(vec![VoucherKey::from_bytes([3; 32])]);
    let builder = Platform::builder(database.clone()).clock(clock.clone()).keys(keys);
    builder.hash_cost(HashCost::for_tests()).open().await.unwrap()
}

/// Two servers on one database, each with connections of its own.
struct Setting {
    url: String,
    databases: [Database; 2],
    platforms: [Platform; 2],
    clock: FixedClock,
    _guard: Box<dyn Send>,
}

impl Setting {
    async fn new(url: String, database: Database, guard: impl Send + 'static) -> Self {
        let clock = FixedClock::default();
        let databases = [database, Database::connect(&url).await.unwrap()];
        let platforms = [server(&databases[0], &clock).await, server(&databases[1], &clock).await];
        Self { url, databases, platforms, clock, _guard: Box::new(guard) }
    }

    async fn sqlite() -> Self {
        let (database, folder) = testing::sqlite().await;
        Self::new(format!("sqlite://{}", folder.path().join("test.db").display()), database, folder).await
    }

    async fn postgres() -> Option<Self> {
        let (database, fresh) = testing::postgres().await?;
        Some(Self::new(fresh.url.clone(), database, fresh).await)
    }

    async fn all() -> impl Iterator<Item = Self> {
        [Some(Self::sqlite().await), Self::postgres().await].into_iter().flatten()
    }

    async fn somebody(&self) -> Context {
        let registration = Registration::new(None, Password::new("violet harbour kestrel 41").unwrap());
        let registered = self.platforms[0].users().register(&Context::anonymous(), registration).await.unwrap();
        let token = BearerToken::new(registered.tokens.access_token.expose());
        Context::new(self.platforms[0].auth().caller(&token).await.unwrap())
    }

    async fn buy(&self, count: usize) -> Purchase {
        let denomination: Denomination = "STARTER:30".parse().unwrap();
        let grant = Grant::Vouchers { denomination, count };
        let attestation = attester().attest(grant, self.clock.now(), DAY, &OsEntropy).unwrap();
        let order = Order::new(denomination, count, self.clock.now(), &OsEntropy).unwrap();
        let payment = self.platforms[0].payment();
        let issue = payment.issue_vouchers(&attestation, order.blinded()).await.unwrap();
        let vouchers = order.finish(&issue, &payment.voucher_keys().await.unwrap()).unwrap();
        Purchase { attestation, order, issue, vouchers }
    }

    async fn close(self) {
        for platform in self.platforms {
            platform.close().await.unwrap();
        }
        for database in self.databases {
            database.close().await;
        }
    }
}

struct Purchase {
    attestation: String,
    order: Order,
    issue: Issue,
    vouchers: Vec<Voucher>,
}

/// Everything in the database, value by value, with the name of its column.
async fn stored(url: &str) -> BTreeSet<(String, Vec<u8>)> {
    let sql = sea_orm::Database::connect(url).await.unwrap();
    let mut values = BTreeSet::new();
    for (table, column) in columns(&sql).await {
        // As bytes, whatever it is; a number as it is written.
        let value = match sql.get_database_backend() {
            DbBackend::Sqlite => format!("hex(CAST(\"{column}\" AS BLOB))"),
            _ => format!(
                "CASE WHEN pg_typeof(\"{column}\") = 'bytea'::regtype THEN substr(\"{column}\"::text, 3) \
                 ELSE encode(convert_to(\"{column}\"::text, 'UTF8'), 'hex') END"
            ),
        };
        let select = format!("SELECT {value} AS value FROM \"{table}\" WHERE \"{column}\" IS NOT NULL");
        for row in rows(&sql, &select).await {
            let digits: String = row.try_get("", "value").unwrap();
            values.insert((format!("{table}.{column}"), hex(&digits)));
        }
    }
    sql.close().await.unwrap();
    values
}

async fn rows(sql: &DatabaseConnection, statement: &str) -> Vec<sea_orm::QueryResult> {
    sql.query_all_raw(Statement::from_string(sql.get_database_backend(), statement)).await.unwrap()
}

async fn columns(sql: &DatabaseConnection) -> Vec<(String, String)> {
    let select = match sql.get_database_backend() {
        DbBackend::Sqlite => {
            "SELECT m.name AS t, c.name AS c FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
        }
        _ => {
            "SELECT table_name::text AS t, column_name::text AS c FROM information_schema.columns \
             WHERE table_schema = 'public'"
        }
    };
    let columns = rows(sql, select).await.into_iter();
    columns.map(|row| (row.try_get("", "t").unwrap(), row.try_get("", "c").unwrap())).collect()
}

fn hex(digits: &str) -> Vec<u8> {
    let nibbles: Vec<u32> = digits.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    nibbles.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

/// A text, and what it says where it is base64url.
fn said(text: &str) -> Vec<Vec<u8>> {
    let parts = text.trim_start_matches("dimv_").split('.');
    let decoded = parts.filter_map(|part| URL_SAFE_NO_PAD.decode(part).ok());
    decoded.chain([text.as_bytes().to_vec()]).collect()
}

fn strings_of_eight(of: &[Vec<u8>]) -> HashSet<&[u8]> {
    of.iter().flat_map(|bytes| bytes.windows(8)).collect()
}

/// What both have, but for what everybody knows anyway.
fn common(bought: &[Vec<u8>], redeemed: &[Vec<u8>], public: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let public = strings_of_eight(public);
    let (bought, redeemed) = (strings_of_eight(bought), strings_of_eight(redeemed));
    bought.intersection(&redeemed).filter(|common| !public.contains(*common)).map(|common| common.to_vec()).collect()
}

#[tokio::test]
async fn nothing_that_buying_leaves_anywhere_is_in_what_redeeming_leaves() {
    for setting in Setting::all().await {
        // Of a day's buyers, three pay for others than themselves.
        let redeemers = [setting.somebody().await, setting.somebody().await, setting.somebody().await];
        let before = stored(&setting.url).await;
        let purchases = [setting.buy(1).await, setting.buy(5).await, setting.buy(3).await];
        let issued = stored(&setting.url).await;
        setting.clock.advance(Duration::from_secs(3_000));
        let mut redeemed: Vec<Vec<u8>> = Vec::new();
        for (purchase, own) in purchases.iter().rev().zip(&redeemers) {
            for voucher in &purchase.vouchers {
                redeemed.extend(said(&voucher.expose()));
                setting.platforms[1].payment().redeem_voucher(own, voucher).await.unwrap();
            }
        }
        let after = stored(&setting.url).await;

        let mut bought: Vec<Vec<u8>> = Vec::new();
        for Purchase { attestation, order, issue, .. } in &purchases {
            let elements = [order.blinded().texts(), issue.elements.texts(), vec![issue.proof.to_string()]].concat();
            bought.extend(elements.iter().flat_map(|text| said(text)));
            bought.extend(said(attestation));
        }
        let (by_buying, by_redeeming): (Vec<_>, Vec<_>) =
            (issued.difference(&before).collect(), after.difference(&issued).collect());
        // What is looked at is what there is to look at.
        let has = |values: &[&(String, Vec<u8>)], column: &str, times: usize| {
            assert_eq!(values.iter().filter(|(name, _)| name == column).count(), times, "{column}");
        };
        has(&by_buying, "spent_attestations.request", 3);
        has(&by_buying, "voucher_keys.public_key", 3);
        has(&by_redeeming, "spent_vouchers.nullifier", 9);
        has(&by_redeeming, "accounts.paid", 3);
        assert!(!by_buying.iter().any(|(name, _)| name.starts_with("accounts.") || name.starts_with("sessions.")));
        bought.extend(by_buying.iter().map(|(_, value)| value.clone()));
        redeemed.extend(by_redeeming.iter().map(|(_, value)| value.clone()));

        let keys = setting.platforms[0].payment().voucher_keys().await.unwrap();
        let mut public: Vec<Vec<u8>> = keys.iter().flat_map(|key| said(&key.public_key.to_string())).collect();
        // What was paid for, in an attestation and in what an account is paid for.
        public.push(b"\"STARTER\"".to_vec());
        let leaks: Vec<_> =
            common(&bought, &redeemed, &public).iter().map(|leak| leak.escape_ascii().to_string()).collect();
        assert!(leaks.is_empty(), "{leaks:?}");
        // Were there eight bytes of an element beside a nullifier, they would be found.
        let planted = URL_SAFE_NO_PAD.decode(&purchases[1].order.blinded().texts()[2]).unwrap();
        redeemed.push([&[0; 5], &planted[11..19], &[0; 5]].concat());
        assert_eq!(common(&bought, &redeemed, &public), [planted[11..19].to_vec()]);
        setting.close().await;
    }
}

#[tokio::test]
async fn what_was_spent_on_one_server_is_spent_on_the_other_and_after_a_restart() {
    for setting in Setting::all().await {
        let own = setting.somebody().await;
        let (vouchers, clock, url) = (setting.buy(2).await.vouchers, setting.clock.clone(), setting.url.clone());
        setting.platforms[0].payment().redeem_voucher(&own, &vouchers[0]).await.unwrap();
        for platform in &setting.platforms {
            let refused = platform.payment().redeem_voucher(&own, &vouchers[0]).await.unwrap_err();
            assert_eq!(refused.code(), Code::AttestationSpent);
        }
        for platform in &setting.platforms {
            platform.close().await.unwrap();
        }
        for database in &setting.databases {
            database.clone().close().await;
        }
        let database = Database::connect(&url).await.unwrap();
        let restarted = server(&database, &clock).await;
        let refused = restarted.payment().redeem_voucher(&own, &vouchers[0]).await.unwrap_err();
        assert_eq!(refused.code(), Code::AttestationSpent);
        let account = restarted.payment().redeem_voucher(&own, &vouchers[1]).await.unwrap();
        assert_eq!(account.paid.until(TierName::Starter), Some(clock.now().after(DAY * 60)));
        restarted.close().await.unwrap();
        database.close().await;
    }
}

/// Has two servers spend each voucher at once, in turns for one account and for two.
async fn spend_at_once(setting: &Setting, rounds: usize) {
    let holders = [setting.somebody().await, setting.somebody().await];
    let [one, two] = setting.platforms.each_ref().map(Platform::payment);
    let (mut won, mut left) = ([0_u32; 2], rounds);
    while left > 0 {
        let purchase = setting.buy(left.min(100)).await;
        for (round, voucher) in purchase.vouchers.iter().enumerate() {
            let second = round % 2;
            let results =
                tokio::join!(one.redeem_voucher(&holders[0], voucher), two.redeem_voucher(&holders[second], voucher));
            match results {
                (Ok(_), Err(refused)) => {
                    won[0] += 1;
                    assert_eq!(refused.code(), Code::AttestationSpent);
                }
                (Err(refused), Ok(_)) => {
                    won[second] += 1;
                    assert_eq!(refused.code(), Code::AttestationSpent);
                }
                both => panic!("{both:?}"),
            }
        }
        left -= purchase.vouchers.len();
    }
    assert_eq!(won.iter().sum::<u32>() as usize, rounds);
    // And each account has what it won, and no day more.
    for (holder, won) in holders.iter().zip(won) {
        let id = holder.account().unwrap().account;
        let account = two.redeem_voucher(holder, &setting.buy(1).await.vouchers[0]).await.unwrap();
        assert_eq!(account.id, id);
        assert_eq!(account.paid.until(TierName::Starter), Some(setting.clock.now().after(DAY * 30 * (won + 1))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_that_spend_one_voucher_at_once_one_does_a_thousand_times_over() {
    let Some(setting) = Setting::postgres().await else { return };
    spend_at_once(&setting, 1_000).await;
    setting.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_spend_one_voucher_at_once_on_one_file_one_does() {
    let setting = Setting::sqlite().await;
    spend_at_once(&setting, 100).await;
    setting.close().await;
}
