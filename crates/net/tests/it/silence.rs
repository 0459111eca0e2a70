//! Nodes of a hub that fall silent: what a cut cable looks like from the other end.

use crate::world::{World, greet, key, round_trip, soon};
use mutirao_net::memory::Hub;
use std::time::Duration;

#[tokio::test]
async fn a_silent_node_neither_answers_nor_says_that_it_is_gone() {
    let hub = Hub::new();
    let (client, server) = World::Memory(hub.clone()).pair().await;
    let mut link = soon(client.dial(&server.ticket())).await.expect("a link");
    let echoed = soon(round_trip(&mut link, b"one")).await.expect("an echo");
    assert_eq!(echoed.as_deref(), Some(&b"one"[..]));

    hub.silence(&key(2).peer_key());
    link.sender.send(b"two".to_vec()).await.expect("a cut cable takes what is sent");
    link.sender.finish().await;
    let patience = Duration::from_millis(200);
    tokio::time::timeout(patience, link.receiver.receive()).await.expect_err("nothing comes");
    soon(client.dial(&server.ticket())).await.expect_err("and nobody opens");
}

#[tokio::test]
async fn a_client_that_falls_silent_is_alone_and_the_others_go_on() {
    let hub = Hub::new();
    let world = World::Memory(hub.clone());
    let (client, server) = world.pair().await;
    let other = world.node(3).await;
    hub.silence(&key(1).peer_key());
    soon(client.dial(&server.ticket())).await.expect_err("the silent reach nobody");
    soon(greet(&*other, &server.ticket())).await.expect("the others do");
}
