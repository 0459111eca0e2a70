//! What every transport owes to the sessions above it.

use crate::world::*;
use mutirao_net::memory::Hub;
use mutirao_net::{Link, NetError};
use mutirao_wire::limits::FRAME_BYTES_MAX;
use std::time::{Duration, Instant};

/// Runs each test over both transports.
macro_rules! suite {
    ($($name:ident)*) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::soon(super::$name(super::World::Memory(super::Hub::new()))).await;
            })*
        }
        mod quic {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::soon(super::$name(super::World::Quic)).await;
            })*
        }
    };
}

suite! {
    both_ends_know_each_other
    many_frames_come_back_in_order
    parallel_streams_do_not_mix
    one_half_closes_and_the_other_still_speaks
    a_frame_above_the_bound_is_refused_and_the_stream_lives
    nothing_is_sent_after_the_finish
    a_link_that_is_dropped_ends_the_stream
    a_slow_reader_makes_the_sender_wait
    a_key_that_nobody_runs_is_unreachable_in_time
    a_closed_node_accepts_nothing_and_is_unreachable
    streams_end_when_their_node_closes
    a_panic_of_one_user_leaves_the_node_alive
}

async fn both_ends_know_each_other(world: World) {
    let (client, server) = (world.node(1).await, world.node(2).await);
    let mut out = client.dial(&server.ticket()).await.expect("a dial");
    out.sender.send(vec![1]).await.expect("a frame");
    let mut link = server.accept().await.expect("a link");
    assert_eq!((out.peer, link.peer), (server.key(), client.key()));
    assert_eq!(server.ticket().key(), key(2).peer_key());
    assert_eq!(link.receiver.receive().await, Ok(Some(vec![1])));
}

/// Frames of many sizes, the empty one and the largest among them.
fn frames() -> Vec<Vec<u8>> {
    let sizes = (0..3000usize).map(|at| match at {
        1500 => FRAME_BYTES_MAX,
        at if at % 7 == 0 => 0,
        at => at * 37 % 2048,
    });
    sizes.enumerate().map(|(at, size)| vec![at as u8; size]).collect()
}

async fn many_frames_come_back_in_order(world: World) {
    let (client, server) = world.pair().await;
    let Link { mut sender, mut receiver, .. } = client.dial(&server.ticket()).await.expect("dial");
    let sending = tokio::spawn(async move {
        for frame in frames() {
            sender.send(frame).await.expect("a frame is sent");
        }
        sender.finish().await;
    });
    for (at, frame) in frames().into_iter().enumerate() {
        let got = receiver.receive().await.expect("a frame").expect("not the end");
        assert!(got == frame, "frame {at}: {} bytes instead of {}", got.len(), frame.len());
    }
    assert_eq!(receiver.receive().await, Ok(None));
    sending.await.expect("the sender is done");
}

async fn parallel_streams_do_not_mix(world: World) {
    let (client, server) = world.pair().await;
    let streams = (0..24u8).map(|stream| {
        let (client, ticket) = (client.clone(), server.ticket());
        tokio::spawn(async move {
            let mut link = client.dial(&ticket).await.expect("a stream");
            for turn in 0..50u8 {
                let frame = vec![stream, turn, stream ^ turn];
                assert_eq!(round_trip(&mut link, &frame).await, Ok(Some(frame)));
            }
        })
    });
    for stream in streams.collect::<Vec<_>>() {
        stream.await.expect("its own frames in order");
    }
}

async fn one_half_closes_and_the_other_still_speaks(world: World) {
    let (client, server) = (world.node(1).await, world.node(2).await);
    let mut out = client.dial(&server.ticket()).await.expect("a dial");
    let serving = tokio::spawn(async move {
        let mut link = server.accept().await.expect("a link");
        let mut count = 0;
        while link.receiver.receive().await.expect("a frame or the end").is_some() {
            count += 1;
        }
        assert_eq!(link.receiver.receive().await, Ok(None), "the end stays the end");
        link.sender.send(vec![count]).await.expect("the other half is open");
        link.sender.finish().await;
        server
    });
    for frame in [vec![], vec![1], vec![2; 5000]] {
        out.sender.send(frame).await.expect("a frame");
    }
    out.sender.finish().await;
    assert_eq!(out.receiver.receive().await, Ok(Some(vec![3])));
    assert_eq!(out.receiver.receive().await, Ok(None));
    serving.await.expect("the server counted");
}

