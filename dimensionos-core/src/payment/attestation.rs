//! Evidence that something was paid for: a compact JWS (RFC 7515) by a billing issuer that this deployment trusts.
//!
//! Its payload, with the instants as seconds since 1970:
//! ```json
//! {"iss": "dimensionos-billing", "aud": "dimensionos", "jti": "…", "iat": 1795000000, "exp": 1795086400,
//!  "sub": "acc_…", "tier": "STARTER", "paidUntil": 1797592000}
//! ```
//! In place of `sub`, `tier` and `paidUntil` it may have `vouchers`, such as
//! `{"tier": "STARTER", "days": 30, "count": 10}`: whoever shows it gets so many vouchers.
//!
//! Everything is demanded and compared here, as for access tokens: the algorithm is fixed and never read from the
//! evidence, and the time is the platform's clock.

use std::time::Duration;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::allocation::TierName;
use crate::auth::{Audience, BillingKey, BillingPublicKey};
use crate::crockford;
use crate::entropy::{self, Entropy};
use crate::id::AccountId;
use crate::payment::voucher::{Denomination, MAX_VOUCHERS};
use crate::secret::SecretDigest;
use crate::time::Timestamp;

/// Bytes an attestation may have; ours have some 500.
const MAX_BYTES: usize = 4_096;
/// How far in the future one may say it was made: clocks differ. Its end has no such leeway.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);
/// How far ahead a payment may reach. Nobody pays for longer; milliseconds that are taken for seconds do.
const MAX_PREPAID: Duration = Duration::from_hours(10 * 366 * 24);
/// Characters of a `jti`.
const MAX_JTI_CHARACTERS: usize = 128;

const SPENT_LABEL: &[u8] = b"dimensionos/attestation/v1";
/// The media type that ours carry. Billing systems that leave it out, or say the general `JWT`, are taken too: no other
/// token is signed by this key for this audience.
const TOKEN_TYPE: &str = "payment+jwt";
const TOKEN_TYPES: [&str; 3] = [TOKEN_TYPE, "application/payment+jwt", "jwt"];

/// Who attests payments: `iss`. Default `dimensionos-billing`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillingIssuer(String);

impl BillingIssuer {
    /// Takes the name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for BillingIssuer {
    fn default() -> Self {
        Self("dimensionos-billing".to_owned())
    }
}

/// What was paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A tier, for one account.
    Account {
        /// Whose.
        account: AccountId,
        /// Which tier.
        tier: TierName,
        /// Until when.
        until: Timestamp,
    },
    /// Vouchers, for whoever shows the attestation.
    Vouchers {
        /// What each is worth.
        denomination: Denomination,
        /// How many: 1 to [`MAX_VOUCHERS`].
        count: usize,
    },
}

/// An attestation whose signature, issuer, audience and time are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attestation {
    /// What was paid for.
    pub grant: Grant,
    /// What it is known by once it was counted.
    pub digest: SecretDigest,
}

/// That an attestation was counted, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpentAttestation {
    /// Which: a digest of its issuer and `jti`, and nothing that leads to an account.
    pub digest: SecretDigest,
    /// What it was spent on, where the answer may be asked for again: a digest of the request.
    pub request: Option<SecretDigest>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515, 4.1.11): none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    jti: String,
    iat: i64,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(default, rename = "paidUntil", skip_serializing_if = "Option::is_none")]
    paid_until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vouchers: Option<VoucherClaim>,
}

#[derive(Debug, Serialize, Deserialize)]
struct VoucherClaim {
    tier: String,
    days: u16,
    count: usize,
}

/// Makes attestations: for a billing system, which keeps the key.
#[derive(Debug, Clone)]
pub struct Attester {
    /// Signs them.
    pub key: BillingKey,
    /// Who it is.
    pub issuer: BillingIssuer,
    /// Which deployment they are for.
    pub audience: Audience,
}

impl Attester {
    /// An attestation that can be shown for so long from now on.
    ///
    /// # Errors
    /// `Entropy` where there is no chance for its `jti`; `Internal` for a key that cannot sign.
    pub fn attest(
        &self,
        grant: Grant,
        now: Timestamp,
        valid_for: Duration,
        entropy: &dyn Entropy,
    ) -> Result<String, Error> {
        const UNSIGNED: Error = Error::Internal { what: "signing an attestation failed" };
        let jti = crockford::encode(u128::from_be_bytes(entropy::bytes(entropy)?));
        let mut claims = Claims {
            iss: self.issuer.0.clone(),
            aud: self.audience.as_str().to_owned(),
            jti: str::from_utf8(&jti).unwrap_or_default().to_owned(),
            iat: now.as_seconds(),
            exp: now.after(valid_for).as_seconds(),
            nbf: None,
            sub: None,
            tier: None,
            paid_until: None,
            vouchers: None,
        };
        match grant {
            Grant::Account { account, tier, until } => {
                claims.sub = Some(account.to_string());
                claims.tier = Some(tier.name().to_owned());
                claims.paid_until = Some(until.as_seconds());
            }
            Grant::Vouchers { denomination, count } => {
                let tier = denomination.tier().name().to_owned();
                claims.vouchers = Some(VoucherClaim { tier, days: denomination.days(), count });
            }
        }
        let header = Header {
            alg: "EdDSA".to_owned(),
            typ: Some(TOKEN_TYPE.to_owned()),
            kid: Some(self.key.public()?.id()),
            crit: None,
        };
        let part = |json: Result<Vec<u8>, _>| {
            json.map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_: serde_json::Error| UNSIGNED)
        };
        let signed = format!("{}.{}", part(serde_json::to_vec(&header))?, part(serde_json::to_vec(&claims))?);
        let signature = self.key.pair()?.sign(signed.as_bytes());
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl BillingKey {
    fn pair(&self) -> Result<Ed25519KeyPair, Error> {
        Ed25519KeyPair::from_seed_unchecked(self.seed())
            .map_err(|_| Error::Internal { what: "a billing key cannot sign" })
    }

    /// The key that verifies what this one signs.
    ///
    /// # Errors
    /// `Internal` for a key that cannot sign.
    pub fn public(&self) -> Result<BillingPublicKey, Error> {
        let public = self.pair()?.public_key().as_ref().try_into();
        public.map(BillingPublicKey::from_bytes).map_err(|_| Error::Internal { what: "a billing key cannot sign" })
    }
}

impl BillingPublicKey {
    /// The name of the key in attestations: its thumbprint after RFC 7638.
    #[must_use]
    pub fn id(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.as_bytes());
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
    }
}

