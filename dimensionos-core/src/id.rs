//! Identifiers: 128 random bits each, one type for each thing that has one.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::crockford;
use crate::entropy::{self, Entropy, EntropyError};

/// The hash of maps by account that are looked into for each sample: ids are random, and this is seeded by chance.
pub(crate) type FastHash = foldhash::fast::RandomState;
/// What is known of accounts, each found in a few nanoseconds.
pub(crate) type ByAccount<T> = HashMap<AccountId, T, FastHash>;

/// A text that is no identifier of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_ and 26 characters")]
pub struct InvalidId {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

fn write(f: &mut fmt::Formatter<'_>, prefix: &str, value: u128) -> fmt::Result {
    let text = crockford::encode(value);
    write!(f, "{prefix}_{}", str::from_utf8(&text).unwrap_or_default())
}

fn read(text: &str, prefix: &'static str) -> Result<u128, InvalidId> {
    let invalid = InvalidId { prefix };
    let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(invalid)?;
    let value = crockford::decode(digits.as_bytes()).ok_or(invalid)?;
    // One spelling an id: what is compared, cached and logged as text stays comparable.
    if crockford::encode(value) == digits.as_bytes() { Ok(value) } else { Err(invalid) }
}

macro_rules! id {
    ($(#[doc = $doc:literal])+ $name:ident, $prefix:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            pub(crate) fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
                entropy::bytes(entropy).map(u128::from_be_bytes).map(Self)
            }

            /// The identifier of those 128 bits, as a store holds them.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// The 128 bits, for a store to hold.
            #[must_use]
            pub const fn bits(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(f, $prefix, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                read(text, $prefix).map(Self)
            }
        }
    };
}

id! {
    /// Names an account. Random, and unrelated to whoever holds it.
    AccountId, "acc"
}
impl AccountId {
    /// No account's: what is looked for in its name is not there.
    pub const NOBODY: Self = Self(0);
}

id! {
    /// Names a session: one sign-in, and every token that descends from it.
    SessionId, "ses"
}
id! {
    /// Names an access key: what an agent or an operator signs in with.
    AccessKeyId, "key"
}
id! {
    /// Names a hold on a quota: a reservation, or what a process may use without asking again.
    HoldId, "hld"
}
id! {
    /// Names a running process among those that share a database.
    ReplicaId, "rep"
}
id! {
    /// Names a deployment: whatever works on one database.
    DeploymentId, "dep"
}
id! {
    /// Names something found against an account.
    ViolationId, "vio"
}
id! {
    /// Names one request, in its answer and in the log.
    RequestId, "req"
}

impl RequestId {
    /// A new random id.
    ///
    /// # Errors
    /// [`EntropyError`] where the source of chance fails.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Self::random(entropy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let account = AccountId::from_bits(7).to_string();
        assert_eq!(account, "acc_00000000000000000000000007");
        assert!(account.parse::<SessionId>().is_err());
        for text in ["", "acc_", "acc_7", "ACC_00000000000000000000000007", "acc_O0000000000000000000000007"] {
            assert!(text.parse::<AccountId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bits: u128) {
            let id = AccountId::from_bits(bits);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn no_text_is_read_to_anything_but_itself(text in ".{0,40}") {
            if let Ok(id) = text.parse::<AccountId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
