//! Offering a model to a peer, who then pulls it: over the one connection that the pusher opened.
//!
//! **Statement.** Nothing comes to a node that did not agree: the pusher says what it has, the
//! other node judges that, and gets the files piece by piece, verified, as in any pull.
//!
//! **Protocol.** On [`PUSH_ALPN`], with one connection. 1. The pusher opens a stream and sends one
//! [`PushOffer`]. 2. The other side says [`PushReply::Refused`] and is done, or opens streams of
//! its own and gets the files on them. Meanwhile it says [`PushReply::Progress`], at least once in
//! [`SILENCE`], so that a long check is not taken for a death. 3. It says [`PushReply::Arrived`] or
//! [`PushReply::Refused`]. Frames are those of a session. After an interruption the same offer goes
//! on where the other side's shelf ends.
//!
//! **Limits.** An offer is below 2 KiB, and one model comes at a time.

use super::{SILENCE, Shelf};
use crate::iroh::{DIAL_LIMIT, FINISH_LIMIT, Receiver, Sender, address, endpoint, root_cause};
use crate::link::{FrameReceiver, FrameSender};
use crate::{NetError, Ticket};
use ::iroh::SecretKey;
use ::iroh::endpoint::Connection;
use iroh_blobs::BlobsProtocol;
use mutirao_wire::codec::put_bytes;
use mutirao_wire::limits::{MODEL_NAME_BYTES_MAX, REASON_BYTES_MAX};
use mutirao_wire::{Decode, DecodeError, Encode, Manifest, PeerKey, Reader, SigningKey};
use thiserror::Error;
use tokio::sync::mpsc;

/// The protocol on which models are offered.
pub const PUSH_ALPN: &[u8] = b"mutirao/push/1";
/// Streams on which files are asked for at once.
const STREAMS_MAX: u32 = 32;
/// Longest name of a model where it arrived: that of the offer and a part of its id.
const NAME_THERE_BYTES_MAX: usize = MODEL_NAME_BYTES_MAX + 16;

/// What a pusher has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushOffer {
    /// What it calls the model.
    pub name: String,
    /// The files.
    pub manifest: Manifest,
}

impl Encode for PushOffer {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.name.as_bytes());
        self.manifest.encode(out);
    }
}

impl Decode for PushOffer {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = input.text("model name", MODEL_NAME_BYTES_MAX)?;
        Ok(Self { name, manifest: Decode::decode(input)? })
    }
}

/// What the other side says to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushReply {
    /// It does not take it, or could not. A last word.
    Refused {
        /// Why, and what would help.
        reason: String,
    },
    /// It has so many bytes.
    Progress {
        /// Bytes that are there.
        have: u64,
        /// Bytes of all files.
        all: u64,
    },
    /// The model is there, whole and checked. A last word.
    Arrived {
        /// What it is called there.
        name: String,
        /// Bytes that travelled just now; fewer after an interruption.
        fetched: u64,
    },
}

impl Encode for PushReply {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Refused { reason } => {
                0_u8.encode(out);
                put_bytes(out, within(reason, REASON_BYTES_MAX).as_bytes());
            }
            Self::Progress { have, all } => {
                1_u8.encode(out);
                have.encode(out);
                all.encode(out);
            }
            Self::Arrived { name, fetched } => {
                2_u8.encode(out);
                fetched.encode(out);
                put_bytes(out, within(name, NAME_THERE_BYTES_MAX).as_bytes());
            }
        }
    }
}

impl Decode for PushReply {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Refused { reason: input.text("reason", REASON_BYTES_MAX)? },
            1 => Self::Progress { have: Decode::decode(input)?, all: Decode::decode(input)? },
            2 => {
                let fetched = Decode::decode(input)?;
                Self::Arrived { fetched, name: input.text("model name", NAME_THERE_BYTES_MAX)? }
            }
            value => return Err(DecodeError::Unknown { what: "push reply", value: value.into() }),
        })
    }
}