/// Whose attestations are believed, and which are for this deployment.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) issuer: BillingIssuer,
    pub(crate) audience: Audience,
}

const fn invalid(reason: &'static str) -> Error {
    Error::AttestationInvalid { reason }
}

impl Trust {
    /// What an attestation says, if it is unaltered, by a trusted key, for this deployment, and in its time.
    pub(crate) fn read(&self, text: &str, keys: &[BillingPublicKey], now: Timestamp) -> Result<Attestation, Error> {
        const MALFORMED: Error = invalid("it is no compact JWS");
        if text.len() > MAX_BYTES {
            return Err(invalid("it is too long"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, payload) = signed.split_once('.').ok_or(MALFORMED)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
        let signature = decode(signature)?;
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| MALFORMED)?;
        // Compared with what it has to be, and not used to choose anything.
        if header.alg != "EdDSA" || header.crit.is_some() {
            return Err(invalid("it is not signed with EdDSA"));
        }
        if header.typ.is_some_and(|typ| !TOKEN_TYPES.contains(&typ.to_ascii_lowercase().as_str())) {
            return Err(invalid("it is another kind of token"));
        }
        let is_signed = |key: &BillingPublicKey| {
            let is_named = header.kid.as_ref().is_none_or(|kid| *kid == key.id());
            is_named && UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(signed.as_bytes(), &signature).is_ok()
        };
        if !keys.iter().any(is_signed) {
            return Err(invalid("no trusted key signed it"));
        }
        let claims =
            serde_json::from_slice(&decode(payload)?).map_err(|_| invalid("its claims are not those of a payment"))?;
        self.judge(&claims, now)
    }

    /// What signed claims say, if they are for this deployment and in their time.
    fn judge(&self, claims: &Claims, now: Timestamp) -> Result<Attestation, Error> {
        let instant = |seconds: i64| seconds.checked_mul(1_000).map(Timestamp::from_millis);
        if claims.iss != self.issuer.0 {
            return Err(invalid("another issuer made it"));
        }
        if claims.aud != self.audience.as_str() {
            return Err(invalid("it is for another deployment"));
        }
        let jti_length = claims.jti.chars().count();
        if jti_length == 0 || jti_length > MAX_JTI_CHARACTERS {
            return Err(invalid("its jti has not 1 to 128 characters"));
        }
        if instant(claims.exp).is_none_or(|end| end <= now) {
            return Err(invalid("it has expired"));
        }
        let latest = now.after(MAX_CLOCK_SKEW);
        let begins = claims.nbf.map_or(claims.iat, |begin| begin.max(claims.iat));
        if instant(begins).is_none_or(|begin| begin > latest) {
            return Err(invalid("its time has not come"));
        }
        let grant = grant(claims, now)?;
        let digest = Sha256::new()
            .chain_update(SPENT_LABEL)
            .chain_update([0])
            .chain_update(claims.iss.as_bytes())
            .chain_update([0])
            .chain_update(claims.jti.as_bytes());
        Ok(Attestation { grant, digest: SecretDigest::from_bytes(digest.finalize().into()) })
    }
}

fn grant(claims: &Claims, now: Timestamp) -> Result<Grant, Error> {
    const NO_GRANT: Error = invalid("it says neither sub, tier and paidUntil nor vouchers");
    let tier = |name: &str| match name.parse() {
        Ok(TierName::Free) | Err(_) => Err(invalid("there is no such tier to pay for")),
        Ok(tier) => Ok(tier),
    };
    match (&claims.sub, &claims.tier, claims.paid_until, &claims.vouchers) {
        (Some(account), Some(name), Some(until), None) => {
            let account = account.parse().map_err(|_| invalid("its sub is no account"))?;
            let until = until.checked_mul(1_000).map(Timestamp::from_millis);
            let until = until.filter(|until| *until > now && *until <= now.after(MAX_PREPAID));
            let until = until.ok_or(invalid("its paidUntil has passed, or is more than ten years ahead"))?;
            Ok(Grant::Account { account, tier: tier(name)?, until })
        }
        (None, None, None, Some(claim)) => {
            let denomination = Denomination::new(tier(&claim.tier)?, claim.days)
                .map_err(|_| invalid("its vouchers are not for 1 to 3,660 days"))?;
            if !(1..=MAX_VOUCHERS).contains(&claim.count) {
                return Err(invalid("its vouchers are not 1 to 100"));
            }
            Ok(Grant::Vouchers { denomination, count: claim.count })
        }
        _ => Err(NO_GRANT),
    }
}
