//! From an address to a tag that leads nobody back.
//!
//! An address is normalised, digested with SHA-256, and the digest tagged with HMAC-SHA-256 under the pepper, all in
//! memory; only the tag is kept. The digest alone would not do: a list of addresses is hashed in minutes. The pepper,
//! which is not in the database, is what makes the tag useless to whoever takes the database.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

use crate::Error;
use crate::auth::Pepper;
use crate::crockford;
use crate::entropy::{self, Entropy, EntropyError};

/// The version of the normalisation rule below. A change of the rule is a new version, never an edit.
pub const NORMALISATION_VERSION: u8 = 1;

/// Octets an address may have: RFC 5321 allows a path of 256 with its two brackets.
pub const MAX_EMAIL_BYTES: usize = 254;

/// Names the domain of the tag of an address digest, so that no other use of the pepper can collide with it.
const EMAIL_LABEL: &[u8] = b"dimensionos/anonymous-id/v1";
/// The same for account numbers.
const ACCOUNT_NUMBER_LABEL: &[u8] = b"dimensionos/account-number/v1";

/// Who signs in: an address's digest, or an account number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The digest of a normalised address.
    Email(EmailDigest),
    /// A number that was issued to an account without an address.
    AccountNumber(AccountNumber),
}

impl Identity {
    /// The identity of an address in clear, which is digested at once and not kept.
    ///
    /// # Errors
    /// `InvalidInput` where the text is no address.
    ///
    /// ```
    /// use dimensionos_core::users::Identity;
    ///
    /// // The domain is written in ASCII, the case folded; the local part's dots and tags stay.
    /// assert_eq!(Identity::email(" Ada+Lab@BÜCHER.example ")?, Identity::email("ada+lab@xn--bcher-kva.example")?);
    /// # Ok::<(), dimensionos_core::Error>(())
    /// ```
    pub fn email(address: &str) -> Result<Self, Error> {
        let normalised = normalise(address)?;
        Ok(Self::Email(EmailDigest(Sha256::digest(normalised.as_bytes()).into())))
    }

    pub(crate) fn anonymous_id(&self, pepper: &Pepper) -> AnonymousId {
        AnonymousId(match self {
            Self::Email(digest) => pepper.tag(EMAIL_LABEL, &digest.0),
            Self::AccountNumber(number) => pepper.tag(ACCOUNT_NUMBER_LABEL, &number.0.to_be_bytes()),
        })
    }
}

/// Normalises an address by rule 1: trimmed, Unicode NFC, lower case, the domain in ASCII (IDNA).
///
/// # Errors
/// `InvalidInput` where the text is no address.
pub fn normalise(address: &str) -> Result<Zeroizing<String>, Error> {
    let invalid = |reason: &str| Error::invalid("email", reason);
    let trimmed = address.trim();
    if trimmed.len() > MAX_EMAIL_BYTES {
        return Err(invalid("longer than 254 bytes"));
    }
    let folded = Zeroizing::new(fold(trimmed));
    let (local, domain) = folded.rsplit_once('@').ok_or_else(|| invalid("has no @"))?;
    if local.is_empty() || local.chars().any(|c| c.is_control() || c.is_whitespace() || c == '@') {
        return Err(invalid("has no usable part before the @"));
    }
    let domain = idna::domain_to_ascii_strict(domain).map_err(|_| invalid("has no usable domain"))?;
    if domain.is_empty() {
        return Err(invalid("has no usable domain"));
    }
    let normalised = Zeroizing::new([local, "@", &domain].concat());
    if normalised.len() > MAX_EMAIL_BYTES {
        return Err(invalid("longer than 254 bytes"));
    }
    Ok(normalised)
}

/// NFC, then lower case, then NFC again: lower-casing may leave a sequence that composes (İ gives i and a dot above).
fn fold(text: &str) -> String {
    let mut composed: String = text.nfc().collect();
    let mut lower = composed.to_lowercase();
    composed.zeroize();
    let folded = lower.nfc().collect();
    lower.zeroize();
    folded
}

/// SHA-256 of a normalised address, as clients send it that keep the address to themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailDigest([u8; 32]);

impl FromStr for EmailDigest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse_hex(text).map(Self).ok_or_else(|| Error::invalid("emailDigest", "not 64 hex digits"))
    }
}

impl fmt::Debug for EmailDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailDigest")
    }
}

impl Drop for EmailDigest {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// 128 random bits, issued to an account without an address; whoever knows it and the password is its holder.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountNumber(u128);

impl AccountNumber {
    pub(crate) fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        entropy::bytes(entropy).map(u128::from_be_bytes).map(Self)
    }

