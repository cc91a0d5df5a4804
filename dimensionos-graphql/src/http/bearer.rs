//! Who asks: whoever has a token that holds, or anybody, who may ask only so often.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use dimensionos_core::auth::Source;
use dimensionos_core::secret::BearerToken;
use dimensionos_core::{Caller, Error, Refusal};

use crate::http::App;

/// Why it was not looked who asks.
#[derive(Debug)]
pub(super) enum Unheard {
    /// The source asks too often; it may again after so long.
    TooOften(Duration),
    /// The storage does not answer.
    Unavailable(Error),
}

/// Who sent these headers. Whoever has no token that holds is counted by source.
pub(super) async fn caller(app: &App, headers: &HeaderMap, source: Option<Source>) -> Result<Caller, Unheard> {
    let text = headers.get(header::AUTHORIZATION).map(HeaderValue::to_str);
    let caller = match text {
        None => Caller::Anonymous,
        Some(Ok(text)) => of_credentials(app, text, source).await?,
        Some(Err(_)) => Caller::Refused(Refusal::Invalid),
    };
    count(app, &caller, source)?;
    Ok(caller)
}

/// Who presents `Bearer …`. From a source that has asked too often only tokens that are known are looked at: to verify
/// others is what a flood of them would cost.
pub(super) async fn of_credentials(app: &App, text: &str, source: Option<Source>) -> Result<Caller, Unheard> {
    let Some((scheme, token)) = text.split_once(' ') else { return Ok(Caller::Refused(Refusal::Invalid)) };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Caller::Refused(Refusal::Invalid));
    }
    let (auth, token) = (app.engine.platform().auth(), BearerToken::new(token.trim()));
    if let Some(wait) = app.rates.wait(source)
        && !auth.remembers(&token)
    {
        return Err(Unheard::TooOften(wait));
    }
    auth.caller(&token).await.map_err(Unheard::Unavailable)
}

/// Counts what is asked by nobody who is known here.
pub(super) fn count(app: &App, caller: &Caller, source: Option<Source>) -> Result<(), Unheard> {
    match caller {
        Caller::Anonymous | Caller::Refused(_) => app.rates.take(source).map_err(Unheard::TooOften),
        _ => Ok(()),
    }
}