async fn a_frame_above_the_bound_is_refused_and_the_stream_lives(world: World) {
    let (client, server) = world.pair().await;
    let mut link = client.dial(&server.ticket()).await.expect("a dial");
    let bytes = FRAME_BYTES_MAX as u64 + 1;
    let refused = NetError::FrameTooLarge { bytes, maximum: FRAME_BYTES_MAX };
    assert_eq!(link.sender.send(vec![0; FRAME_BYTES_MAX + 1]).await, Err(refused));
    assert_eq!(round_trip(&mut link, b"still").await, Ok(Some(b"still".to_vec())));
}

async fn nothing_is_sent_after_the_finish(world: World) {
    let (client, server) = world.pair().await;
    let mut link = client.dial(&server.ticket()).await.expect("a dial");
    link.sender.finish().await;
    link.sender.finish().await;
    let refused = link.sender.send(vec![1]).await;
    assert!(matches!(refused, Err(NetError::Broken { .. })), "{refused:?}");
    assert_eq!(link.receiver.receive().await, Ok(None));
}

async fn a_link_that_is_dropped_ends_the_stream(world: World) {
    let (client, server) = (world.node(1).await, world.node(2).await);
    let mut out = client.dial(&server.ticket()).await.expect("a dial");
    out.sender.send(vec![1]).await.expect("a frame");
    drop(server.accept().await.expect("a link"));
    let end = out.receiver.receive().await;
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    let mut result = Ok(());
    while result.is_ok() {
        result = out.sender.send(vec![0; 1000]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(matches!(result, Err(NetError::Broken { .. })), "{result:?}");
}

async fn a_slow_reader_makes_the_sender_wait(world: World) {
    let (client, server) = (world.node(1).await, world.node(2).await);
    let Link { mut sender, .. } = client.dial(&server.ticket()).await.expect("a dial");
    let sending = tokio::spawn(async move {
        for number in 0..150u8 {
            sender.send(vec![number; FRAME_BYTES_MAX]).await.expect("a frame");
        }
        sender.finish().await;
    });
    let mut link = server.accept().await.expect("a link");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!sending.is_finished(), "150 MiB went nowhere");
    for number in 0..150u8 {
        let frame = link.receiver.receive().await.expect("a frame").expect("not the end");
        assert!(frame.len() == FRAME_BYTES_MAX && frame[0] == number, "frame {number}");
    }
    assert_eq!(link.receiver.receive().await, Ok(None));
    sending.await.expect("all was taken in the end");
}

async fn a_key_that_nobody_runs_is_unreachable_in_time(world: World) {
    let client = world.node(1).await;
    let began = Instant::now();
    let error = client.dial(&world.nobody()).await.expect_err("nobody answers");
    assert!(began.elapsed() < Duration::from_millis(4500), "{:?}", began.elapsed());
    assert!(matches!(error, NetError::Unreachable { peer, .. } if peer == nobody()), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(&nobody().short()) && said.contains("is it running"), "{said}");
}

async fn a_closed_node_accepts_nothing_and_is_unreachable(world: World) {
    let (client, server) = world.pair().await;
    greet(&*client, &server.ticket()).await.expect("an echo");
    let ticket = server.ticket();
    let waiting = {
        tokio::spawn({
            let server = server.clone();
            async move { server.accept().await.is_none() }
        })
    };
    server.close().await;
    assert!(server.accept().await.is_none());
    assert!(waiting.await.expect("the waiting accept"), "an accept outlived its node");
    let refused = greet(&*client, &ticket).await;
    assert!(refused.is_err());
    let refused = client.dial(&ticket).await;
    assert!(matches!(refused, Err(NetError::Unreachable { .. })), "{refused:?}");
    server.close().await;
}

async fn streams_end_when_their_node_closes(world: World) {
    let (client, server) = world.pair().await;
    let mut link = client.dial(&server.ticket()).await.expect("a dial");
    assert_eq!(round_trip(&mut link, b"a").await, Ok(Some(b"a".to_vec())));
    server.close().await;
    let end = link.receiver.receive().await;
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
}

async fn a_panic_of_one_user_leaves_the_node_alive(world: World) {
    let (client, server) = (world.node(1).await, world.node(2).await);
    let ticket = server.ticket();
    let serving = tokio::spawn(async move {
        let first = server.accept().await.expect("a link");
        let user = tokio::spawn(async move {
            let _link = first;
            panic!("a bug in a session (this panic is part of the test)");
        });
        assert!(user.await.is_err());
        echo(server).await;
    });
    let mut broken = client.dial(&ticket).await.expect("a dial");
    let _ = broken.sender.send(vec![1]).await;
    let end = broken.receiver.receive().await;
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    greet(&*client, &ticket).await.expect("the node still echoes");
    serving.abort();
}
