use std::fmt;
use std::str::FromStr;

use zeroize::{Zeroize, Zeroizing};

use crate::Error;
use crate::crockford;
use crate::entropy::{self, Entropy, EntropyError};
use crate::secret::SecretDigest;

/// Codes that an account has: enough to lose some, few enough to keep on a sheet of paper.
pub const RECOVERY_CODES: usize = 10;

/// Digits of a code, five bits each: 125 random bits, so that its plain digest leads nobody back.
const DIGITS: usize = 25;

/// A secret that opens its account once when the password is lost.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(u128);

impl RecoveryCode {
    /// As many new ones as an account has.
    pub(crate) fn new_set(entropy: &dyn Entropy) -> Result<Vec<Self>, EntropyError> {
        (0..RECOVERY_CODES).map(|_| Self::random(entropy)).collect()
    }

    fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        entropy::bytes(entropy).map(|bytes| Self(u128::from_be_bytes(bytes) >> 3))
    }

    /// What is kept of it.
    pub(crate) fn digest(&self) -> SecretDigest {
        SecretDigest::of(&self.expose())
    }

    /// The code in clear, in groups of five characters: to show once.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let mut digits = crockford::encode(self.0).to_ascii_uppercase();
        // The first of 26 digits is always 0 here.
        let groups: Vec<&str> = digits[1..].chunks(5).map(|group| str::from_utf8(group).unwrap_or_default()).collect();
        let text = Zeroizing::new(groups.join("-"));
        digits.zeroize();
        text
    }
}

impl FromStr for RecoveryCode {
    type Err = Error;

    /// Reads a code with or without its hyphens, in either case, with O for 0 and I or L for 1.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut digits: Vec<u8> = text.bytes().filter(|c| !matches!(c, b'-' | b' ')).collect();
        let is_complete = digits.len() == DIGITS;
        digits.insert(0, b'0');
        let code = crockford::decode(&digits).filter(|_| is_complete);
        digits.zeroize();
        code.map(Self).ok_or_else(|| Error::invalid("recoveryCode", "not a recovery code of 25 characters"))
    }
}

impl Drop for RecoveryCode {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;
    use proptest::prelude::*;

    #[test]
    fn ten_different_codes_are_made_and_read_as_people_write_them() {
        let codes = RecoveryCode::new_set(&OsEntropy).unwrap();
        let digests: std::collections::BTreeSet<_> = codes.iter().map(RecoveryCode::digest).collect();
        assert_eq!(digests.len(), RECOVERY_CODES);
        let written = codes[0].expose();
        assert_eq!(written.split('-').map(str::len).collect::<Vec<_>>(), [5; 5]);
        for text in [written.to_string(), written.to_lowercase(), written.replace('-', " ")] {
            assert_eq!(text.parse::<RecoveryCode>().unwrap().digest(), codes[0].digest());
        }
        for text in ["", "12345", &"0".repeat(26), &"U".repeat(25), &"é".repeat(25)] {
            assert!(text.parse::<RecoveryCode>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bits in 0..1_u128 << 125) {
            let code = RecoveryCode(bits);
            prop_assert_eq!(code.expose().parse::<RecoveryCode>().unwrap(), code);
        }
    }
}
