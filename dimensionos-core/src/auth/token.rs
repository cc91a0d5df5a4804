//! Access tokens: JWTs after RFC 9068, signed with Ed25519.
//!
//! Everything is verified here and not by the library's defaults: the algorithm is fixed, never read from the token;
//! `typ`, `kid`, `iss`, `aud` and `exp` are demanded; and the time is the platform's clock. A token ends on its second,
//! without leeway.

use std::fmt;
use std::time::Duration;

use dashmap::DashMap;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::auth::{InvalidKey, Keys, Pepper};
use crate::context::{Principal, Refusal};
use crate::crockford;
use crate::entropy::{self, Entropy};
use crate::secret::{AccessToken, SecretDigest};
use crate::time::Timestamp;
use crate::users::SubjectSeed;

/// How long an access token lasts: long enough that refreshing costs nothing, short enough that one left in a log is
/// soon worthless. Signing out does not wait for it.
pub(crate) const ACCESS_LIFETIME: Duration = Duration::from_hours(1);

/// RFC 9068's media type of access tokens, which keeps other JWTs by the same key from passing for one.
const TOKEN_TYPE: &str = "at+jwt";

/// How far in the future a token may say it was made: replicas' clocks differ, and a clock may be set back a little.
/// Its end has no such leeway.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Bytes a token may have; ours have some 450.
const MAX_TOKEN_BYTES: usize = 2_048;

/// How long a token for another service lasts. That service does not ask here whether it still holds, so it is short.
const SERVICE_LIFETIME: Duration = Duration::from_secs(300);

/// Tokens whose signature has been verified and is not verified again; past it they are forgotten, and verified anew.
/// Each takes some 100 bytes.
const MAX_VERIFIED: usize = 65_536;

const SUBJECT_LABEL: &[u8] = b"dimensionos/pairwise-subject/v1";

macro_rules! name {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
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

        impl Default for $name {
            fn default() -> Self {
                Self("dimensionos".to_owned())
            }
        }
    };
}

name! {
    /// Who makes tokens: `iss`. Default `dimensionos`.
    Issuer
}
name! {
    /// Whom tokens are for: `aud`. Default `dimensionos`.
    Audience
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    jti: String,
    iat: i64,
    exp: i64,
    /// Ours have none; one that has it is held to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    epoch: u64,
}

/// The claims of a token for another service: nothing in it is the same in a token for a third.
#[derive(Debug, Serialize)]
struct ServiceClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
}

/// What another service knows an account by.
#[derive(Debug)]
pub struct ServiceToken {
    /// To hand to that service, which verifies it by the published keys.
    pub token: AccessToken,
    /// The account's name there: always the same there, and different everywhere else.
    pub subject: String,
    /// When the token runs out.
    pub expires_at: Timestamp,
}

/// A public key in the form of RFC 7517, for `/.well-known/jwks.json`.
#[derive(Debug, Clone, Serialize)]
pub struct JsonWebKey {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    purpose: &'static str,
    kid: String,
    x: String,
}

struct Signer {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: JsonWebKey,
}

/// Makes and reads access tokens.
pub(crate) struct TokenMint {
    signers: Vec<Signer>,
    issuer: Issuer,
    audience: Audience,
    validation: Validation,
    verified: DashMap<SecretDigest, Principal>,
}

