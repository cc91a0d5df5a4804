//! This repository's server as it runs in production, and the floor beside it: both in this process, on one platform over
//! SQLite.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use benches::answer;
use dimensionos_core::allocation::{LimitOverride, Resource, TierName};
use dimensionos_core::auth::{Audience, BillingKey, Keys, Password, Role};
use dimensionos_core::monitoring::{Counter, Level, Report, Sample, SourceName};
use dimensionos_core::payment::{Attester, BillingIssuer, Grant};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::users::Registration;
use dimensionos_core::{AccountId, Caller, Context, OsEntropy, Platform};
use dimensionos_graphql::config::Environment;
use dimensionos_graphql::serve::serve as serve_product;
use dimensionos_graphql::{App, Calls, Engine, EngineOptions, Introspection};
use dimensionos_store::Database;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::{Fault, operation};

/// A day by the minute, as an agent reports it.
const SAMPLES: u64 = 24 * 60;
const MINUTE: Duration = Duration::from_secs(60);
/// What one report may carry of them.
const SAMPLES_AT_ONCE: usize = 720;

/// API calls that the account has by the hour: more than any core answers in a few seconds, for what is measured is not
/// how often one account may ask.
const CALLS: u64 = 100_000_000;

/// Serves until the process is ended: `ours`, `ours-free`, `ours-logged` or `floor` is the one that is announced.
pub(crate) fn serve(which: &str, folder: &Path) -> Result<(), Fault> {
    if which == "ours-logged" {
        // As the server does it in production.
        tracing_subscriber::fmt().with_writer(std::io::stderr).json().flatten_event(true).init();
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(which, folder))
}

async fn run(which: &str, folder: &Path) -> Result<(), Fault> {
    let (platform, token) = furnished(folder).await?;
    let calls = if which == "ours-free" { Calls::Free } else { Calls::Charged };
    let options = EngineOptions { introspection: Introspection::Closed, calls, ..EngineOptions::default() };
    let engine = Engine::new(platform.clone(), options);
    let app = App::new(engine, Environment::Production, Vec::new());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let product = tokio::spawn(serve_product(app, listener, CancellationToken::new()));

    // Its own loop of connections as well: the floor is what axum alone makes of a request.
    let body = ask(port, &token).await?;
    let beside = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let floor_port = beside.local_addr()?.port();
    let floor = Router::new().route("/floor", post(floor)).with_state(Floor { platform, body });
    let floor = tokio::spawn(async move { axum::serve(beside, floor).await });

    println!("ready {} {token}", if which == "floor" { floor_port } else { port });
    product.await??;
    Ok(floor.await??)
}

/// A platform with one paying account that has used something for a day, and its access token.
async fn furnished(folder: &Path) -> Result<(Platform, String), Fault> {
    let database = Database::connect(&Database::sqlite_url(&folder.join("edge.sqlite"))).await?;
    database.migrate().await?;
    let (issuer, audience) = (BillingIssuer::default(), Audience::default());
    let billing = Attester { key: BillingKey::generate(&OsEntropy)?, issuer, audience };
    let keys = Keys::generate(&OsEntropy)?.with_billing(vec![billing.key.public()?]);
    let platform = Platform::builder(database).keys(keys).open().await?;
    let registration = Registration::new(None, Password::new("violet harbour kestrel 41")?);
    let registered = platform.users().register(&Context::anonymous(), registration).await?;
    let account = registered.account.id;

    let (now, month) = (platform.clock().now(), Duration::from_hours(30 * 24));
    let grant = Grant::Account { account, tier: TierName::Enterprise, until: now.after(month) };
    let attested = billing.attest(grant, now, MINUTE, &OsEntropy)?;
    platform.payment().report(&Context::system(), &attested).await?;
    let own = LimitOverride { resource: Resource::ApiCalls, limit: CALLS, until: now.after(month) };
    platform.allocation().set_override(&Context::system(), account, own).await?;
    report_a_day(&platform, account).await?;
    Ok((platform, registered.tokens.access_token.expose().to_owned()))
}

async fn report_a_day(platform: &Platform, account: AccountId) -> Result<(), Fault> {
    let key = platform.auth().create_key(&Context::system(), Role::Agent, "edge".parse()?).await?;
    let agent = Context::new(Caller::Agent(key.key.id));
    let now = platform.clock().now();
    let samples: Vec<_> = (0..SAMPLES)
        .map(|minute| {
            let sample = Sample::at(now.before(MINUTE * u32::try_from(SAMPLES - minute).unwrap_or(0)))
                .with_level(Level::CpuMillicores, 250 + minute % 100)
                .with_level(Level::RamBytes, (512 + minute % 64) << 20)
                .with_added(Counter::ApiCalls, 40 + minute % 7);
            (account, sample)
        })
        .collect();
    for (sequence, samples) in (1..).zip(samples.chunks(SAMPLES_AT_ONCE)) {
        let report = Report { source: SourceName::default(), sequence, samples: samples.to_vec(), signals: Vec::new() };
        platform.monitoring().report(&agent, report).await?;
    }
    Ok(())
}

/// What the product answers, for the floor to answer the same.
async fn ask(port: u16, token: &str) -> Result<Bytes, Fault> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(&operation::post("/graphql", token)).await?;
    let mut read = Vec::new();
    while stream.read_buf(&mut read).await? > 0 {
        if let Some(answer) = answer::read(&read)? {
            return Ok(Bytes::copy_from_slice(answer.body));
        }
    }
    Err("the product closed a connection".into())
}

#[derive(Debug, Clone)]
struct Floor {
    platform: Platform,
    body: Bytes,
}

/// Reads the request, knows the caller by its token, and asks once, as a service call does, whether it still holds.
async fn floor(State(floor): State<Floor>, headers: HeaderMap, _operation: Bytes) -> Response {
    let Floor { platform, body } = floor;
    match known(&platform, &headers).await {
        Some(caller) if platform.recheck_listener(&caller).await.is_ok() => {
            ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
        }
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn known(platform: &Platform, headers: &HeaderMap) -> Option<Caller> {
    let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let caller = platform.auth().caller(&BearerToken::new(token)).await.ok()?;
    matches!(caller, Caller::Account(_)).then_some(caller)
}
