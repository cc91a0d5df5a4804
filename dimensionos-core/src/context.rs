//! Who asks: the first argument of every call of a service.

use crate::auth::Source;
use crate::id::{AccessKeyId, AccountId, RequestId, SessionId};
use crate::time::Timestamp;

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody signed in.
    Anonymous,
    /// Somebody presented a token that was refused. Public calls still work; others say what was wrong with it.
    Refused(Refusal),
    /// The holder of an account, signed in.
    Account(Principal),
    /// A program that reports usage.
    Agent(AccessKeyId),
    /// Somebody who runs the service.
    Operator(AccessKeyId),
    /// The program this library is linked into, acting for itself.
    System,
}

/// Why a presented token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has run out.
    Expired,
    /// It is malformed, forged, revoked or of another server.
    Invalid,
}

/// A signed-in account, as its access token said and the server's state confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The account.
    pub account: AccountId,
    /// The session the token belongs to.
    pub session: SessionId,
    /// The account's epoch at sign-in; a later epoch of the account ends this.
    pub epoch: u64,
    /// When the token runs out.
    pub expires_at: Timestamp,
}

/// Who asks, and in which request.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who asks.
    pub caller: Caller,
    /// The request, where there is one: it stands in the log beside any fault.
    pub request: Option<RequestId>,
    /// Where it comes from, where that is known: failed sign-ins are counted by it.
    pub source: Option<Source>,
}

impl Context {
    /// A call by `caller`, outside any request.
    #[must_use]
    pub const fn new(caller: Caller) -> Self {
        Self { caller, request: None, source: None }
    }

    /// A call by nobody in particular, as for registering and signing in.
    #[must_use]
    pub const fn anonymous() -> Self {
        Self::new(Caller::Anonymous)
    }

    /// A call by the embedding program itself, which may do everything.
    #[must_use]
    pub const fn system() -> Self {
        Self::new(Caller::System)
    }

    /// The same call, as part of a request.
    #[must_use]
    pub const fn in_request(mut self, request: RequestId) -> Self {
        self.request = Some(request);
        self
    }

    /// The same call, from that source.
    #[must_use]
    pub const fn from_source(mut self, source: Option<Source>) -> Self {
        self.source = source;
        self
    }

    /// The account that asks.
    ///
    /// # Errors
    /// [`Error`](crate::Error)`::Unauthenticated`, `TokenExpired` or `TokenInvalid` where no account is signed in,
    /// `Forbidden` where an agent, an operator or the program itself asks.
    pub fn account(&self) -> Result<&Principal, crate::Error> {
        match &self.caller {
            Caller::Account(principal) => Ok(principal),
            Caller::Anonymous => Err(crate::Error::Unauthenticated),
            Caller::Refused(Refusal::Expired) => Err(crate::Error::TokenExpired),
            Caller::Refused(Refusal::Invalid) => Err(crate::Error::TokenInvalid),
            Caller::Agent(_) | Caller::Operator(_) | Caller::System => Err(crate::Error::Forbidden),
        }
    }
}
