//! A node that comes back under the same key and address.

use crate::world::{echo, greet, key, loopback, quic, soon};
use mutirao_net::Net;
use mutirao_net::iroh::{Config, bind};
use std::sync::Arc;

/// The same node at the same port, as soon as no test beside this one happens to hold it.
async fn bound_again(port: u16) -> Arc<dyn Net> {
    loop {
        match bind(&key(2), Config::new(loopback(port))).await {
            Ok(node) => return node,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

#[tokio::test]
async fn a_node_that_was_restarted_is_reached_by_its_old_ticket() {
    let client = quic(1).await;
    let server = quic(2).await;
    let ticket = server.ticket();
    let serving = tokio::spawn(echo(server.clone()));
    soon(greet(&*client, &ticket)).await.expect("an echo");
    server.close().await;
    soon(serving).await.expect("accepting ends with the node");
    drop(server);

    let port = ticket.addresses().first().expect("an address").port();
    let again = soon(bound_again(port)).await;
    tokio::spawn(echo(again.clone()));
    soon(greet(&*client, &ticket)).await.expect("an echo of the new node");
}
