//! Values that must not be shown: wiped when dropped, and printed as their name alone.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::entropy::{self, Entropy, EntropyError};

/// SHA-256 of a secret of 125 random bits or more: what is stored of it, and enough to know it again.
///
/// A plain digest suffices for such secrets alone, because nobody can list them; passwords and addresses never pass
/// through here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// The digest of those bytes, as a store holds them.
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

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest")
    }
}

macro_rules! secret {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Clone)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Holds that text as the secret.
            pub fn new(text: impl Into<String>) -> Self {
                Self(Zeroizing::new(text.into()))
            }

            /// The secret in clear: to hand it over once, never to print or store it.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

secret! {
    /// A bearer token as it arrived, of whatever kind it turns out to be.
    BearerToken
}
secret! {
    /// A short-lived signed token that carries who signed in.
    AccessToken
}
secret! {
    /// A long-lived random token, good for one rotation.
    RefreshToken
}
secret! {
    /// The token of an agent or operator, shown once.
    AccessKeyToken
}

/// A prefix that names the kind, then 256 random bits in base64url.
pub(crate) fn random_token(prefix: &str, entropy: &dyn Entropy) -> Result<Zeroizing<String>, EntropyError> {
    use base64::Engine;
    let bits = Zeroizing::new(entropy::bytes::<32>(entropy)?);
    let digits = Zeroizing::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bits.as_slice()));
    Ok(Zeroizing::new([prefix, &digits].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_only_its_name() {
        assert_eq!(format!("{:?}", RefreshToken::new("dimr_abc")), "RefreshToken");
        assert_eq!(format!("{:?}", SecretDigest::of("dimr_abc")), "SecretDigest");
    }
}
