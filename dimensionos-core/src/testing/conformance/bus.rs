//! What every bus has to do: the cases take two connections to one.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::replicas::{Bus, Delivery, Topic};

/// Longer than any message takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for a message that should not come to come.
const A_WHILE: Duration = Duration::from_millis(200);

async fn next(heard: &mut BoxStream<'static, Delivery>) -> Option<Vec<u8>> {
    let message = async {
        loop {
            match heard.next().await? {
                Delivery::Message(message) => return Some(message),
                // It may be told of what is long over.
                Delivery::Gap => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, message).await.expect("a message in time")
}

async fn is_silent(heard: &mut BoxStream<'static, Delivery>) -> bool {
    let message = async { while heard.next().await == Some(Delivery::Gap) {} };
    tokio::time::timeout(A_WHILE, message).await.is_err()
}

pub async fn a_message_reaches_all_who_listen_to_its_topic(one: &dyn Bus, other: &dyn Bus) {
    let [news, rest] = ["case.one.news", "case.one.rest"].map(Topic::new);
    let mut all = [
        one.subscribe(std::slice::from_ref(&news)).await,
        other.subscribe(&[news.clone(), rest.clone()]).await,
        other.subscribe(std::slice::from_ref(&rest)).await,
    ];
    one.publish(&news, vec![1]);
    other.publish(&rest, vec![2]);
    let [first, second, third] = &mut all;
    assert_eq!(next(first).await, Some(vec![1]));
    let mut both = [next(second).await, next(second).await];
    both.sort();
    assert_eq!(both, [Some(vec![1]), Some(vec![2])]);
    assert_eq!(next(third).await, Some(vec![2]));
    for heard in &mut all {
        assert!(is_silent(heard).await, "nothing comes twice, and nothing of other topics");
    }
}

pub async fn whoever_sends_hears_it_too(one: &dyn Bus, _other: &dyn Bus) {
    let topic = Topic::new("case.two");
    let mut heard = one.subscribe(std::slice::from_ref(&topic)).await;
    one.publish(&topic, vec![7]);
    assert_eq!(next(&mut heard).await, Some(vec![7]));
}

pub async fn messages_of_one_sender_come_in_their_order_and_whole(one: &dyn Bus, other: &dyn Bus) {
    let topic = Topic::new("case.three");
    let mut heard = other.subscribe(std::slice::from_ref(&topic)).await;
    let message = |number: usize| {
        let mut bytes = number.to_be_bytes().to_vec();
        // Of every size, up to what is sent at most.
        bytes.resize(8 + (number * 7_919) % 250_000, 0xa5);
        bytes
    };
    for number in 0..200 {
        one.publish(&topic, message(number));
        if number % 20 == 19 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    for number in 0..200 {
        assert!(next(&mut heard).await == Some(message(number)), "{number}");
    }
}

pub async fn whoever_listens_later_hears_what_comes_then(one: &dyn Bus, other: &dyn Bus) {
    let topic = Topic::new("case.four");
    one.publish(&topic, vec![1]);
    for round in 2..30 {
        let mut heard = other.subscribe(std::slice::from_ref(&topic)).await;
        one.publish(&topic, vec![round]);
        assert_eq!(next(&mut heard).await, Some(vec![round]));
    }
}

pub async fn a_bus_that_works_says_so(one: &dyn Bus, other: &dyn Bus) {
    let topic = Topic::new("case.five");
    let mut heard = other.subscribe(std::slice::from_ref(&topic)).await;
    one.publish(&topic, vec![1]);
    next(&mut heard).await;
    assert!(one.is_connected() && other.is_connected());
}
