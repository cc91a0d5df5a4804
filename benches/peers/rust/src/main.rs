//! `edge-peers NAME` serves until it is ended, and says `ready PORT` once it does.

mod juniper_on_axum;
mod plain;
mod with_async_graphql;

use std::env;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, header};
use tokio::net::TcpListener;

/// What every server here answers from: one account in memory, and the token that opens it.
struct Known {
    authorization: String,
    id: String,
    cpu_percent: f64,
    megabytes_used: f64,
    calls_per_hour: i32,
}

impl Known {
    fn is(&self, headers: &HeaderMap) -> bool {
        headers.get(header::AUTHORIZATION).is_some_and(|given| given.as_bytes() == self.authorization.as_bytes())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let known = Arc::new(Known {
        authorization: format!("Bearer {}", env::var("EDGE_TOKEN")?),
        id: "0198f1c2-7d3e-7a40-9c55-2b1f6e0a4d11".to_owned(),
        cpu_percent: 1.81,
        megabytes_used: 543.0,
        calls_per_hour: 2_580,
    });
    let router = match env::args().nth(1).as_deref() {
        Some("axum") => plain::router(known),
        Some("async-graphql") => with_async_graphql::as_it_comes(known),
        Some("async-graphql-cached") => with_async_graphql::cached(known),
        Some("juniper") => juniper_on_axum::router(known),
        _ => return Err("usage: edge-peers axum | async-graphql | async-graphql-cached | juniper".into()),
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(router))
}

async fn serve(router: Router) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("ready {}", listener.local_addr()?.port());
    Ok(axum::serve(listener, router).await?)
}
