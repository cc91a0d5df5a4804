//! Sessions of web front ends: the refresh token travels in a cookie that no script can read.
//!
//! A page asks for it by a header. No page of another origin can send one without asking this server first, and no form
//! or link sends any, so a cookie that a browser adds by itself changes nothing.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use dimensionos_core::Timestamp;
use dimensionos_core::secret::RefreshToken;
use zeroize::Zeroizing;

use crate::config::Environment;
use crate::engine::{Cookie, CookieChange};
use crate::http::App;
use crate::http::graphql::Malformed;

/// The header that asks for it.
pub(super) const ASKED: HeaderName = HeaderName::from_static("x-dimensionos-session");
const KIND: &str = "cookie";

const UNKNOWN: Malformed = Malformed::new(StatusCode::BAD_REQUEST, "X-DimensionOS-Session is not `cookie`");
const FOREIGN: Malformed = Malformed {
    code: "FORBIDDEN",
    ..Malformed::new(StatusCode::FORBIDDEN, "a session in a cookie is for pages of this server and of allowed origins")
};

/// Which cookie it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Sent over TLS alone, to this very host; its name has browsers hold it to that, so no subdomain can plant one.
    Host,
    /// The same without TLS, on the developer's own machine. Cookies know no ports: so that two servers there leave each
    /// other's alone, the name has it.
    Loopback(u16),
}

impl Place {
    /// Browsers count plain HTTP to a loopback host as secure in most things, but not all of them in this.
    fn of(environment: Environment, headers: &HeaderMap) -> Self {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let port = ["localhost", "127.0.0.1", "[::1]"].iter().find_map(|name| {
            let port = host.strip_prefix(name)?;
            if port.is_empty() { Some(80) } else { port.strip_prefix(':')?.parse().ok() }
        });
        match port {
            Some(port) if environment == Environment::Development => Self::Loopback(port),
            _ => Self::Host,
        }
    }

    fn name(self) -> Cow<'static, str> {
        match self {
            Self::Host => "__Host-dimensionos-refresh".into(),
            Self::Loopback(port) => format!("dimensionos-refresh-{port}").into(),
        }
    }

    const fn attributes(self) -> &'static str {
        match self {
            Self::Host => "Path=/; HttpOnly; SameSite=Strict; Secure",
            Self::Loopback(_) => "Path=/; HttpOnly; SameSite=Strict",
        }
    }

    fn held(self, headers: &HeaderMap) -> Option<RefreshToken> {
        let lists = headers.get_all(header::COOKIE).iter().filter_map(|list| list.to_str().ok());
        let mut pairs = lists.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let own = self.name();
        pairs.find(|(name, _)| *name == own).map(|(_, value)| RefreshToken::new(value))
    }

    /// What a browser is told. The text is wiped; the header's own copy ends with the answer.
    fn told(self, change: &CookieChange, now: Timestamp) -> Option<HeaderValue> {
        // Room for all of it, so that no part of it is left behind where a text has grown.
        let mut text = Zeroizing::new(String::with_capacity(256));
        let (value, seconds) = match change {
            CookieChange::Set(token, until) => (token.expose(), until.since(now).as_secs()),
            CookieChange::Removed => ("", 0),
        };
        write!(text, "{}={value}; Max-Age={seconds}; {}", self.name(), self.attributes()).ok()?;
        let mut told = HeaderValue::from_str(&text).ok()?;
        told.set_sensitive(true);
        Some(told)
    }
}

/// A request whose session is in a cookie.
#[derive(Debug)]
pub(super) struct CookieSession {
    place: Place,
    pub(super) cookie: Arc<Cookie>,
}

impl CookieSession {
    /// The session that a request has in a cookie, where it asks for one.
    ///
    /// # Errors
    /// What it is refused with as a whole: for a page that is neither this server's nor allowed, and for a caller that
    /// names no page, since only browsers have use for cookies.
    pub(super) fn of(app: &App, headers: &HeaderMap) -> Result<Option<Self>, Malformed> {
        let mut asked = headers.get_all(ASKED).iter();
        match (asked.next(), asked.next()) {
            (None, _) => return Ok(None),
            (Some(kind), None) if kind == KIND => {}
            _ => return Err(UNKNOWN),
        }
        if !app.origins.is_known(headers) {
            return Err(FOREIGN);
        }
        let place = Place::of(app.environment, headers);
        Ok(Some(Self { place, cookie: Arc::new(Cookie::new(place.held(headers))) }))
    }

    /// Tells the browser what has become of its cookie.
    pub(super) fn tell(&self, response: &mut Response, now: Timestamp) {
        let change = self.cookie.take_change();
        if let Some(told) = change.and_then(|change| self.place.told(&change, now)) {
            response.headers_mut().insert(header::SET_COOKIE, told);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_cookie_without_tls_is_for_development_on_the_own_machine_alone() {
        for (host, port) in
            [("localhost", 80), ("localhost:8000", 8000), ("127.0.0.1:8001", 8001), ("[::1]:8000", 8000), ("[::1]", 80)]
        {
            let headers = headers(header::HOST, host);
            assert_eq!(Place::of(Environment::Development, &headers), Place::Loopback(port), "{host}");
            assert_eq!(Place::of(Environment::Production, &headers), Place::Host, "{host}");
        }
        for host in ["localhost.example", "127.0.0.1.example:80", "api.example", "127.0.0.10", "[::1", "localhost:", ""]
        {
            assert_eq!(Place::of(Environment::Development, &headers(header::HOST, host)), Place::Host, "{host}");
        }
        assert_eq!(Place::of(Environment::Development, &HeaderMap::new()), Place::Host);
    }

    #[test]
    fn the_own_cookie_is_found_among_others() {
        let held = |place: Place, cookies| {
            place.held(&headers(header::COOKIE, cookies)).map(|token| token.expose().to_owned())
        };
        let cookies = "theme=dark; dimensionos-refresh-80=one; __Host-dimensionos-refresh=two; other";
        assert_eq!(held(Place::Loopback(80), cookies).as_deref(), Some("one"));
        assert_eq!(held(Place::Loopback(8000), cookies), None);
        assert_eq!(held(Place::Host, cookies).as_deref(), Some("two"));
        assert_eq!(held(Place::Host, "x__Host-dimensionos-refresh=two; dimensionos-refresh-80=one"), None);
    }

    #[test]
    fn what_a_browser_is_told_keeps_the_token_from_scripts_and_from_the_log() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let set = CookieChange::Set(RefreshToken::new("dimr_abc"), now.after(Duration::from_secs(60)));
        let told = Place::Host.told(&set, now).unwrap();
        assert_eq!(
            told.to_str().unwrap(),
            "__Host-dimensionos-refresh=dimr_abc; Max-Age=60; Path=/; HttpOnly; SameSite=Strict; Secure"
        );
        assert!(!format!("{told:?} {set:?}").contains("abc"));
        assert_eq!(
            Place::Loopback(80).told(&CookieChange::Removed, now).unwrap().to_str().unwrap(),
            "dimensionos-refresh-80=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"
        );
    }
}
