use axum::http::{HeaderMap, header};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::{Caller, Error, Platform, Refusal};

/// Who sent these headers.
pub(super) async fn caller(platform: &Platform, headers: &HeaderMap) -> Result<Caller, Error> {
    match headers.get(header::AUTHORIZATION) {
        None => Ok(Caller::Anonymous),
        Some(value) => match value.to_str() {
            Ok(text) => of_credentials(platform, text).await,
            Err(_) => Ok(Caller::Refused(Refusal::Invalid)),
        },
    }
}

/// Who presents `Bearer …`.
pub(super) async fn of_credentials(platform: &Platform, text: &str) -> Result<Caller, Error> {
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            platform.auth().caller(&BearerToken::new(token.trim())).await
        }
        _ => Ok(Caller::Refused(Refusal::Invalid)),
    }
}
