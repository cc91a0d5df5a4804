use std::str::FromStr;

use crate::id::AccessKeyId;
use crate::name::plain_name;
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

plain_name! {
    /// What an operator calls a key: 1 to 64 letters, digits, dots, hyphens and underscores.
    KeyName, 64, "name"
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

/// Where a key stands among those of its role: they are listed newest first. Neither part ever changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPlace {
    /// When it was made.
    pub created_at: Timestamp,
    /// Which it is among those made then.
    pub id: AccessKeyId,
}

impl AccessKey {
    /// Its place in a list.
    #[must_use]
    pub const fn place(&self) -> KeyPlace {
        KeyPlace { created_at: self.created_at, id: self.id }
    }
}

/// A key just made, with the token that cannot be shown again.
#[derive(Debug)]
pub struct NewAccessKey {
    /// What is kept.
    pub key: AccessKey,
    /// The token in clear.
    pub token: AccessKeyToken,
}
