//! What every server is asked: the same operation in the same bytes, but for the token.

/// The operation.
const QUERY: &str =
    "query Me { me { id tier status metrics { cpu { percent } ram { megabytesUsed } activity { apiCallsPerHour } } } }";

/// Says no more than who asks, to the peers: as long as an access token of ours.
pub(crate) const PEER_TOKEN: &str = concat!(
    "eyJhbGciOiJub25lIn0.this-is-no-token-but-has-the-length-of-one-that-this-server-signs",
    "-so-that-every-server-reads-as-many-bytes-of-headers-and-compares-as-many-of-them-with-what-it-knows",
    "-which-is-nothing-more-than-these-letters-that-stand-for-an-account-with-its-session-and-epoch",
    ".0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmn",
);

/// A POST of the operation.
pub(crate) fn post(path: &str, token: &str) -> Vec<u8> {
    let body = serde_json::json!({ "query": QUERY }).to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
        head(token)
    )
    .into_bytes()
}

/// A GET of the same figures, for a server without GraphQL.
pub(crate) fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\n{}\r\n", head(token)).into_bytes()
}

fn head(token: &str) -> String {
    format!("Host: localhost\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n")
}
