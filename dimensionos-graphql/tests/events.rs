//! Live operations over server-sent events.

mod harness;

use harness::Home;
use harness::live::{ABOUT_A_SECOND, Agent, Events, TIERS, USAGE, nested};
use serde_json::{Value, json};
use tokio::time::timeout;

#[tokio::test]
async fn events_follow_an_account_as_a_socket_does() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let mut agent = Agent::of(&home, &server);
    let by_get = "/graphql?query=subscription%7Busage(intervalMs:100)%7Bram%7BmegabytesUsed%7D%7D%7D";
    let get = ada.client.http.get(server.url(by_get));
    let mut streams = [Events::of(&ada.client, USAGE).await, Events::to(&ada.client, get).await];
    for events in &mut streams {
        assert_eq!(events.result().await["data"]["usage"]["ram"]["megabytesUsed"], Value::Null);
    }
    for (megabytes, told) in [(5, 5.0), (7, 7.0)] {
        agent.report(&ada.id, megabytes).await;
        for events in &mut streams {
            assert_eq!(events.result().await["data"]["usage"]["ram"]["megabytesUsed"], json!(told));
        }
    }
}

#[tokio::test]
async fn a_query_by_events_gives_one_answer_and_completes() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    // A token that is refused does not get in the way of what is public.
    for client in [client.clone(), client.with_token("nonsense")] {
        let mut events = Events::of(&client, TIERS).await;
        assert_eq!(events.result().await["data"]["tiers"][0]["tier"], "FREE");
        events.assert_complete().await;
    }
    for (client, query, code) in [
        (client.clone(), USAGE, "UNAUTHENTICATED"),
        (client.with_token("nonsense"), USAGE, "TOKEN_INVALID"),
        (client.clone(), "{ nonsense }", "INVALID_INPUT"),
        (client.clone(), "{", "INVALID_INPUT"),
        (client.clone(), &nested(), "QUERY_TOO_COMPLEX"),
    ] {
        let mut events = Events::of(&client, query).await;
        assert_eq!(events.result().await["errors"][0]["extensions"]["code"], code, "{query:.80}");
        events.assert_complete().await;
    }
    server.client().data(TIERS, Value::Null).await;
}

#[tokio::test]
async fn signing_out_ends_the_events_of_that_session() {
    let home = Home::new();
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let mut events = Events::of(&ada.client, USAGE).await;
    events.result().await;
    ada.client.data("mutation { logout }", Value::Null).await;
    let ended = async {
        assert_eq!(events.result().await["errors"][0]["extensions"]["code"], "TOKEN_INVALID");
        events.assert_complete().await;
    };
    timeout(ABOUT_A_SECOND, ended).await.expect("the stream ends in time");
}
