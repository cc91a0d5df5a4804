//! Requests as strangers make them, and what comes back, whole.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::Server;

pub const TIERS: &str = "{ tiers { tier } }";
pub const JSON: &str = "application/json";
pub const GRAPHQL_JSON: &str = "application/graphql-response+json";
/// Every code that the contract names.
pub const CODES: [&str; 23] = [
    "UNAUTHENTICATED",
    "FORBIDDEN",
    "NOT_FOUND",
    "INVALID_INPUT",
    "INVALID_CREDENTIALS",
    "TOKEN_EXPIRED",
    "TOKEN_INVALID",
    "TOKEN_REUSED",
    "REAUTHENTICATION_REQUIRED",
    "WEAK_PASSWORD",
    "IDENTITY_UNAVAILABLE",
    "RATE_LIMITED",
    "BUSY",
    "SERVICE_READ_ONLY",
    "SERVICE_SUSPENDED",
    "SERVICE_CANCELLED",
    "QUOTA_EXCEEDED",
    "ATTESTATION_INVALID",
    "ATTESTATION_SPENT",
    "CONFLICT",
    "QUERY_TOO_COMPLEX",
    "PERSISTED_QUERY_NOT_FOUND",
    "INTERNAL",
];

/// What came back, whole.
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Reply {
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.timeout(Duration::from_secs(20)).send().await.expect("the server answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with("application/"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}: {}", self.status, self.text))
    }

    pub fn code(&self) -> String {
        let answer = self.json();
        answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Whether it is a refusal of which every error has one of the contract's codes.
    pub fn assert_typed(&self, what: &str) {
        let answer = self.json();
        let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{what}: {answer}"));
        assert!(!errors.is_empty() && errors.len() <= 16, "{what}: {answer}");
        for error in errors {
            let code = error["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{what}: {answer}"));
            assert!(CODES.contains(&code), "{what}: {code}");
            assert!(code != "INVALID_INPUT" || error["extensions"]["field"].is_string(), "{what}: {answer}");
        }
    }
}

pub fn request(server: &Server, method: Method, path: &str) -> RequestBuilder {
    server.client().http.request(method, server.url(path))
}

/// A POST of that body as JSON.
pub fn post(server: &Server, body: impl Into<reqwest::Body>) -> RequestBuilder {
    request(server, Method::POST, "/graphql").header("content-type", JSON).body(body)
}

pub fn ask(server: &Server, query: &str) -> RequestBuilder {
    post(server, json!({ "query": query }).to_string())
}

pub async fn page(server: &Server, path: &str) -> Reply {
    Reply::to(request(server, Method::GET, path)).await
}

/// The path of a GET with these parameters.
pub fn path(parameters: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        let byte = |byte: u8| {
            if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        text.bytes().map(byte).collect()
    };
    let pairs: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("/graphql?{}", pairs.join("&"))
}

pub async fn assert_serves(server: &Server, after: &str) {
    let reply = Reply::to(ask(server, TIERS)).await;
    assert_eq!(reply.json()["data"]["tiers"].as_array().map(Vec::len), Some(4), "after {after}: {}", reply.text);
}
