//! What only a real wire can do: strangers who speak QUIC and not our protocol, and too many of
//! them.

use crate::world::{echo, greet, key, loopback, nobody, quic, soon, within};
use iroh::endpoint::presets;
use iroh::{Endpoint, EndpointAddr, PublicKey, RelayMode, SecretKey, TransportAddr};
use mutirao_net::iroh::{Config, bind};
use mutirao_net::{ALPN, Net, NetError, Ticket};
use mutirao_wire::limits::FRAME_BYTES_MAX;
use std::sync::Arc;
use std::time::Instant;

/// An endpoint that speaks QUIC as it likes.
async fn stranger() -> Endpoint {
    let secret = SecretKey::from_bytes(&[77; 32]);
    let builder = Endpoint::builder(presets::Minimal).secret_key(secret);
    let builder = builder.relay_mode(RelayMode::Disabled).clear_ip_transports();
    let bound = builder.bind_addr(loopback(0)).expect("an address").bind();
    soon(bound).await.expect("an endpoint")
}

fn address(ticket: &Ticket) -> EndpointAddr {
    let key = PublicKey::from_bytes(&ticket.key().0).expect("a key");
    let addresses = ticket.addresses().iter().map(|address| TransportAddr::Ip(*address));
    EndpointAddr::from_parts(key, addresses)
}

/// What a node makes of bytes that a stranger writes on a stream and then ends.
async fn heard(bytes: &[u8]) -> Result<Option<Vec<u8>>, NetError> {
    let server = quic(2).await;
    let stranger = stranger().await;
    let connection = soon(stranger.connect(address(&server.ticket()), ALPN)).await;
    let connection = connection.expect("a connection");
    let (mut sender, _receiver) = soon(connection.open_bi()).await.expect("a stream");
    sender.write_all(bytes).await.expect("written");
    sender.finish().expect("finished");
    let mut link = soon(server.accept()).await.expect("a link");
    soon(link.receiver.receive()).await
}

#[tokio::test]
async fn a_length_above_the_bound_is_refused_before_anything_is_allocated() {
    for length in [FRAME_BYTES_MAX as u32 + 1, u32::MAX] {
        let refused = heard(&length.to_le_bytes()).await;
        let Err(NetError::FrameTooLarge { bytes, .. }) = refused else {
            panic!("it was taken: {refused:?}")
        };
        assert_eq!(bytes, u64::from(length));
    }
}

#[tokio::test]
async fn a_frame_that_is_cut_is_an_error_and_an_empty_stream_is_an_end() {
    assert!(matches!(heard(&[9, 0, 0, 0, 1, 2]).await, Err(NetError::Broken { .. })));
    assert!(matches!(heard(&[9, 0]).await, Err(NetError::Broken { .. })));
    assert_eq!(heard(&[2, 0, 0, 0, 7, 8]).await.expect("a frame"), Some(vec![7, 8]));
}

#[tokio::test]
async fn another_protocol_and_a_one_way_stream_are_not_taken() {
    let server = quic(2).await;
    tokio::spawn(echo(server.clone()));
    let stranger = stranger().await;
    let other = stranger.connect(address(&server.ticket()), b"other/1");
    soon(other).await.expect_err("another protocol is refused");
    let ours = soon(stranger.connect(address(&server.ticket()), ALPN)).await.expect("connected");
    let one_way = tokio::time::timeout(std::time::Duration::from_millis(300), ours.open_uni());
    one_way.await.expect_err("no one-way stream is granted");
    soon(greet(&*quic(1).await, &server.ticket())).await.expect("the node lives");
}

#[tokio::test]
async fn a_stranger_that_stalls_keeps_nobody_else_waiting() {
    let server = quic(2).await;
    tokio::spawn(echo(server.clone()));
    let stranger = stranger().await;
    let ours = soon(stranger.connect(address(&server.ticket()), ALPN)).await.expect("connected");
    let (mut sender, _receiver) = soon(ours.open_bi()).await.expect("a stream");
    sender.write_all(&[200, 0, 0, 0, 1]).await.expect("written");
    soon(greet(&*quic(1).await, &server.ticket())).await.expect("an echo meanwhile");
}

#[tokio::test]
async fn the_gate_turns_strangers_away_and_lets_friends_in() {
    let friend = key(1).peer_key();
    let mut config = Config::new(loopback(0));
    config.gate = Arc::new(move |peer| *peer == friend);
    let server = soon(bind(&key(2), config)).await.expect("a node");
    tokio::spawn(echo(server.clone()));
    let ticket = server.ticket();
    soon(greet(&*quic(1).await, &ticket)).await.expect("a friend");
    soon(greet(&*quic(3).await, &ticket)).await.expect_err("a stranger");
}

#[tokio::test]
async fn one_connection_too_many_is_refused_and_a_place_that_is_left_can_be_had() {
    let mut config = Config::new(loopback(0));
    config.connections_max = 1;
    let server = soon(bind(&key(2), config)).await.expect("a node");
    tokio::spawn(echo(server.clone()));
    let ticket = server.ticket();
    let (first, second) = (quic(1).await, quic(3).await);
    soon(greet(&*first, &ticket)).await.expect("the first");
    soon(greet(&*second, &ticket)).await.expect_err("one too many");
    first.close().await;
    for _ in 0..50 {
        if soon(greet(&*second, &ticket)).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the place was never free again");
}

#[tokio::test]
async fn a_ticket_with_another_key_reaches_nobody() {
    let server = quic(2).await;
    tokio::spawn(echo(server.clone()));
    let wrong = Ticket::new(nobody(), server.ticket().addresses().to_vec());
    let client = quic(1).await;
    within(8, client.dial(&wrong)).await.expect_err("the key is not the one that was asked for");
}

#[tokio::test]
async fn one_dead_peer_does_not_delay_the_dialling_of_another() {
    let (client, server) = (quic(1).await, quic(2).await);
    tokio::spawn(echo(server.clone()));
    let dead = Ticket::new(nobody(), vec![loopback(9)]);
    let ticket = server.ticket();
    let dialling = client.dial(&dead);
    let greeting = async {
        let began = Instant::now();
        greet(&*client, &ticket).await.expect("an echo");
        began.elapsed()
    };
    let (dead, took) = soon(futures(dialling, greeting)).await;
    dead.map(|_| ()).expect_err("nobody is there");
    assert!(took.as_secs() < 2, "it waited {took:?}");
}

/// Both at the same time.
async fn futures<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    tokio::join!(one, other)
}

#[tokio::test]
async fn a_ticket_names_addresses_of_this_machine_and_no_server() {
    let server: Arc<dyn Net> = quic(2).await;
    let ticket = server.ticket();
    assert!(!ticket.addresses().is_empty());
    assert!(ticket.addresses().iter().all(|address| address.ip().is_loopback()));
}

#[tokio::test]
async fn a_node_that_is_dropped_without_a_farewell_gives_back_its_socket() {
    let net = quic(2).await;
    let address = net.ticket().addresses()[0];
    drop(net);
    let began = Instant::now();
    while bind(&key(3), Config::new(address)).await.is_err() {
        assert!(began.elapsed().as_secs() < 10, "{address} is still taken");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