impl fmt::Debug for TokenMint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenMint").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl TokenMint {
    pub(crate) fn new(keys: &Keys, issuer: Issuer, audience: Audience) -> Result<Self, InvalidKey> {
        // An embedder's other dependencies may have switched on a second backend, and then the library would panic at
        // first use. The first to install wins; any backend signs Ed25519 alike.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let signers = keys.signing.iter().map(|key| {
            use base64::Engine;
            let (document, public) = key.pair()?;
            let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(public);
            let id = thumbprint(&x);
            Ok(Signer {
                encoding: EncodingKey::from_ed_der(&document),
                decoding: DecodingKey::from_ed_der(&public),
                public: JsonWebKey { kty: "OKP", crv: "Ed25519", alg: "EdDSA", purpose: "sig", kid: id.clone(), x },
                id,
            })
        });
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&issuer.0]);
        validation.set_audience(&[&audience.0]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The library would read the system's clock; `read` compares with the platform's.
        validation.validate_exp = false;
        let signers = signers.collect::<Result<_, _>>()?;
        Ok(Self { signers, issuer, audience, validation, verified: DashMap::new() })
    }

    /// A token for that principal.
    pub(crate) fn issue(
        &self,
        principal: &Principal,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<AccessToken, Error> {
        let claims = Claims {
            iss: self.issuer.0.clone(),
            aud: self.audience.0.clone(),
            sub: principal.account.to_string(),
            sid: principal.session.to_string(),
            jti: random_name(entropy)?,
            iat: now.as_seconds(),
            exp: principal.expires_at.as_seconds(),
            nbf: None,
            epoch: principal.epoch,
        };
        self.sign(&claims)
    }

    /// A token for another service, under the name that the account has there.
    pub(crate) fn issue_for(
        &self,
        audience: &Audience,
        seed: &SubjectSeed,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<ServiceToken, Error> {
        let subject = pairwise_subject(seed, audience);
        let expires_at = now.floor(1).after(SERVICE_LIFETIME);
        let claims = ServiceClaims {
            iss: &self.issuer.0,
            aud: &audience.0,
            sub: &subject,
            jti: random_name(entropy)?,
            iat: now.as_seconds(),
            exp: expires_at.as_seconds(),
        };
        Ok(ServiceToken { token: self.sign(&claims)?, subject, expires_at })
    }

    fn sign(&self, claims: &impl Serialize) -> Result<AccessToken, Error> {
        // `Keys` holds at least one signing key.
        let signer = &self.signers[0];
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(signer.id.clone());
        let token = jsonwebtoken::encode(&header, claims, &signer.encoding);
        token.map(AccessToken::new).map_err(|_| Error::Internal { what: "signing a token failed" })
    }

    /// Whom a token names, if it is ours, unaltered and in its time. A signature is verified once.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> Result<Principal, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Invalid);
        }
        let digest = SecretDigest::of(token);
        if let Some(principal) = self.verified.get(&digest).map(|known| *known) {
            return if principal.expires_at > now { Ok(principal) } else { Err(Refusal::Expired) };
        }
        let principal = self.verify(token, now)?;
        if self.verified.len() >= MAX_VERIFIED {
            self.verified.clear();
        }
        self.verified.insert(digest, principal);
        Ok(principal)
    }

    /// Whether a token was found good before, so that reading it takes no arithmetic.
    pub(crate) fn remembers(&self, digest: &SecretDigest) -> bool {
        self.verified.contains_key(digest)
    }

    /// Forgets the verified tokens that have run out.
    pub(crate) fn tidy(&self, now: Timestamp) {
        self.verified.retain(|_, principal| principal.expires_at > now);
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<Principal, Refusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::Invalid)?;
        if header.typ.as_deref() != Some(TOKEN_TYPE) || header.crit.is_some() {
            return Err(Refusal::Invalid);
        }
        let signer = self.signers.iter().find(|signer| Some(&signer.id) == header.kid.as_ref());
        let signer = signer.ok_or(Refusal::Invalid)?;
        let decoded = jsonwebtoken::decode::<Claims>(token, &signer.decoding, &self.validation);
        let claims = decoded.map_err(|_| Refusal::Invalid)?.claims;
        if claims.iat.max(claims.nbf.unwrap_or(claims.iat)) > now.after(MAX_CLOCK_SKEW).as_seconds() {
            return Err(Refusal::Invalid);
        }
        if claims.exp <= now.as_seconds() {
            return Err(Refusal::Expired);
        }
        Ok(Principal {
            account: claims.sub.parse().map_err(|_| Refusal::Invalid)?,
            session: claims.sid.parse().map_err(|_| Refusal::Invalid)?,
            epoch: claims.epoch,
            expires_at: Timestamp::from_millis(claims.exp.saturating_mul(1_000)),
        })
    }

    pub(crate) fn public_keys(&self) -> Vec<JsonWebKey> {
        self.signers.iter().map(|signer| signer.public.clone()).collect()
    }
}