/// A text cut at the last whole character within a bound.
fn within(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// Why a push did not succeed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PushError {
    /// The peer cannot be reached, or its connection broke.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The peer does not take it.
    #[error("{} does not take it: {reason}", peer.short())]
    Refused {
        /// The peer.
        peer: PeerKey,
        /// Its reason.
        reason: String,
    },
    /// The peer said something that is no word of this protocol.
    #[error("{} said something else than was due: {error}", peer.short())]
    Garbled {
        /// The peer.
        peer: PeerKey,
        /// What was wrong.
        #[source]
        error: DecodeError,
    },
}

/// Offers a model whose files are on `shelf`, and gives them out until the peer has it; what it is
/// called there, and how many bytes travelled.
///
/// `progress` hears how many bytes the peer has, and of how many.
///
/// # Errors
/// [`PushError`]; after an interruption the same push goes on where it was.
pub async fn push(
    key: &SigningKey,
    shelf: &Shelf,
    peer: &Ticket,
    offer: &PushOffer,
    progress: impl Fn(u64, u64),
) -> Result<(String, u64), PushError> {
    let listen = std::net::SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 0));
    let secret = SecretKey::from_bytes(&key.secret());
    let socket = endpoint(secret, listen, STREAMS_MAX, Vec::new()).await;
    let socket = socket.map_err(|reason| NetError::Bind { address: listen, reason })?;
    let failed = |reason: String| NetError::Unreachable { peer: peer.key(), reason };
    let dialled = async {
        let connecting = socket.connect(address(peer).map_err(failed)?, PUSH_ALPN);
        let connected = tokio::time::timeout(DIAL_LIMIT, connecting).await;
        connected
            .map_err(|_| failed(format!("no reply in {} s", DIAL_LIMIT.as_secs())))?
            .map_err(|error| failed(root_cause(&error)))
    };
    let pushed = match dialled.await {
        Err(error) => Err(error.into()),
        Ok(connection) => {
            let (files, asked) = (BlobsProtocol::new(&shelf.store, None), connection.clone());
            let giving = tokio::spawn(async move {
                let _ = ::iroh::protocol::ProtocolHandler::accept(&files, asked).await;
            });
            let pushed = talk(&connection, peer.key(), offer, progress).await;
            giving.abort();
            pushed
        }
    };
    socket.close().await;
    pushed
}

async fn talk(
    connection: &Connection,
    peer: PeerKey,
    offer: &PushOffer,
    progress: impl Fn(u64, u64),
) -> Result<(String, u64), PushError> {
    let broken = |reason: String| NetError::Broken { reason };
    let (sender, receiver) = connection.open_bi().await.map_err(|e| broken(root_cause(&e)))?;
    let (mut sender, mut receiver) = (Sender(sender), Receiver(receiver));
    sender.send(offer.to_bytes()).await?;
    loop {
        let frame = tokio::time::timeout(2 * SILENCE, receiver.receive()).await;
        let frame = frame.map_err(|_| broken("it fell silent".into()))??;
        let frame = frame.ok_or_else(|| broken("it closed the stream".into()))?;
        match PushReply::from_bytes(&frame).map_err(|error| PushError::Garbled { peer, error })? {
            PushReply::Refused { reason } => return Err(PushError::Refused { peer, reason }),
            PushReply::Progress { have, all } => progress(have, all),
            PushReply::Arrived { name, fetched } => return Ok((name, fetched)),
        }
    }
}

/// A model that a peer has and offers.
#[derive(Debug, Clone)]
pub struct Offered {
    /// Who offers; the transport has checked the key.
    pub peer: PeerKey,
    /// What.
    pub offer: PushOffer,
    pub(super) connection: Connection,
}

/// A push: what is offered, and the ear of the pusher. Dropping it hangs up.
pub struct Pushed {
    /// What is offered.
    pub offered: Offered,
    replies: Sender,
}

