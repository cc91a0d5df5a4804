//! Prepaid time that nobody can link to whoever bought it.

use async_graphql::{Context, Object, Result, SimpleObject};
use dimensionos_core::Error;
use dimensionos_core::payment::voucher::{self, Blinded, PublishedKey, Voucher};

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::DateTime;
use crate::schema::allocation::TierName;
use crate::schema::payment::Payment;

/// The public key of the vouchers of one epoch and denomination. It is the same for everybody; whoever buys compares it
/// with what others are shown.
#[derive(Debug, SimpleObject)]
pub struct VoucherKey {
    /// A quarter of a calendar year in UTC, counted from that which began in January 1970.
    epoch: u16,
    /// For which tier a voucher is.
    tier: TierName,
    /// For how many days.
    days: u16,
    /// The key, an element of ristretto255, in base64url.
    public_key: String,
    /// From when on its vouchers are refused.
    redeemable_until: DateTime,
}

impl From<PublishedKey> for VoucherKey {
    fn from(key: PublishedKey) -> Self {
        Self {
            epoch: key.epoch.number(),
            tier: key.denomination.tier().into(),
            days: key.denomination.days(),
            public_key: key.public_key.to_string(),
            redeemable_until: key.epoch.redeemable_until().into(),
        }
    }
}

/// What whoever blinded the elements makes vouchers of, and nobody else can.
#[derive(Debug, SimpleObject)]
pub struct VoucherIssue {
    /// The quarter of a calendar year in which the vouchers were bought, as `voucherKeys` counts them.
    epoch: u16,
    /// For which tier each is.
    tier: TierName,
    /// For how many days each is.
    days: u16,
    /// The key they were made with. It has to be the one that `voucherKeys` shows everybody.
    public_key: String,
    /// The elements in base64url, in the order of the blinded ones.
    elements: Vec<String>,
    /// The proof (DLEQ) in base64url that this key made all of them.
    proof: String,
}

impl From<voucher::Issue> for VoucherIssue {
    fn from(issue: voucher::Issue) -> Self {
        let VoucherKey { epoch, tier, days, public_key, .. } = issue.key.into();
        Self { epoch, tier, days, public_key, elements: issue.elements.texts(), proof: issue.proof.to_string() }
    }
}

#[derive(Debug, Default)]
pub struct VoucherQuery;

#[Object]
impl VoucherQuery {
    /// The public keys of all vouchers that can be bought or redeemed, the same for everybody, in the order of their
    /// epochs. Public.
    async fn voucher_keys(&self, context: &Context<'_>) -> Result<Vec<VoucherKey>> {
        let asked = Asked::of(context)?;
        let keys = asked.platform.payment().voucher_keys().await.map_err(|error| dress(&error, asked))?;
        Ok(keys.into_iter().map(VoucherKey::from).collect())
    }
}

#[derive(Debug, Default)]
pub struct VoucherMutation;

#[Object]
impl VoucherMutation {
    /// Issues vouchers that an attestation says were paid for: RFC 9497, VOPRF mode, ristretto255-SHA512. It counts once;
    /// shown again with the very same elements it is answered again, in case the answer was lost. Refused with
    /// `ATTESTATION_INVALID` or `ATTESTATION_SPENT`.
    ///
    /// Nobody has to be signed in, and who is, is not looked at: whoever buys signed in tells whose the vouchers may be.
    async fn issue_vouchers(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The attestation.", secret)] attestation: String,
        #[graphql(desc = "As many blinded elements as were paid for, 100 at most, in base64url.", secret)]
        blinded_elements: Vec<String>,
    ) -> Result<VoucherIssue> {
        let asked = Asked::of(context)?;
        let issued = async {
            let blinded = Blinded::parse(&blinded_elements)?;
            asked.platform.payment().issue_vouchers(&attestation, blinded).await
        };
        let issue: std::result::Result<_, Error> = issued.await;
        Ok(issue.map_err(|error| dress(&error, asked))?.into())
    }

    /// Redeems a voucher for the account that is signed in: it is on the voucher's tier at once, and paid for that many
    /// days more, from now or from the end of what is paid for already. Refused with `ATTESTATION_INVALID` where it is
    /// none or too old, and with `ATTESTATION_SPENT` where it was redeemed before.
    async fn redeem_voucher(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The voucher, which begins with `dimv_`.", secret)] voucher: String,
    ) -> Result<Payment> {
        let asked = Asked::of(context)?;
        let redeemed = async {
            asked.context.account()?;
            let voucher: Voucher = voucher.parse()?;
            asked.platform.payment().redeem_voucher(&asked.context, &voucher).await
        };
        let account: std::result::Result<_, Error> = redeemed.await;
        Ok(Payment::of(&account.map_err(|error| dress(&error, asked))?, &asked.platform))
    }
}
