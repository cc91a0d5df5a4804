use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::context::Context;
use crate::payment::service::Evidence;
use crate::payment::voucher::{Blinded, Denomination, Epoch, Issue, IssuingKey, PublishedKey, Voucher};
use crate::payment::{Grant, Payments, SpentAttestation};
use crate::policy::Action;
use crate::secret::SecretDigest;
use crate::store::{Access, StoreError};
use crate::users::Account;

const DAY: Duration = Duration::from_hours(24);

impl Payments<'_> {
    /// The public keys of vouchers that can be bought and redeemed, the same for everybody, in the order of their epochs.
    ///
    /// # Errors
    /// `Internal` where another server has published a key that this one's secrets do not make; `Store`.
    pub async fn voucher_keys(&self) -> Result<Vec<PublishedKey>, Error> {
        let Self(inner) = self;
        let present = Epoch::of(inner.clock.now());
        let mut keys = inner.store.begin(Access::Read).await?.voucher_keys().await?;
        let secrets = inner.secrets();
        let mut are_published = true;
        for denomination in &inner.denominations {
            match keys.iter().find(|key| (key.epoch, key.denomination) == (present, *denomination)) {
                Some(key) if secrets.vouchers.used(present, *denomination).is_none() => {
                    secrets.vouchers.take(*key, secrets.keys.voucher_keys())?;
                }
                Some(_) => {}
                // Once a quarter.
                None => {
                    self.issuing_key(present, *denomination).await?;
                    are_published = false;
                }
            }
        }
        if !are_published {
            keys = inner.store.begin(Access::Read).await?.voucher_keys().await?;
        }
        let mut keys: Vec<_> = keys.into_iter().filter(|key| key.epoch >= present.oldest_redeemable()).collect();
        keys.sort_by_key(|key| (key.epoch, key.denomination));
        Ok(keys)
    }

    /// Issues vouchers for an attestation that they were paid for. It counts once; shown again with the same elements it
    /// is answered again, for an answer may be lost.
    ///
    /// Nobody is asked who calls: the attestation is what entitles to it, and whoever buys signed in has told whose the
    /// vouchers are likely to be. So there is nothing here that could note it.
    ///
    /// # Errors
    /// `AttestationInvalid`; `AttestationSpent`; `InvalidInput` for another number of elements than were paid for;
    /// `Internal` where another server has published a key that this one's secrets do not make. Nothing is spent then.
    pub async fn issue_vouchers(&self, attestation: &str, blinded: Blinded) -> Result<Issue, Error> {
        let Self(inner) = self;
        let now = inner.clock.now();
        let attested = inner.trust.read(attestation, inner.secrets().keys.billing(), now)?;
        let Grant::Vouchers { denomination, count } = attested.grant else {
            return Err(Error::AttestationInvalid { reason: "it is for an account" });
        };
        if blinded.count() != count {
            return Err(Error::invalid("blindedElements", "not as many as the attestation is for"));
        }
        let request = Request { digest: attested.digest, denomination, blinded };
        let key = match self.met_before(&request).await? {
            Some(epoch) => self.issuing_key(epoch, denomination).await?,
            None => self.meet(&request).await?,
        };
        let entropy = Arc::clone(&inner.entropy);
        // A hundred take some ten milliseconds, which are not for a thread that answers others meanwhile.
        let issued = tokio::task::spawn_blocking(move || key.issue(&request.blinded, &*entropy)).await;
        issued.unwrap_or(Err(Error::Internal { what: "issuing vouchers was given up" }))
    }

    /// Redeems a voucher: the caller's account is on its tier from now on, and paid for so many days longer than it was.
    ///
    /// # Errors
    /// `AttestationInvalid` for a voucher that is forged or too old; `AttestationSpent`; those of the account's status.
    pub async fn redeem_voucher(&self, context: &Context, voucher: &Voucher) -> Result<Account, Error> {
        let Self(inner) = self;
        let id = context.account()?.account;
        inner.admit(&context.caller, Action::Pay, id).await?;
        let (epoch, denomination) = (voucher.epoch(), voucher.denomination());
        if epoch.redeemable_until() <= inner.clock.now() {
            return Err(Error::AttestationInvalid { reason: "the voucher is too old" });
        }
        let key = self.published_key(epoch, denomination).await?;
        if !key.is_some_and(|key| key.verifies(voucher)) {
            return Err(Error::AttestationInvalid { reason: "the voucher is none of this deployment's" });
        }
        let evidence = Evidence::Voucher(epoch, voucher.nullifier());
        let tier = denomination.tier();
        let paid = DAY * u32::from(denomination.days());
        self.credit(context, id, &evidence, tier, |account, now| {
            account.paid.until(tier).max(Some(now)).unwrap_or(now).after(paid)
        })
        .await
    }

    /// The epoch in which the same request was met; absent where the attestation was never spent.
    async fn met_before(&self, request: &Request) -> Result<Option<Epoch>, Error> {
        let Self(inner) = self;
        let spent = inner.store.begin(Access::Read).await?.spent_attestation(&request.digest).await?;
        let Some(spent) = spent else { return Ok(None) };
        let present = Epoch::of(inner.clock.now());
        // From the next one on, which a server whose clock is ahead may have met it in.
        let epochs = (present.oldest_redeemable().number()..=present.number().saturating_add(1)).rev();
        let same = epochs.map(Epoch::from_number).find(|epoch| spent.request == Some(request.name(*epoch)));
        same.map(Some).ok_or(Error::AttestationSpent)
    }

    /// Spends the attestation on the request, and gives the key that it is met with.
    async fn meet(&self, request: &Request) -> Result<Arc<IssuingKey>, Error> {
        let Self(inner) = self;
        // One that nobody else buys would mark whoever does.
        if !inner.denominations.contains(&request.denomination) {
            return Err(Error::AttestationInvalid { reason: "its vouchers are not offered here" });
        }
        let epoch = Epoch::of(inner.clock.now());
        let key = self.issuing_key(epoch, request.denomination).await?;
        let mut tx = inner.store.begin(Access::Write).await?;
        let spent = SpentAttestation { digest: request.digest, request: Some(request.name(epoch)) };
        match tx.spend_attestation(&spent).await {
            Ok(()) => tx.commit().await?,
            Err(StoreError::Conflict) => {
                drop(tx);
                // Of two that come at once with the same request, both are answered.
                let epoch = self.met_before(request).await?.ok_or(Error::AttestationSpent)?;
                return self.issuing_key(epoch, request.denomination).await;
            }
            Err(other) => return Err(other.into()),
        }
        Ok(key)
    }

    /// The pair of an epoch and denomination, which is published if nobody has used it yet.
    async fn issuing_key(&self, epoch: Epoch, denomination: Denomination) -> Result<Arc<IssuingKey>, Error> {
        let Self(inner) = self;
        if let Some(key) = self.published_key(epoch, denomination).await? {
            return Ok(key);
        }
        let secrets = inner.secrets();
        // There is one at least.
        let [first, ..] = secrets.keys.voucher_keys() else {
            return Err(Error::Internal { what: "no key of vouchers" });
        };
        let published = IssuingKey::derive(first, epoch, denomination)?.published();
        let mut tx = inner.store.begin(Access::Write).await?;
        match tx.insert_voucher_key(&published).await {
            Ok(()) => tx.commit().await?,
            // Another server was first.
            Err(StoreError::Conflict) => drop(tx),
            Err(other) => return Err(other.into()),
        }
        self.published_key(epoch, denomination).await?.ok_or(Error::Internal { what: "a key of vouchers was not kept" })
    }

    /// The pair of an epoch and denomination; absent where none was published.
    async fn published_key(&self, epoch: Epoch, denomination: Denomination) -> Result<Option<Arc<IssuingKey>>, Error> {
        let Self(inner) = self;
        let secrets = inner.secrets();
        if let Some(key) = secrets.vouchers.used(epoch, denomination) {
            return Ok(Some(key));
        }
        let published = inner.store.begin(Access::Read).await?.voucher_keys().await?;
        let published = published.into_iter().find(|key| (key.epoch, key.denomination) == (epoch, denomination));
        published.map(|key| secrets.vouchers.take(key, secrets.keys.voucher_keys())).transpose()
    }
}

/// What is asked for with an attestation.
struct Request {
    /// The attestation's.
    digest: SecretDigest,
    denomination: Denomination,
    blinded: Blinded,
}

impl Request {
    /// What is kept of it, where it was met in that epoch.
    fn name(&self, epoch: Epoch) -> SecretDigest {
        SecretDigest::from_bytes(self.blinded.digest(epoch, self.denomination))
    }
}
