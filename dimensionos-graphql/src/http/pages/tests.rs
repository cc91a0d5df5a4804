use std::io::Write;

use axum::body::to_bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const HTML: &str = "<!doctype html><script src=\"/assets/index-1.js\"></script>";
const SCRIPT: &str = "document.title = 'here'";
const BROTLI: &[u8] = b"as brotli has it";

fn asset(path: &'static str, media_type: &'static str, text: &str) -> Asset {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap().leak();
    Asset::new((path, media_type, "W/\"abc\"", BROTLI, gzip))
}

fn assets() -> &'static [Asset] {
    const PAGE: &str = "text/html; charset=utf-8";
    let script = asset("/assets/index-1.js", "text/javascript; charset=utf-8", SCRIPT);
    vec![asset("/", PAGE, HTML), asset(GRAPHIQL, PAGE, HTML), script].leak()
}

fn asking(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

async fn body(response: Response) -> Bytes {
    to_bytes(response.into_body(), usize::MAX).await.unwrap()
}

fn said(response: &Response, name: HeaderName) -> &str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn a_file_is_sent_in_the_form_that_was_asked_for() {
    let assets = assets();
    for _ in 0..2 {
        for (accepted, coding) in [("gzip, br", Some("br")), ("gzip", Some("gzip")), ("identity", None)] {
            let headers = asking(&[(header::ACCEPT_ENCODING, accepted)]);
            let response = file(assets, "/assets/index-1.js", &headers);
            assert_eq!(response.status(), StatusCode::OK);
            let told = response.headers().get(header::CONTENT_ENCODING).map(|coding| coding.to_str().unwrap());
            assert_eq!((told, said(&response, header::VARY)), (coding, "accept-encoding"));
            assert_eq!(said(&response, header::CONTENT_TYPE), "text/javascript; charset=utf-8");
            let body = body(response).await;
            match coding {
                Some("br") => assert_eq!(body, BROTLI),
                Some(_) => assert!(body.starts_with(&[0x1f, 0x8b])),
                None => assert_eq!(body, SCRIPT),
            }
        }
    }
}

#[tokio::test]
async fn a_page_is_asked_for_again_and_what_it_loads_is_not() {
    let assets = assets();
    let known = asking(&[(header::IF_NONE_MATCH, "\"other\", W/\"abc\"")]);
    for (path, caching) in
        [("/", "no-cache"), (GRAPHIQL, "no-cache"), ("/assets/index-1.js", "public, max-age=31536000, immutable")]
    {
        for tags in ["\"abc\"", "W/\"abc\"", "*"] {
            let response = file(assets, path, &asking(&[(header::IF_NONE_MATCH, tags)]));
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{path}: {tags}");
        }
        let response = file(assets, path, &known);
        assert_eq!((said(&response, header::CACHE_CONTROL), said(&response, header::ETAG)), (caching, "W/\"abc\""));
        assert!(response.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        assert!(body(response).await.is_empty());
        let changed = file(assets, path, &asking(&[(header::IF_NONE_MATCH, "W/\"ab\", \"x\"")]));
        assert_eq!(changed.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn every_file_says_what_a_browser_may_do_with_it() {
    let assets = assets();
    for path in ["/", GRAPHIQL, "/assets/index-1.js"] {
        let response = file(assets, path, &HeaderMap::new());
        let policy = said(&response, header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("http") && !policy.contains('*'));
        // Inline styles for GraphiQL's editor alone, and inline scripts for nothing.
        assert_eq!(policy.contains("'unsafe-inline'"), path == GRAPHIQL, "{policy}");
        assert!(!policy.contains("script-src 'self' 'unsafe") && !policy.contains("eval"), "{policy}");
        assert_eq!(said(&response, OPENER_POLICY), "same-origin");
        assert!(said(&response, PERMISSIONS_POLICY).contains("camera=()"));
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_a_server_without_pages_says_so() {
    for path in ["/assets/index-2.js", "/assets/", "/assets/../index.html", "/index.html", ""] {
        assert_eq!(file(assets(), path, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/", GRAPHIQL] {
        let response = page(&[], path, &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(said(&response, header::CONTENT_SECURITY_POLICY), POLICY.to_str().unwrap());
        assert!(body(response).await.windows(25).any(|text| text == b"DIMENSIONOS_CONSOLE=build"));
    }
}
