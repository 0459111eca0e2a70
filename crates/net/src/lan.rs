//! Finding peers on the same local network, by multicast DNS: no server, no ticket, no internet.
//!
//! **Goals.** Who wants to be found announces a key and addresses; who looks learns them. Looking
//! says nothing of who looks but that somebody does, and happens only when it is asked for.
//! **Not goals.** Being found from elsewhere; names; trust. An announcement is a claim of whoever
//! sent it: that the key is there is proven by the handshake with it, and by nothing before.
//!
//! **Attacks.** Who floods the network with announcements is heard up to [`FOUND_MAX`] of them. Who
//! announces another's key gets a connection that fails.

use crate::iroh::asking_endpoint;
use crate::{NetError, Ticket};
use ::iroh::Endpoint;
use data_encoding::BASE32_NOPAD;
use mutirao_wire::PeerKey;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use swarm_discovery::{Discoverer, DropGuard, IpClass, Peer};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// What is asked for on the network: `_mutirao._udp.local`.
const SERVICE: &str = "mutirao";
/// Most peers that are heard in one look.
pub const FOUND_MAX: usize = 256;
/// Who looks asks this often.
const LOOKING: Duration = Duration::from_millis(250);
/// Who is announced answers whenever somebody asks, and has no need to ask much itself.
const ANNOUNCED: Duration = Duration::from_secs(30);
/// How often one's own addresses are compared with those that are announced.
const MOVING: Duration = Duration::from_secs(5);
/// Announcements that wait to be heard; more are lost.
const HEARD_WAITING: usize = 64;

fn failed(error: impl std::fmt::Display) -> NetError {
    NetError::Lan { reason: error.to_string() }
}

/// Asks and answers on every network that one of these addresses is in, also where no route leads
/// out of it.
fn service(name: String, addresses: &[SocketAddr], cadence: Duration) -> Discoverer {
    Discoverer::new_interactive(SERVICE.into(), name)
        .with_ip_class(IpClass::Auto)
        .with_multicast_interfaces_v4(networks(addresses))
        .with_cadence(cadence)
}

fn networks(addresses: &[SocketAddr]) -> Vec<Ipv4Addr> {
    let network = |address: &SocketAddr| match address.ip() {
        IpAddr::V4(ip) if !ip.is_loopback() => Some(ip),
        _ => None,
    };
    addresses.iter().filter_map(network).collect()
}

fn addresses_of(endpoint: &Endpoint) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = endpoint.addr().ip_addrs().copied().collect();
    addresses.retain(|address| !address.ip().is_loopback());
    addresses.sort_unstable();
    addresses
}

/// A key as the name of a host, which has no more than 63 letters and no large ones.
fn name_of(key: &PeerKey) -> String {
    BASE32_NOPAD.encode(&key.0).to_ascii_lowercase()
}

fn key_of(name: &str) -> Option<PeerKey> {
    let bytes = BASE32_NOPAD.decode(name.to_ascii_uppercase().as_bytes()).ok()?;
    Some(PeerKey(bytes.try_into().ok()?))
}

/// Lets an endpoint be found for as long as it is open, wherever it moves.
pub(crate) fn announce(endpoint: &Endpoint) -> Result<(), NetError> {
    let name = name_of(&PeerKey(*endpoint.id().as_bytes()));
    let mut announced = addresses_of(endpoint);
    let service = service(name, &announced, ANNOUNCED);
    let guard = service.spawn(&Handle::current()).map_err(failed)?;
    say(&guard, &announced);
    let endpoint = endpoint.clone();
    tokio::spawn(async move {
        let closed = endpoint.closed();
        tokio::pin!(closed);
        loop {
            tokio::select! {
                () = &mut closed => return,
                () = tokio::time::sleep(MOVING) => {}
            }
            let now = addresses_of(&endpoint);
            if now != announced {
                guard.remove_all();
                networks(&now).into_iter().for_each(|network| guard.add_interface_v4(network));
                say(&guard, &now);
                announced = now;
            }
        }
    });
    Ok(())
}

fn say(guard: &DropGuard, addresses: &[SocketAddr]) {
    addresses.iter().for_each(|address| guard.add(address.port(), vec![address.ip()]));
}

/// Looks for peers that want to be found, for so long, or until `enough` were found.
///
/// # Errors
/// [`NetError::Lan`] when the network has no multicast.
pub async fn look(
    patience: Duration,
    enough: impl Fn(&BTreeMap<PeerKey, Ticket>) -> bool,
) -> Result<Vec<Ticket>, NetError> {
    let nobody = asking_endpoint().await?;
    let (tell, mut heard) = mpsc::channel(HEARD_WAITING);
    let hear = move |name: &str, peer: &Peer| {
        let addresses = peer.addrs().iter().map(|(ip, port)| SocketAddr::new(*ip, *port));
        if let Some(key) = key_of(name) {
            let _ = tell.try_send((key, addresses.collect::<Vec<_>>()));
        }
    };
    // Nobody sees this name: whoever has no addresses is not announced.
    let name = name_of(&PeerKey(*nobody.id().as_bytes()));
    let service = service(name, &addresses_of(&nobody), LOOKING).with_callback(hear);
    let _asking = service.spawn(&Handle::current()).map_err(failed)?;
    let mut found = BTreeMap::new();
    let looking = async {
        while let Some((key, addresses)) = heard.recv().await {
            if addresses.is_empty() {
                found.remove(&key);
            } else {
                found.insert(key, Ticket::new(key, addresses));
            }
            if found.len() >= FOUND_MAX || enough(&found) {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(patience, looking).await;
    nobody.close().await;
    Ok(found.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_from_its_name_and_other_names_are_no_keys() {
        let key = PeerKey([0xa7; 32]);
        let name = name_of(&key);
        assert!(name.len() <= 63 && name.bytes().all(|byte| !byte.is_ascii_uppercase()));
        assert_eq!(key_of(&name), Some(key));
        for other in ["", "printer", &name[1..], "ç"] {
            assert_eq!(key_of(other), None, "{other}");
        }
    }

    #[test]
    fn multicast_goes_to_networks_and_not_to_loopback() {
        let addresses = ["127.0.0.1:9", "10.9.0.1:9", "[fe80::1]:9"];
        let addresses = addresses.map(|address| address.parse().expect("an address"));
        assert_eq!(networks(&addresses), [Ipv4Addr::new(10, 9, 0, 1)]);
    }
}