impl std::fmt::Debug for Pushed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Offered { peer, offer, .. } = &self.offered;
        write!(f, "Pushed({} by {})", offer.manifest.model.short(), peer.short())
    }
}

impl Pushed {
    /// Says how it stands; whether the pusher still listens.
    pub async fn say(&mut self, reply: &PushReply) -> bool {
        self.replies.send(reply.to_bytes()).await.is_ok()
    }

    /// Says the last word, and gives it time to arrive.
    pub async fn end(mut self, reply: &PushReply) {
        let connection = self.offered.connection.clone();
        if self.say(reply).await {
            self.replies.finish().await;
            // Whoever heard the last word hangs up.
            let _ = tokio::time::timeout(FINISH_LIMIT, connection.closed()).await;
        }
        connection.close(0_u8.into(), b"done");
    }
}

/// Hears one offer on a new connection and hands it to whoever judges.
pub(crate) async fn hear(connection: Connection, judge: Option<mpsc::Sender<Pushed>>) {
    let peer = PeerKey(*connection.remote_id().as_bytes());
    let asked = async {
        let (sender, receiver) = connection.accept_bi().await.ok()?;
        let frame = Receiver(receiver).receive().await.ok()??;
        Some((Sender(sender), PushOffer::from_bytes(&frame)))
    };
    let Ok(Some((replies, offer))) = tokio::time::timeout(SILENCE, asked).await else { return };
    let refused = |reason: &str| PushReply::Refused { reason: reason.into() };
    let offer = match offer {
        Ok(offer) => offer,
        Err(error) => {
            let mut replies = replies;
            let reply = refused(&format!("that is no offer: {error}"));
            let _ = replies.send(reply.to_bytes()).await;
            return replies.finish().await;
        }
    };
    let offered = Offered { peer, offer, connection: connection.clone() };
    let pushed = Pushed { offered, replies };
    let sent = match judge {
        None => Err((pushed, "this node takes no models")),
        Some(judge) => judge
            .try_send(pushed)
            .map_err(|error| (error.into_inner(), "another model is coming; try again later")),
    };
    match sent {
        Err((pushed, why)) => pushed.end(&refused(why)).await,
        // The connection counts among the node's until it is closed.
        Ok(()) => drop(connection.closed().await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutirao_wire::{Digest, FileEntry, FileName, ModelId};

    fn offer() -> PushOffer {
        let files = vec![FileEntry { name: FileName::Weights, bytes: 9, hash: [3; 32] }];
        let manifest = Manifest { model: ModelId(Digest([1; 32])), files };
        PushOffer { name: "maçã".into(), manifest }
    }

    #[test]
    fn each_word_has_one_spelling_and_no_prefix_of_it_is_one() {
        let replies = [
            PushReply::Refused { reason: "no room".into() },
            PushReply::Progress { have: 5, all: 7 },
            PushReply::Arrived { name: "village".into(), fetched: 6 },
        ];
        let bytes = offer().to_bytes();
        assert_eq!(PushOffer::from_bytes(&bytes), Ok(offer()));
        assert!((0..bytes.len()).all(|end| PushOffer::from_bytes(&bytes[..end]).is_err()));
        for reply in replies {
            let bytes = reply.to_bytes();
            assert_eq!(PushReply::from_bytes(&bytes).as_ref(), Ok(&reply));
            assert!((0..bytes.len()).all(|end| PushReply::from_bytes(&bytes[..end]).is_err()));
        }
        assert!(PushReply::from_bytes(&[3]).is_err(), "an unknown word");
    }

    #[test]
    fn a_reason_too_long_is_cut_at_a_whole_character() {
        let reason = "ç".repeat(REASON_BYTES_MAX);
        let cut = PushReply::from_bytes(&PushReply::Refused { reason }.to_bytes());
        assert_eq!(cut, Ok(PushReply::Refused { reason: "ç".repeat(REASON_BYTES_MAX / 2) }));
    }
}
