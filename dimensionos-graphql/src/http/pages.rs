//! The pages: served from the binary, loading nothing from another host.

use std::io::Read;
use std::sync::{LazyLock, OnceLock};

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::read::GzDecoder;

use crate::http::encoding::Coding;

/// One file of the pages, as it was built.
#[derive(Debug)]
struct Asset {
    /// Where it is asked for.
    path: &'static str,
    media_type: &'static str,
    etag: &'static str,
    brotli: &'static [u8],
    gzip: &'static [u8],
    /// Neither of both, made of the latter by the first client that takes none: there is hardly one.
    plain: OnceLock<Bytes>,
}

impl Asset {
    const fn new((path, media_type, etag, brotli, gzip): Packed) -> Self {
        Self { path, media_type, etag, brotli, gzip, plain: OnceLock::new() }
    }
}

/// What the build writes of a file: its path, media type and tag, and itself packed by brotli and gzip.
type Packed = (&'static str, &'static str, &'static str, &'static [u8], &'static [u8]);

/// Every file of the pages; none where the server was built without.
static PACKED: &[Packed] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));
static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| PACKED.iter().map(|packed| Asset::new(*packed)).collect());

/// What stands for the pages where there are none.
const UNBUILT: &str = include_str!("unbuilt.html");

/// Files below this are named by their content, and so never change.
const NAMED_BY_CONTENT: &str = "/assets/";
const GRAPHIQL: &str = "/graphiql";

/// Scripts, styles and connections of this server alone; nothing inline runs, and nobody frames the page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; worker-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
     form-action 'none'",
);
/// GraphiQL's editor writes style elements as it goes, and brings a font of symbols in its style sheet.
const GRAPHIQL_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self' data:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; frame-ancestors 'none'; \
     base-uri 'none'; form-action 'none'",
);
/// What no page of ours uses, nor anything that might get into one.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), \
     magnetometer=(), microphone=(), midi=(), payment=(), screen-wake-lock=(), serial=(), usb=(), \
     xr-spatial-tracking=()",
);
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");

/// The console.
pub(super) async fn console(headers: HeaderMap) -> Response {
    page(&ASSETS, "/", &headers)
}

/// The page to try any operation on.
pub(super) async fn graphiql(headers: HeaderMap) -> Response {
    page(&ASSETS, GRAPHIQL, &headers)
}

/// What the pages load.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&ASSETS, &format!("{NAMED_BY_CONTENT}{name}"), &headers)
}

/// Paths of files that stand beside the pages, such as an icon, each with what answers it.
pub(super) fn beside() -> impl Iterator<Item = (&'static str, Beside)> {
    let others = ASSETS.iter().filter(|asset| !is_page(asset) && !asset.path.starts_with(NAMED_BY_CONTENT));
    others.map(|asset| (asset.path, Beside(asset)))
}

/// A file that stands beside the pages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside(&'static Asset);

impl Beside {
    pub(super) fn answer(self, headers: &HeaderMap) -> Response {
        harden(serve(self.0, headers))
    }
}

/// The schema in the schema definition language.
pub(super) async fn sdl() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], crate::schema::sdl()).into_response()
}

fn is_page(asset: &Asset) -> bool {
    asset.media_type.starts_with("text/html")
}

/// A page; what stands for it where the server was built without pages.
fn page(assets: &'static [Asset], path: &str, headers: &HeaderMap) -> Response {
    if !assets.is_empty() {
        return file(assets, path, headers);
    }
    let told = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    harden((told, UNBUILT).into_response())
}

fn file(assets: &'static [Asset], path: &str, headers: &HeaderMap) -> Response {
    match assets.iter().find(|asset| asset.path == path) {
        Some(asset) => harden(serve(asset, headers)),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn serve(asset: &'static Asset, headers: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    let told = response.headers_mut();
    told.insert(header::ETAG, HeaderValue::from_static(asset.etag));
    told.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    told.insert(header::CACHE_CONTROL, caching(asset));
    let policy = if asset.path == GRAPHIQL { GRAPHIQL_POLICY } else { POLICY };
    told.insert(header::CONTENT_SECURITY_POLICY, policy);
    if is_known(asset, headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    told.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    let coding = Coding::of(headers);
    if let Some(name) = coding.name() {
        told.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    let body = match coding {
        Coding::Brotli => Bytes::from_static(asset.brotli),
        Coding::Gzip => Bytes::from_static(asset.gzip),
        Coding::Identity => asset.plain.get_or_init(|| unpack(asset)).clone(),
    };
    *response.body_mut() = Body::from(body);
    response
}

/// What is named by its content is asked for once; a page every time, and sent where it has changed.
fn caching(asset: &Asset) -> HeaderValue {
    HeaderValue::from_static(if asset.path.starts_with(NAMED_BY_CONTENT) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    })
}

/// Whether the client has it already: it compares weakly, since one tag stands for every form of the file.
fn is_known(asset: &Asset, headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let own = opaque(asset.etag);
    lists.flat_map(|list| list.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == own)
}

fn unpack(asset: &Asset) -> Bytes {
    let mut plain = Vec::new();
    match GzDecoder::new(asset.gzip).read_to_end(&mut plain) {
        Ok(_) => plain.into(),
        Err(error) => {
            // The build made it: only a damaged binary has another.
            tracing::error!(path = asset.path, error = &error as &dyn std::error::Error, "a page cannot be unpacked");
            Bytes::new()
        }
    }
}

/// What every page says to browsers, and every file of one.
fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers.insert(PERMISSIONS_POLICY, PERMISSIONS);
    headers.insert(OPENER_POLICY, SAME_ORIGIN);
    headers.insert(RESOURCE_POLICY, SAME_ORIGIN);
    response
}

#[cfg(test)]
mod tests;
