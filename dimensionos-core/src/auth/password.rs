use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::Error;
use crate::auth::{KeyId, Pepper};

/// Fewest characters of a password, unless a deployment says otherwise: NIST SP 800-63B-4 asks for 15 where it is the
/// only factor.
pub const MIN_CHARACTERS: usize = 15;
/// Fewest characters that a deployment may ask for.
const LEAST_MIN_CHARACTERS: usize = 8;
/// Most bytes of a password: enough for any passphrase, and no lever for making the server work.
pub const MAX_BYTES: usize = 1_024;
/// The characters the estimate of strength looks at: its time grows with the square of them, and what is strong in its
/// first hundred characters is strong.
const ESTIMATED_CHARACTERS: usize = 100;

/// Words of an address that are looked for in a password; real ones have some five.
const MAX_AVOIDED: usize = 16;

const PASSWORD_LABEL: &[u8] = b"dimensionos/password/v1";

/// What a new password has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordRule {
    min_characters: usize,
}

impl Default for PasswordRule {
    fn default() -> Self {
        Self { min_characters: MIN_CHARACTERS }
    }
}

impl PasswordRule {
    /// At least that many characters.
    ///
    /// # Errors
    /// `InvalidInput` below 8, or above 128, which nobody could meet.
    pub fn at_least(characters: usize) -> Result<Self, Error> {
        if (LEAST_MIN_CHARACTERS..=128).contains(&characters) {
            Ok(Self { min_characters: characters })
        } else {
            Err(Error::invalid("minPasswordLength", "not from 8 to 128"))
        }
    }
}

/// A password as it was typed, in Unicode NFKC so that every keyboard's spelling of it is the same.
#[derive(Clone)]
pub struct Password {
    text: Zeroizing<String>,
    /// Characters as they were typed: normalising may make eighteen of one.
    typed: usize,
    /// What a guesser who knows whose it is would try first.
    avoided: Vec<Zeroizing<String>>,
}

