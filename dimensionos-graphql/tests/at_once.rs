//! A sign-out holds from the moment it is answered, on every way in and at every stage of a request.

mod harness;

use std::time::Duration;

use futures_util::StreamExt;
use harness::Home;
use harness::live::{PATIENCE, Socket};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

const ASK: &str = "mutation { s: serviceToken(audience: \"billing\") { subject } }";

#[tokio::test]
async fn a_body_that_comes_after_the_sign_out_is_refused() {
    let home = Home::new().with("SERVICES", "billing");
    let server = home.serve();
    let client = server.client();
    for (number, end) in ["mutation { logout }", "mutation { logout(everywhere: true) }"].into_iter().enumerate() {
        let ada = client.register(&format!("ada{number}@example.org")).await;
        let body = json!({ "query": ASK }).to_string();
        let mut held_back = TcpStream::connect(server.address.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             authorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            ada.access,
            body.len()
        );
        held_back.write_all(head.as_bytes()).await.unwrap();
        // The server has the headers, and waits for the rest.
        tokio::time::sleep(Duration::from_millis(200)).await;
        ada.client.data(end, Value::Null).await;
        held_back.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, held_back.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.contains("TOKEN_INVALID"), "{answer}");
    }
}

#[tokio::test]
async fn what_stands_after_a_sign_out_in_one_document_is_refused() {
    let home = Home::new().with("SERVICES", "billing");
    let server = home.serve();
    let ada = server.client().register("ada@example.org").await;
    let document = "mutation { logout(everywhere: true) s: serviceToken(audience: \"billing\") { subject }
        t: acceptTerms(version: \"1\") { id } }";
    let answer = ada.client.ask(document, Value::Null).await;
    let codes: Vec<&Value> =
        answer["errors"].as_array().unwrap().iter().map(|error| &error["extensions"]["code"]).collect();
    assert_eq!(codes, ["TOKEN_INVALID"; 2], "{answer}");
}

#[tokio::test]
async fn an_operation_on_a_socket_after_the_sign_out_is_refused_before_the_socket_is_closed() {
    let home = Home::new().with("SERVICES", "billing");
    let server = home.serve();
    let client = server.client();
    for number in 0..5 {
        let ada = client.register(&format!("ada{number}@example.org")).await;
        let mut socket = Socket::of(&server, Some(&ada.access)).await;
        ada.client.data("mutation { logout }", Value::Null).await;
        socket.start("1", ASK).await;
        // Either its answer is the refusal, or the socket is gone already.
        loop {
            match timeout(PATIENCE, socket.0.next()).await.unwrap() {
                Some(Ok(Message::Text(text))) => {
                    assert!(text.contains("TOKEN_INVALID"), "{text}");
                    break;
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    assert_eq!(u16::from(frame.code), 4403);
                    break;
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_session_renews_no_codes_once_the_password_has_changed() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let ada = client.register("ada@example.org").await;
    // Somebody who has the token renews the codes again and again, while its owner changes the password.
    let is_over = tokio_util::sync::CancellationToken::new();
    let thieves: Vec<_> = (0..8)
        .map(|_| {
            let (thief, is_over) = (ada.client.clone(), is_over.clone());
            tokio::spawn(async move {
                let mut stolen = Vec::new();
                while !is_over.is_cancelled() {
                    let answer = thief.ask("mutation { renewRecoveryCodes { recoveryCodes } }", Value::Null).await;
                    if let Some(code) = answer["data"]["renewRecoveryCodes"]["recoveryCodes"][0].as_str() {
                        stolen.push(code.to_owned());
                    }
                }
                stolen
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let change = format!(
        "mutation {{ changePassword(current: \"{}\", new: \"copper lantern meadow 58\") {{ tokens {{ accessToken }} }} }}",
        harness::PASSWORD
    );
    let changed = ada.client.data(&change, Value::Null).await;
    let own = client.with_token(changed["changePassword"]["tokens"]["accessToken"].as_str().unwrap());
    // The owner's new codes are the last ones, whatever the thieves had under way.
    let codes = own.data("mutation { renewRecoveryCodes { recoveryCodes } }", Value::Null).await;
    is_over.cancel();
    let mut stolen = 0;
    for thief in thieves {
        stolen += thief.await.unwrap().len();
    }
    assert!(stolen > 0);
    let recover = "mutation($i: RecoverInput!) { recover(input: $i) { account { id } } }";
    let code = &codes["renewRecoveryCodes"]["recoveryCodes"][0];
    let recovery = json!({ "i": { "identity": { "email": "ada@example.org" }, "recoveryCode": code, "newPassword": "violet harbour kestrel 41" } });
    client.data(recover, recovery).await;
}

#[tokio::test]
async fn a_sign_out_on_a_socket_is_answered_before_the_socket_is_closed() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    for number in 0..12 {
        let ada = client.register(&format!("ada{number}@example.org")).await;
        let mut socket = Socket::of(&server, Some(&ada.access)).await;
        // At another moment of the server's half second each time.
        tokio::time::sleep(Duration::from_millis(number * 45)).await;
        socket.start("1", "mutation { logout(everywhere: true) }").await;
        let answer = socket.hear().await;
        assert_eq!(answer["payload"]["data"]["logout"], true, "{answer}");
        assert_eq!(socket.closed(PATIENCE).await, 4403);
    }
}
