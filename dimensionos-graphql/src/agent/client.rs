//! One report to the server.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use serde::Serialize;
use serde_json::Value;

use super::AgentToken;
use super::answer::{Answer, Reason, sort};

const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer of ours has a few hundred bytes; whoever sends more is not our server.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
const MUTATION: &str =
    "mutation Report($input: UsageReportInput!) { reportUsage(input: $input) { sequence duplicate samples } }";

/// The server's address, or the token for it, cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServer {
    /// Not an `http` or `https` URL, or one that carries a user name.
    #[error("the server's address is not an http:// or https:// URL without credentials")]
    Address,
    /// The token holds characters that no header can carry.
    #[error("the token is none: it holds characters that no token has")]
    Token,
    /// The system has no usable store of trusted certificates.
    #[error("no secure connection can be made: the system's trusted certificates cannot be loaded")]
    Certificates,
}

/// Posts reports to one server.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    endpoint: Url,
    authorization: HeaderValue,
}

impl Client {
    pub(super) fn new(server: &str, token: &AgentToken) -> Result<Self, InvalidServer> {
        let endpoint = endpoint(server).ok_or(InvalidServer::Address)?;
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| InvalidServer::Token)?;
        authorization.set_sensitive(true);
        // A redirect would carry usage and token to another place than the operator named, and so would a proxy that
        // some environment variable names.
        let mut builder = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none()).no_proxy();
        if endpoint.scheme() == "http" {
            // Without TLS there is no use for certificates, and a small container may have none.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|_| InvalidServer::Certificates)?;
        Ok(Self { http, endpoint, authorization })
    }

    pub(super) async fn report(&self, source: &str, sequence: u64, samples: &[Value]) -> Answer {
        let unreachable = Answer::Retry { asked: None, reason: Reason::Unreachable };
        let input = Input { source, sequence, samples };
        let Ok(body) = serde_json::to_vec(&Request { query: MUTATION, variables: Variables { input } }) else {
            return unreachable;
        };
        let request = self.http.post(self.endpoint.clone()).header(AUTHORIZATION, self.authorization.clone());
        let Ok(mut response) = request.header(CONTENT_TYPE, "application/json").body(body).send().await else {
            return unreachable;
        };
        let status = response.status();
        let mut answer = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => answer.extend_from_slice(&chunk),
                Ok(None) => return sort(status, &answer, sequence),
                Err(_) => return unreachable,
            }
            if answer.len() > MAX_ANSWER_BYTES {
                return Answer::Retry { asked: None, reason: Reason::Status(status.as_u16()) };
            }
        }
    }
}

fn endpoint(server: &str) -> Option<Url> {
    let mut url = Url::parse(server).ok()?;
    let is_usable = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_usable {
        return None;
    }
    // A server may live below a path.
    url.path_segments_mut().ok()?.pop_if_empty().push("graphql");
    Some(url)
}

#[derive(Serialize)]
struct Request<'a> {
    query: &'static str,
    variables: Variables<'a>,
}

#[derive(Serialize)]
struct Variables<'a> {
    input: Input<'a>,
}

#[derive(Serialize)]
struct Input<'a> {
    source: &'a str,
    sequence: u64,
    samples: &'a [Value],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_below_the_servers_path() {
        let path = |server| endpoint(server).map(String::from);
        assert_eq!(path("http://127.0.0.1:8000").as_deref(), Some("http://127.0.0.1:8000/graphql"));
        assert_eq!(path("https://h.example/usage/").as_deref(), Some("https://h.example/usage/graphql"));
        for server in ["", "h:8000", "ftp://h", "http://user:secret@h", "http://h?x=1", "file:///etc"] {
            assert_eq!(path(server), None, "{server}");
        }
    }

    #[test]
    fn a_token_with_a_line_break_is_refused_and_not_shown() {
        let error = Client::new("http://h", &AgentToken::new("a\nb")).unwrap_err();
        assert_eq!(error, InvalidServer::Token);
        let client = Client::new("http://h", &AgentToken::new("dima_secret")).unwrap();
        assert!(!format!("{client:?}").contains("secret"));
    }
}