impl Password {
    /// Takes a password of any strength; [`Registration`](crate::users::Registration) looks at that.
    ///
    /// # Errors
    /// `InvalidInput` where it is empty or longer than [`MAX_BYTES`].
    pub fn new(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::invalid("password", "is empty"));
        }
        if text.len() > MAX_BYTES {
            return Err(Error::invalid("password", "longer than 1,024 bytes"));
        }
        let normalised = Zeroizing::new(text.nfkc().collect::<String>());
        Ok(Self { text: normalised, typed: text.chars().count(), avoided: Vec::new() })
    }

    /// The same password of whoever has that address, as which it is weak, and so are its parts.
    #[must_use]
    pub fn of(mut self, address: &str) -> Self {
        let parts = address.split(|c: char| !c.is_alphanumeric()).filter(|part| part.chars().count() > 2);
        let local = address.rsplit_once('@').map(|(local, _)| local);
        let words = std::iter::once(address.trim()).chain(local).chain(parts).take(MAX_AVOIDED);
        self.avoided = words.map(|word| Zeroizing::new(word.to_lowercase())).collect();
        self
    }

    /// Refuses what would be guessed.
    pub(crate) fn check_strength(&self, rule: PasswordRule) -> Result<(), Error> {
        let weak = |hint: String| Err(Error::WeakPassword { hint });
        let fewest = rule.min_characters;
        if self.typed.min(self.text.chars().count()) < fewest {
            return weak(format!("use at least {fewest} characters; a few unrelated words will do"));
        }
        let start = Zeroizing::new(self.text.chars().take(ESTIMATED_CHARACTERS).collect::<String>());
        let avoided: Vec<&str> = self.avoided.iter().map(|word| word.as_str()).chain(["dimensionos"]).collect();
        let estimate = zxcvbn::zxcvbn(&start, &avoided);
        if estimate.score() >= zxcvbn::Score::Three {
            return Ok(());
        }
        let hint = estimate.feedback().and_then(|feedback| {
            let warning = feedback.warning().map(|warning| warning.to_string());
            warning.or_else(|| feedback.suggestions().first().map(ToString::to_string))
        });
        weak(hint.unwrap_or_else(|| "add a few unrelated words".to_owned()))
    }

    /// What bcrypt is given: HMAC-SHA-256 under the pepper, in base64. bcrypt reads 72 bytes and stops at none of these
    /// 43, while of the password itself it would drop the rest and stop at a NUL; and without the pepper a stolen hash
    /// cannot even be guessed at.
    pub(crate) fn keyed(&self, pepper: &Pepper) -> Zeroizing<String> {
        let tag = Zeroizing::new(pepper.tag(PASSWORD_LABEL, self.text.as_bytes()));
        Zeroizing::new(STANDARD_NO_PAD.encode(tag.as_slice()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// What is kept of a password: bcrypt of its keyed form, and the name of the pepper that keyed it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// The modular crypt form, `$2b$…`.
    pub bcrypt: String,
    /// The pepper.
    pub pepper: KeyId,
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strength(text: &str) -> Result<(), Error> {
        Password::new(text).unwrap().check_strength(PasswordRule::default())
    }

    #[test]
    fn a_deployment_may_ask_for_fewer_characters_but_not_for_fewer_than_eight() {
        assert!(PasswordRule::at_least(7).is_err());
        let short = Password::new("kV9#qLx2wT").unwrap();
        assert!(short.check_strength(PasswordRule::default()).is_err());
        assert!(short.check_strength(PasswordRule::at_least(8).unwrap()).is_ok());
        assert!(Password::new("password").unwrap().check_strength(PasswordRule::at_least(8).unwrap()).is_err());
    }

    #[test]
    fn a_short_or_common_password_is_refused_with_a_hint() {
        for text in [
            "short",
            "fourteen chars",
            "aaaaaaaaaaaaaaaaaaaa",
            "passwordpassword",
            "123456789012345678",
            "\u{fdfa}",
            "DimensionOS1234",
        ] {
            match strength(text) {
                Err(Error::WeakPassword { hint }) => assert!(!hint.is_empty()),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(strength("violet harbour kestrel 41").is_ok());
        assert!(strength("дождь река камень утро").is_ok());
    }

    #[test]
    fn an_address_and_what_it_is_made_of_are_weak_for_whoever_has_it() {
        let address = "Jonathan.K.Whitfield@example.com";
        for text in ["jonathan.k.whitfield@example.com", "jonathan.k.whitfield", "whitfieldjonathan1"] {
            let password = Password::new(text).unwrap().of(address);
            assert!(password.check_strength(PasswordRule::default()).is_err(), "{text}");
        }
        let password = Password::new("violet harbour kestrel 41").unwrap().of(address);
        assert!(password.check_strength(PasswordRule::default()).is_ok());
    }

    #[test]
    fn nothing_and_too_much_are_no_passwords() {
        assert!(Password::new("").is_err());
        assert!(Password::new(&"a".repeat(MAX_BYTES + 1)).is_err());
    }

    #[test]
    fn a_73rd_byte_and_a_nul_count() {
        let pepper = Pepper::from_bytes([3; 32]);
        let keyed = |text: &str| Password::new(text).unwrap().keyed(&pepper);
        let long = "x".repeat(72);
        assert_ne!(keyed(&format!("{long}a")), keyed(&format!("{long}b")));
        assert_ne!(keyed("a"), keyed("a\0a"));
        assert!(keyed(&long).len() <= 72);
    }

    #[test]
    fn the_same_characters_spelt_otherwise_are_the_same_password() {
        let pepper = Pepper::from_bytes([3; 32]);
        let keyed = |text: &str| Password::new(text).unwrap().keyed(&pepper);
        assert_eq!(keyed("caf\u{e9} \u{fb01}ne"), keyed("cafe\u{301} fine"));
    }
}
