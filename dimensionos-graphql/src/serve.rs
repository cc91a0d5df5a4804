//! The server: accepts connections until it is told to stop, and then leaves nothing undone.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use dimensionos_core::{Error, Platform};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::http::{App, Peer, router};
use crate::patience::Patient;

/// How long a client may take to send a request's headers. Honest ones take milliseconds; one that dribbles them would
/// hold its connection for ever.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a client may take to read what it is sent before its connection is cut off.
const WRITE_PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of a request's headers.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Connections at once; past it new ones wait to be accepted. Each live one takes some 15 KB.
const MAX_CONNECTIONS: usize = 16_384;
/// Descriptors that the database, the log and the runtime take.
const OWN_DESCRIPTORS: usize = 64;
/// How long what is in flight may take to finish once the server is told to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// What to wait after a failed accept: descriptors have run out, and come back as connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` is cancelled. Then it accepts nothing more, finishes what is in flight (ten seconds at most), and
/// makes everything that was recorded durable.
///
/// # Errors
/// Where what was recorded could not be made durable.
pub async fn serve(app: App, listener: TcpListener, stop: CancellationToken) -> Result<(), Error> {
    let platform = app.engine.platform().clone();
    let (stopping, sockets) = (app.stopping.clone(), app.sockets.clone());
    let connections = GracefulShutdown::new();
    accept(&router(app), &listener, &connections, &stop).await;
    drop(listener);
    tracing::info!("stopping");
    stopping.cancel();
    sockets.close();
    let in_flight = async { tokio::join!(connections.shutdown(), sockets.wait()) };
    if tokio::time::timeout(STOP_PATIENCE, in_flight).await.is_err() {
        tracing::warn!("some connections did not end in time and are cut off");
    }
    finish(&platform).await
}

async fn finish(platform: &Platform) -> Result<(), Error> {
    platform.close().await
}

async fn accept(router: &Router, listener: &TcpListener, connections: &GracefulShutdown, stop: &CancellationToken) {
    let places = Arc::new(Semaphore::new(max_connections()));
    let mut is_failing = false;
    loop {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            next = one(listener, &places) => next,
        };
        match next {
            Ok(accepted) => {
                is_failing = false;
                handle(accepted, router.clone(), connections);
            }
            Err(error) => {
                // Once for as long as it lasts: it is tried again twenty times a second.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "connections cannot be accepted");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// As many connections as there are descriptors for, less those that the server itself needs.
fn max_connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let descriptors = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    descriptors.map_or(MAX_CONNECTIONS, |all| all.saturating_sub(OWN_DESCRIPTORS).clamp(1, MAX_CONNECTIONS))
}

/// A connection, whose it is, and its place among those that may be open at once.
struct Accepted {
    stream: TcpStream,
    peer: Peer,
    place: OwnedSemaphorePermit,
}

async fn one(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok(Accepted { stream, peer: Peer(peer.ip()), place })
}

fn handle(accepted: Accepted, router: Router, connections: &GracefulShutdown) {
    let Accepted { stream, peer, place } = accepted;
    // Answers are small and complete: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let service =
        TowerToHyperService::new(tower::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer);
            let mut router = router.clone();
            async move {
                let response = router.call(request.map(axum::body::Body::new)).await;
                response.map_err(|never: Infallible| never)
            }
        }));
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_PATIENCE).max_buf_size(MAX_HEADER_BYTES);
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(Patient::new(stream, WRITE_PATIENCE, place)), service);
    let connection = connections.watch(connection.into_owned());
    tokio::spawn(async move {
        // A client that broke off is no fault of ours, and its doings are not logged.
        let _ = connection.await;
    });
}

/// Where a listener listens, as a browser would have it.
///
/// # Errors
/// Where the system does not say.
pub fn address(listener: &TcpListener) -> io::Result<String> {
    let address: SocketAddr = listener.local_addr()?;
    Ok(format!("http://{address}"))
}
