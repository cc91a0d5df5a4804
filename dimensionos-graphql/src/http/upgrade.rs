//! How a request becomes a WebSocket (RFC 6455, section 4.2).

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const VERSION: HeaderValue = HeaderValue::from_static("13");

/// Whether a request asks for a WebSocket.
pub(super) fn is_asked(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

/// Takes a request's connection over, once the answer has been sent. Whether the client speaks `protocol` is told beside
/// it: a client that does not is told so in the socket, where browsers can read it.
///
/// # Errors
/// The answer to a request that is no good handshake.
#[expect(clippy::result_large_err, reason = "an answer is what a refused handshake is worth")]
pub(super) fn accept(
    request: &mut Request<Body>,
    protocol: &'static str,
) -> Result<(Response, OnUpgrade, bool), Response> {
    let headers = request.headers();
    if !names(headers, header::CONNECTION, "upgrade") || !names(headers, header::UPGRADE, "websocket") {
        return Err((StatusCode::BAD_REQUEST, "this is no WebSocket handshake\n").into_response());
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        let told = [(header::SEC_WEBSOCKET_VERSION, VERSION)];
        return Err((StatusCode::UPGRADE_REQUIRED, told, "the version of WebSockets is 13\n").into_response());
    }
    let key =
        headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let Some(key) = key.map(|key| derive_accept_key(key.as_bytes())) else {
        return Err((StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes in base64\n").into_response());
    };
    // The names of protocols are told apart by the case of their letters.
    let spoken = words(headers, header::SEC_WEBSOCKET_PROTOCOL);
    let speaks = spoken.into_iter().any(|spoken| spoken == protocol);
    let Some(upgraded) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err((StatusCode::BAD_REQUEST, "this connection cannot be upgraded\n").into_response());
    };
    let told = [(header::CONNECTION, HeaderValue::from_static("upgrade")), (header::UPGRADE, WEBSOCKET)];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, told).into_response();
    let headers = response.headers_mut();
    if let Ok(accept) = HeaderValue::from_str(&key) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if speaks {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    Ok((response, upgraded, speaks))
}

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Whether a list in the headers has a word, in any case of letters.
fn names(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    words(headers, name).into_iter().any(|one| one.eq_ignore_ascii_case(word))
}

fn words(headers: &HeaderMap, name: header::HeaderName) -> Vec<&str> {
    let lists = headers.get_all(name).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).collect()
}
