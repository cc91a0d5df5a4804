//! The key that appeals are sealed to.

use std::fmt;
use std::str::FromStr;

/// A public key of age's for X25519, as `age-keygen` prints it: `age1…`. The statement of an appeal is sealed to it by
/// the account's holder, and the secret half stays with the operators: this server cannot read what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppealRecipient(String);

/// A text that is no public key of age's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a public key of age's, age1 and 58 characters")]
pub struct InvalidRecipient;

/// What Bech32 writes five bits with.
const DIGITS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// What the text begins with, and what parts it from the key.
const PREFIX: &str = "age";
/// Digits of a key: 256 bits in fives, and four bits that are zero.
const KEY_DIGITS: usize = 52;
/// Digits of the checksum.
const CHECK_DIGITS: usize = 6;

impl AppealRecipient {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppealRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AppealRecipient {
    type Err = InvalidRecipient;

    /// Bech32 (BIP 173) of 32 bytes, in lower case. A key with a slip of the pen would seal to nobody: the checksum finds
    /// it.
    fn from_str(text: &str) -> Result<Self, InvalidRecipient> {
        let digits = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('1')).ok_or(InvalidRecipient)?;
        let place = |digit: u8| {
            let place = DIGITS.iter().position(|one| *one == digit).ok_or(InvalidRecipient)?;
            u8::try_from(place).map_err(|_| InvalidRecipient)
        };
        let values: Vec<u8> = digits.bytes().map(place).collect::<Result<_, _>>()?;
        let is_padded_with_zeros = values.get(KEY_DIGITS - 1).is_some_and(|last| last & 0b1111 == 0);
        if values.len() == KEY_DIGITS + CHECK_DIGITS && is_padded_with_zeros && checksum(&values) == 1 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRecipient)
        }
    }
}

/// The remainder that BIP 173 has be 1, over the prefix and the digits.
fn checksum(values: &[u8]) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let high = PREFIX.bytes().map(|byte| byte >> 5);
    let low = PREFIX.bytes().map(|byte| byte & 31);
    high.chain([0]).chain(low).chain(values.iter().copied()).fold(1, |remainder, value| {
        let top = remainder >> 25;
        let shifted = ((remainder & 0x01ff_ffff) << 5) ^ u32::from(value);
        let taken = GENERATOR.iter().enumerate().filter(|(bit, _)| (top >> bit) & 1 == 1);
        taken.fold(shifted, |sum, (_, generator)| sum ^ generator)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of age's own documentation.
    const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    #[test]
    fn a_key_is_taken_as_it_is_printed() {
        for key in [KEY, "age1qypqxpq9qcrsszg2pvxq6rs0zqg3yyc5z5tpwxqergd3c8g7rusqmwn7f2"] {
            assert_eq!(key.parse::<AppealRecipient>().unwrap().as_str(), key);
        }
    }

    #[test]
    fn one_wrong_character_anywhere_is_found() {
        for place in 0..KEY.len() {
            for digit in ['q', 'p', '7', 'b', 'A', ' ', 'é'] {
                let wrong: String =
                    KEY.chars().enumerate().map(|(at, own)| if at == place { digit } else { own }).collect();
                assert!(wrong == KEY || wrong.parse::<AppealRecipient>().is_err(), "{wrong}");
            }
        }
    }

    #[test]
    fn what_is_another_key_or_none_is_refused() {
        for other in [
            "",
            "age1",
            "age",
            KEY.to_uppercase().as_str(),
            &KEY[..61],
            &format!("{KEY}q"),
            // Of 31 bytes, of another prefix, with bits where zeros belong, and with the checksum of Bech32m.
            "age1qypqxpq9qcrsszg2pvxq6rs0zqg3yyc5z5tpwxqergd3c8g7ru28p0lr",
            "bge1qypqxpq9qcrsszg2pvxq6rs0zqg3yyc5z5tpwxqergd3c8g7rusqckya64",
            "age1qypqxpq9qcrsszg2pvxq6rs0zqg3yyc5z5tpwxqergd3c8g7ruspxc8t5c",
            "age1qypqxpq9qcrsszg2pvxq6rs0zqg3yyc5z5tpwxqergd3c8g7rusqwjrjvg",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBOsAb",
        ] {
            assert_eq!(other.parse::<AppealRecipient>(), Err(InvalidRecipient), "{other}");
        }
    }
}
