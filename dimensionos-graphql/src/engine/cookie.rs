//! The refresh token of a page, where a cookie keeps it from the page's scripts.

use dimensionos_core::Timestamp;
use dimensionos_core::secret::RefreshToken;
use parking_lot::Mutex;

/// The cookie of one request: what came in it, and what the browser is to be told of it.
#[derive(Debug)]
pub(crate) struct Cookie {
    held: Option<RefreshToken>,
    change: Mutex<Option<CookieChange>>,
}

/// What is to become of the cookie.
#[derive(Debug)]
pub(crate) enum CookieChange {
    /// It holds that token, until then.
    Set(RefreshToken, Timestamp),
    /// There is none.
    Removed,
}

impl Cookie {
    pub(crate) fn new(held: Option<RefreshToken>) -> Self {
        Self { held, change: Mutex::default() }
    }

    /// The token that came with the request; one that opens nothing where none came.
    pub(crate) fn token(&self) -> RefreshToken {
        self.held.clone().unwrap_or_else(|| RefreshToken::new(""))
    }

    /// A browser has one such cookie: where a document signs in more than once, it holds what came last.
    pub(crate) fn set(&self, token: RefreshToken, until: Timestamp) {
        *self.change.lock() = Some(CookieChange::Set(token, until));
    }

    pub(crate) fn remove(&self) {
        *self.change.lock() = Some(CookieChange::Removed);
    }

    /// What the browser is to be told; absent where it is told nothing.
    pub(crate) fn take_change(&self) -> Option<CookieChange> {
        self.change.lock().take()
    }
}
