//! Providers whose machines are busy: they say late what they offer, and are there all the same.

use super::*;
use mutirao_net::{BoxFuture, Link, NetError};
use std::time::Duration;

/// A network on which one peer is late to every stream.
struct Late {
    net: Arc<dyn Net>,
    peer: PeerKey,
}

impl Net for Late {
    fn key(&self) -> PeerKey {
        self.net.key()
    }
    fn ticket(&self) -> Ticket {
        self.net.ticket()
    }
    fn dial(&self, peer: &Ticket) -> BoxFuture<'_, Result<Link, NetError>> {
        let (peer, is_late) = (peer.clone(), peer.key() == self.peer);
        Box::pin(async move {
            if is_late {
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            self.net.dial(&peer).await
        })
    }
    fn accept(&self) -> BoxFuture<'_, Option<Link>> {
        self.net.accept()
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        self.net.close()
    }
}

#[test]
fn the_only_provider_that_lives_may_be_the_one_that_was_late() {
    // spec: SESSION-5.7
    let place = Place::new();
    let opened = place.node("one", |_| {}).open_anew("village").expect("the village");
    let asked = question("What is 17 + 25?", 64);
    runtime().block_on(async {
        let circle = Circle::new(&place, &opened, 2, 40);
        let keys: Vec<PeerKey> = circle.tickets.keys().copied().collect();
        let net: Arc<dyn Net> = Arc::new(Late { net: circle.net(), peer: keys[1] });
        let memory = circle.client.standing().expect("the memory");
        let meeting = Meeting::remembering(net, circle.tickets.clone(), memory).await;
        let meeting = meeting.expect("a meeting");
        assert_eq!(meeting.offers.len(), 1, "nobody waits for the second");
        let (job, clock) = (job(&opened, &asked).expect("a job"), Clock::start());
        let errand =
            Errand::choose(&circle.client, None, meeting, &job, clock).await.expect("one offers");
        // The first dies at its first word.
        let mut watch = |notice| {
            if matches!(notice, Notice::Text { .. }) {
                circle.hub.silence(&keys[0]);
            }
        };
        let answer = circle.client.ask_on(&errand, &opened, &asked, job, &mut watch).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.tokens, alone(&opened, &asked));
        assert_eq!(answer.providers, keys);
    });
}
