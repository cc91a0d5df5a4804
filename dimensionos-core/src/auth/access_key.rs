use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::id::AccessKeyId;
use crate::secret::{AccessKeyToken, SecretDigest};
use crate::time::Timestamp;

/// What the holder of an access key may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reports usage.
    Agent,
    /// Runs the service.
    Operator,
}

impl Role {
    const ALL: [Self; 2] = [Self::Agent, Self::Operator];

    /// The name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "AGENT",
            Self::Operator => "OPERATOR",
        }
    }

    /// What its tokens begin with, so that a leaked one is known for what it is.
    pub(crate) const fn token_prefix(self) -> &'static str {
        match self {
            Self::Agent => "dima_",
            Self::Operator => "dimo_",
        }
    }

    /// The role a token claims by its prefix.
    pub(crate) fn of_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| token.starts_with(role.token_prefix()))
    }
}

impl FromStr for Role {
    type Err = crate::allocation::UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(crate::allocation::UnknownName)
    }
}

/// What an operator calls a key: 1 to 64 letters, digits, dots, hyphens and underscores.
///
/// Narrow on purpose: it is stored and logged, and no address fits in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid("name", "not 1 to 64 letters, digits, dots, hyphens or underscores"))
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is kept of an agent's or operator's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id.
    pub id: AccessKeyId,
    /// What its holder may be.
    pub role: Role,
    /// What it is called; no two of one role are called the same.
    pub name: KeyName,
    /// SHA-256 of its token.
    pub digest: SecretDigest,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A key just made, with the token that cannot be shown again.
#[derive(Debug)]
pub struct NewAccessKey {
    /// What is kept.
    pub key: AccessKey,
    /// The token in clear.
    pub token: AccessKeyToken,
}
