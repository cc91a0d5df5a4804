//! One account, Ada's, on a clock that is set by hand.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot set itself up has failed")]

use std::time::Duration;

use dimensionos_core::allocation::TierName;
use dimensionos_core::auth::{Audience, BillingKey, HashCost, Keys, Password, Pepper, SignIn, SigningKey, TokenPair};
use dimensionos_core::payment::{Attester, BillingIssuer, Grant};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::testing::FixedClock;
use dimensionos_core::users::{Account, Identity, Registered, Registration};
use dimensionos_core::{AccountId, Caller, Clock, Code, Context, Error, MemoryStore, OsEntropy, Platform, Timestamp};

pub const DAY: Duration = Duration::from_hours(24);

pub fn password() -> Password {
    Password::new("violet harbour kestrel 41").unwrap()
}

pub fn ada() -> Identity {
    Identity::email("ada@example.org").unwrap()
}

pub fn keys(peppers: &[u8]) -> Keys {
    let peppers = peppers.iter().map(|seed| Pepper::from_bytes([*seed; 32])).collect();
    let keys = Keys::new(peppers, vec![SigningKey::from_bytes([9; 32])]).unwrap();
    keys.with_billing(vec![attester().key.public().unwrap()])
}

/// The billing system that these platforms believe.
pub fn attester() -> Attester {
    let (issuer, audience) = (BillingIssuer::default(), Audience::default());
    Attester { key: BillingKey::from_bytes([7; 32]), issuer, audience }
}

pub async fn platform(store: &MemoryStore, clock: &FixedClock, keys: Keys) -> Platform {
    let builder = Platform::builder(store.clone()).clock(clock.clone()).keys(keys).hash_cost(HashCost::for_tests());
    builder.open().await.unwrap()
}

pub struct Setting {
    pub platform: Platform,
    pub clock: FixedClock,
    pub store: MemoryStore,
}

impl Setting {
    pub async fn new() -> Self {
        let (store, clock) = (MemoryStore::new(), FixedClock::default());
        Self { platform: platform(&store, &clock, keys(&[1])).await, clock, store }
    }

    pub async fn register(&self) -> Registered {
        let registration = Registration::new(Some(ada()), password());
        self.platform.users().register(&Context::anonymous(), registration).await.unwrap()
    }

    pub async fn caller(&self, access: &str) -> Caller {
        self.platform.auth().caller(&BearerToken::new(access)).await.unwrap()
    }

    pub async fn login(&self) -> Result<String, Error> {
        let signed_in = self.platform.auth().login(&Context::anonymous(), SignIn::new(ada(), password())).await?;
        Ok(signed_in.tokens.access_token.expose().to_owned())
    }

    /// An attestation that an account is paid for, good for a day.
    pub fn attest(&self, account: AccountId, tier: TierName, until: Timestamp) -> String {
        let grant = Grant::Account { account, tier, until };
        attester().attest(grant, self.clock.now(), DAY, &OsEntropy).unwrap()
    }

    /// Has an account paid for.
    pub async fn pay(&self, account: AccountId, tier: TierName, until: Timestamp) -> Result<Account, Error> {
        let attestation = self.attest(account, tier, until);
        self.platform.payment().report(&Context::system(), &attestation).await
    }

    /// The context of whoever presents that access token.
    pub async fn context(&self, tokens: &TokenPair) -> Context {
        Context::new(self.caller(tokens.access_token.expose()).await)
    }
}

pub fn code<T>(result: Result<T, Error>) -> Code {
    result.err().map(|error| error.code()).expect("a refusal")
}
