//! The bus over NATS passes the cases of every bus, and comes back with its server.

mod harness;

use std::time::Duration;

use dimensionos_core::replicas::{Bus, Delivery, Topic};
use dimensionos_graphql::bus::{NatsBus, NatsSettings};
use futures_util::StreamExt;
use harness::nats::{Nats, NatsServer};
use zeroize::Zeroizing;

/// Longer than a connection takes to be noticed and made again.
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(url: &str) -> NatsSettings {
    let url = Zeroizing::new(url.to_owned());
    NatsSettings { url, credentials: None, root_certificates: None, client_certificate: None }
}

async fn fresh() -> Option<(NatsBus, NatsBus, Nats)> {
    let nats = Nats::find()?;
    let connect = async || NatsBus::connect(&settings(&nats.url)).await.ok();
    Some((connect().await?, connect().await?, nats))
}

dimensionos_core::bus_cases!(fresh);

#[tokio::test]
async fn a_server_that_was_away_is_found_again_and_the_gap_is_told() {
    let Some(mut nats) = NatsServer::start(&[]) else { return };
    let bus = NatsBus::connect(&settings(&nats.url)).await.unwrap();
    let topic = Topic::new("away");
    let mut heard = bus.subscribe(std::slice::from_ref(&topic)).await;
    let is = async |expected: bool| {
        let waited = async {
            while bus.is_connected() != expected {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.unwrap();
    };
    is(true).await;
    nats.stop();
    is(false).await;
    // Lost, and nobody waits for it.
    bus.publish(&topic, vec![1]);
    nats.start_again();
    is(true).await;
    let gap = async { while heard.next().await != Some(Delivery::Gap) {} };
    tokio::time::timeout(PATIENCE, gap).await.unwrap();
    let again = async {
        loop {
            bus.publish(&topic, vec![2]);
            match tokio::time::timeout(Duration::from_millis(200), heard.next()).await {
                Ok(Some(Delivery::Message(message))) => return message,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, again).await.unwrap(), [2]);
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let Some(mut nats) = NatsServer::start(&[]) else { return };
    nats.stop();
    let bus = NatsBus::connect(&settings(&nats.url)).await.unwrap();
    assert!(!bus.is_connected());
    let mut heard = bus.subscribe(&[Topic::new("late")]).await;
    nats.start_again();
    let told = async {
        loop {
            bus.publish(&Topic::new("late"), vec![3]);
            if let Ok(Some(Delivery::Message(message))) =
                tokio::time::timeout(Duration::from_millis(200), heard.next()).await
            {
                return message;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, told).await.unwrap(), [3]);
}

#[tokio::test]
async fn a_password_is_asked_for_and_told_to_nobody() {
    let Some(nats) = NatsServer::start(&["--user", "dimensionos", "--pass", "hunter2"]) else { return };
    let host = nats.url.trim_start_matches("nats://");
    let known = settings(&format!("nats://dimensionos:hunter2@{host}"));
    assert!(!format!("{known:?}").contains("hunter2"));
    assert!(NatsBus::connect(&known).await.unwrap().is_connected_within(PATIENCE).await);
    let refused = NatsBus::connect(&settings(&format!("nats://dimensionos:wrong@{host}"))).await;
    // Refused at once, or never let in.
    if let Ok(bus) = refused {
        assert!(!bus.is_connected_within(Duration::from_secs(1)).await);
    }
}

/// Waiting for a connection.
trait Within {
    async fn is_connected_within(&self, patience: Duration) -> bool;
}

impl Within for NatsBus {
    async fn is_connected_within(&self, patience: Duration) -> bool {
        let connected = async {
            while !self.is_connected() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(patience, connected).await.is_ok()
    }
}
