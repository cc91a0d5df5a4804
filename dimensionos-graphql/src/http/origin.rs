use axum::http::{HeaderMap, HeaderValue, header};

/// The origins that browsers may call from, besides the server's own.
#[derive(Debug)]
pub(crate) struct Origins(Vec<HeaderValue>);

impl Origins {
    pub(crate) fn new(allowed: Vec<String>) -> Self {
        // The settings have been parsed; what is no header value cannot be an origin either.
        Self(allowed.into_iter().filter_map(|origin| HeaderValue::from_str(&origin).ok()).collect())
    }

    pub(crate) fn allowed(&self) -> &[HeaderValue] {
        &self.0
    }

    /// Whether a WebSocket may be opened. Browsers let any page open one and name the page's origin; whoever names
    /// none is no browser.
    pub(crate) fn may_connect(&self, headers: &HeaderMap) -> bool {
        !headers.contains_key(header::ORIGIN) || self.is_known(headers)
    }

    /// Whether a request names the page it comes from, and that is one of this server's own or of an allowed origin.
    pub(crate) fn is_known(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return false };
        if self.0.contains(origin) {
            return true;
        }
        let own_host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let origin = origin.to_str().unwrap_or_default();
        let origin_host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        own_host.is_some() && own_host == origin_host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_host_may_not_open_a_socket() {
        let origins = Origins::new(vec!["https://app.example".to_owned()]);
        let may = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("api.example:8000"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            origins.may_connect(&headers)
        };
        assert!(!origins.is_known(&HeaderMap::new()), "who names no page is known by none");
        assert!(may(None) && may(Some("http://api.example:8000")) && may(Some("https://app.example")));
        for other in [
            "https://evil.example",
            "null",
            "http://api.example",
            "://api.example:8000",
            "https://app.example.evil.example",
        ] {
            assert!(!may(Some(other)), "{other}");
        }
    }
}