/// What an account is called at a service: made from the account's own seed, so that it stays when keys are replaced.
fn pairwise_subject(seed: &SubjectSeed, audience: &Audience) -> String {
    let tag = Pepper::from_bytes(*seed.as_bytes()).tag(SUBJECT_LABEL, audience.0.as_bytes());
    let mut first = [0; 16];
    first.copy_from_slice(&tag[..16]);
    let digits = crockford::encode(u128::from_be_bytes(first));
    format!("sub_{}", str::from_utf8(&digits).unwrap_or_default())
}

fn random_name(entropy: &dyn Entropy) -> Result<String, Error> {
    Ok(format!("{:032x}", u128::from_be_bytes(entropy::bytes(entropy)?)))
}

/// RFC 7638's thumbprint of an Ed25519 key: a name that every holder of the key computes alike.
fn thumbprint(x: &str) -> String {
    use base64::Engine;
    use sha2::{Digest, Sha256};
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::SigningKey;
    use crate::entropy::OsEntropy;
    use crate::id::{AccountId, SessionId};

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn keys(seeds: &[u8]) -> Keys {
        let signing = seeds.iter().map(|seed| SigningKey::from_bytes([*seed; 32])).collect();
        Keys::new(vec![Pepper::from_bytes([0; 32])], signing).unwrap()
    }

    fn mint(seeds: &[u8]) -> TokenMint {
        TokenMint::new(&keys(seeds), Issuer::default(), Audience::default()).unwrap()
    }

    fn principal() -> Principal {
        Principal {
            account: AccountId::from_bits(1),
            session: SessionId::from_bits(2),
            epoch: 3,
            expires_at: NOW.after(ACCESS_LIFETIME),
        }
    }

    fn issue(mint: &TokenMint) -> String {
        mint.issue(&principal(), NOW, &OsEntropy).unwrap().expose().to_owned()
    }

    /// A token with other header and claims, signed by the right key.
    fn forge(header: &Header, claims: &serde_json::Value, key: &EncodingKey) -> String {
        jsonwebtoken::encode(header, claims, key).unwrap()
    }

    fn claims() -> serde_json::Value {
        serde_json::json!({
            "iss": "dimensionos", "aud": "dimensionos", "sub": AccountId::from_bits(1).to_string(),
            "sid": SessionId::from_bits(2).to_string(), "jti": "00", "iat": NOW.as_seconds(),
            "exp": NOW.as_seconds() + 60, "epoch": 3,
        })
    }

    #[test]
    fn a_token_names_whom_it_was_made_for_until_its_hour_is_over() {
        let mint = mint(&[1]);
        let token = issue(&mint);
        assert_eq!(mint.read(&token, NOW), Ok(principal()));
        let last_second = NOW.after(ACCESS_LIFETIME).before(Duration::from_secs(1));
        assert_eq!(mint.read(&token, last_second), Ok(principal()));
        assert_eq!(mint.read(&token, NOW.after(ACCESS_LIFETIME)), Err(Refusal::Expired));
    }

    #[test]
    fn a_new_key_in_front_leaves_old_tokens_good_until_the_old_key_goes() {
        let token = issue(&mint(&[1]));
        assert!(mint(&[2, 1]).read(&token, NOW).is_ok());
        assert_eq!(mint(&[2]).read(&token, NOW), Err(Refusal::Invalid));
    }

    #[test]
    fn what_is_altered_or_of_another_kind_is_refused() {
        let mint = mint(&[1]);
        let signer = &mint.signers[0];
        let mut good = Header::new(Algorithm::EdDSA);
        good.typ = Some(TOKEN_TYPE.to_owned());
        good.kid = Some(signer.id.clone());
        assert!(mint.read(&forge(&good, &claims(), &signer.encoding), NOW).is_ok());

        let without = |claim: &str| {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(claim);
            claims
        };
        let with = |claim: &str, value: serde_json::Value| {
            let mut claims = claims();
            claims[claim] = value;
            claims
        };
        let too_new = NOW.as_seconds() + 61;
        for claims in [
            without("aud"),
            without("iss"),
            without("exp"),
            with("aud", "another".into()),
            with("aud", serde_json::json!(["dimensionos"])),
            with("aud", serde_json::json!(["dimensionos", "another"])),
            with("aud", serde_json::Value::Null),
            with("iss", "another".into()),
            with("iat", too_new.into()),
            with("nbf", too_new.into()),
            with("sub", "ses_00000000000000000000000001".into()),
            with("sub", "".into()),
        ] {
            let token = forge(&good, &claims, &signer.encoding);
            assert_eq!(mint.read(&token, NOW), Err(Refusal::Invalid), "{claims}");
        }

        let mut wrong_type = good.clone();
        wrong_type.typ = Some("JWT".to_owned());
        let mut unknown_key = good.clone();
        unknown_key.kid = Some("another".to_owned());
        let mut no_key = good.clone();
        no_key.kid = None;
        for header in [wrong_type, unknown_key, no_key] {
            let token = forge(&header, &claims(), &signer.encoding);
            assert_eq!(mint.read(&token, NOW), Err(Refusal::Invalid), "{header:?}");
        }
    }

    #[test]
    fn a_token_that_ran_out_a_second_ago_is_expired_whether_it_was_seen_before_or_not() {
        let mint = mint(&[1]);
        let token = issue(&mint);
        let end = NOW.after(ACCESS_LIFETIME);
        for _ in 0..2 {
            assert_eq!(mint.read(&token, end.after(Duration::from_secs(1))), Err(Refusal::Expired));
            assert!(mint.read(&token, NOW).is_ok());
        }
        assert_eq!(mint.verified.len(), 1);
        mint.tidy(end);
        assert!(mint.verified.is_empty());
    }

    #[test]
    fn a_name_at_one_service_says_nothing_of_that_at_another() {
        let mint = mint(&[1]);
        let (ada, bob) = (SubjectSeed::from([1; 32]), SubjectSeed::from([2; 32]));
        let at = |service: &str, seed| mint.issue_for(&Audience::new(service), seed, NOW, &OsEntropy).unwrap();
        assert_eq!(at("billing", &ada).subject, at("billing", &ada).subject);
        assert_ne!(at("billing", &ada).subject, at("forum", &ada).subject);
        assert_ne!(at("billing", &ada).subject, at("billing", &bob).subject);
        // Another service's token opens nothing here.
        assert_eq!(mint.read(at("billing", &ada).token.expose(), NOW), Err(Refusal::Invalid));
        assert_eq!(mint.read(at("dimensionos", &ada).token.expose(), NOW), Err(Refusal::Invalid));
    }

    #[test]
    fn an_algorithm_of_the_tokens_own_choice_is_refused() {
        use base64::Engine;
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let mint = mint(&[1]);
        let public = engine.decode(&mint.signers[0].public.x).unwrap();
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(mint.signers[0].id.clone());
        let by_public_key = forge(&header, &claims(), &EncodingKey::from_secret(&public));
        assert_eq!(mint.read(&by_public_key, NOW), Err(Refusal::Invalid));

        let kid = &mint.signers[0].id;
        let none = engine.encode(format!(r#"{{"alg":"none","typ":"at+jwt","kid":"{kid}"}}"#));
        let unsigned = format!("{none}.{}.", engine.encode(claims().to_string()));
        assert_eq!(mint.read(&unsigned, NOW), Err(Refusal::Invalid));

        let token = issue(&mint);
        let mut parts: Vec<&str> = token.split('.').collect();
        let swapped = engine.encode(claims().to_string());
        parts[1] = &swapped;
        assert_eq!(mint.read(&parts.join("."), NOW), Err(Refusal::Invalid));
        assert_eq!(mint.read(&format!("{token}{}", "A".repeat(MAX_TOKEN_BYTES)), NOW), Err(Refusal::Invalid));
    }
}
