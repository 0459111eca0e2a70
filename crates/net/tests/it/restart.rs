//! A node that comes back under the same key and address.

use crate::world::{echo, greet, key, loopback, quic, soon};
use mutirao_net::iroh::{Config, bind};

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
    let again = soon(bind(&key(2), Config::new(loopback(port)))).await.expect("the same port");
    tokio::spawn(echo(again.clone()));
    soon(greet(&*client, &ticket)).await.expect("an echo of the new node");
}