    /// The number in clear, in groups of five characters: to show once to whom it was issued.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let digits = crockford::encode(self.0).to_ascii_uppercase();
        let groups: Vec<&str> = digits.chunks(5).map(|group| str::from_utf8(group).unwrap_or_default()).collect();
        Zeroizing::new(groups.join("-"))
    }
}

impl FromStr for AccountNumber {
    type Err = Error;

    /// Reads a number with or without its hyphens, in either case, with O for 0 and I or L for 1.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut digits: Vec<u8> = text.bytes().filter(|c| !matches!(c, b'-' | b' ')).collect();
        let number = crockford::decode(&digits);
        digits.zeroize();
        number.map(Self).ok_or_else(|| Error::invalid("accountNumber", "not an account number of 26 characters"))
    }
}

impl fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountNumber")
    }
}

/// The keyed tag an account is found by: 32 bytes that say nothing without the pepper.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AnonymousId([u8; 32]);

impl AnonymousId {
    /// The tag of those bytes, as a store holds them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a store to hold.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for AnonymousId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

// A tag is visible to the owner alone, so not even a debug print shows it.
impl fmt::Debug for AnonymousId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnonymousId")
    }
}

/// Reads exactly 64 hex digits.
pub(crate) fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_is_folded_and_its_tags_stay() {
        for (address, normalised) in [
            ("  Ada.Lovelace+lab@Example.ORG\n", "ada.lovelace+lab@example.org"),
            ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
            ("JOSE\u{301}@example.org", "jos\u{e9}@example.org"),
        ] {
            assert_eq!(*normalise(address).unwrap(), normalised);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_field() {
        let long = format!("{}@example.org", "a".repeat(254));
        for address in ["", "ada", "@example.org", "ada@", "a da@example.org", "a@b@example.org", "ada@exa mple", &long]
        {
            let refused = normalise(address).unwrap_err();
            assert!(matches!(refused, Error::InvalidInput { field: "email", .. }), "{address}: {refused}");
        }
    }

    #[test]
    fn the_digest_of_the_address_names_the_same_account() {
        let digest = "8bb6c17838643f9691cc6a4de6c51709bb1ef2ef5aa81ae5ca6fe1a5f4f2d4ed";
        let by_address = Identity::email("Ada@Example.org").unwrap();
        let expected: [u8; 32] = Sha256::digest(b"ada@example.org").into();
        assert_eq!(by_address, Identity::Email(EmailDigest(expected)));
        assert!(digest.parse::<EmailDigest>().is_ok());
        for text in ["", "8bb6", &"g".repeat(64), &"é".repeat(32)] {
            assert!(text.parse::<EmailDigest>().is_err());
        }
    }

    #[test]
    fn a_tag_needs_the_pepper_and_its_label() {
        let digest = Identity::Email(EmailDigest([7; 32]));
        let one = Pepper::from_bytes([1; 32]);
        assert_eq!(digest.anonymous_id(&one), digest.anonymous_id(&Pepper::from_bytes([1; 32])));
        assert_ne!(digest.anonymous_id(&one), digest.anonymous_id(&Pepper::from_bytes([2; 32])));
    }

    #[test]
    fn an_account_number_is_read_as_people_write_it() {
        let number = AccountNumber(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let written = number.expose();
        assert_eq!(written.split('-').map(str::len).collect::<Vec<_>>(), [5, 5, 5, 5, 5, 1]);
        for text in [written.to_string(), written.to_lowercase(), written.replace('-', ""), written.replace('-', " ")] {
            assert_eq!(text.parse::<AccountNumber>().unwrap(), number);
        }
    }

    proptest! {
        #[test]
        fn normalisation_is_idempotent(local in "[^@\\s\\p{Cc}]{1,40}", domain in "[a-zA-Zäöüßéñ]{1,20}\\.[a-z]{2,6}") {
            if let Ok(once) = normalise(&format!("{local}@{domain}")) {
                prop_assert_eq!(&*normalise(&once).unwrap(), &*once);
            }
        }

        #[test]
        fn an_address_and_its_digest_are_the_same_identity(local in "[^@\\s\\p{Cc}]{1,40}", domain in "[a-zA-Zäöü]{1,20}\\.[a-z]{2,6}") {
            let address = format!("{local}@{domain}");
            if let Ok(normalised) = normalise(&address) {
                let digest = Sha256::digest(normalised.as_bytes());
                let hex: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
                let by_digest = Identity::Email(hex.parse().unwrap());
                prop_assert_eq!(&Identity::email(&address).unwrap(), &by_digest);
                prop_assert_eq!(Identity::email(&normalised).unwrap(), by_digest);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,300}") {
            let _ = normalise(&text);
            let _ = text.parse::<AccountNumber>();
            let _ = text.parse::<EmailDigest>();
        }
    }
}
