//! The canonical codec: what decodes, encodes to the same bytes.

use crate::target::split;
use mutirao_market::session::frame::{ClientFrame, ProviderFrame};
use mutirao_net::blobs::{PushOffer, PushReply};
use mutirao_wire::{
    Checkpoint, Decode, Encode, Finish, Job, Manifest, Offer, Order, Prices, Receipt, Sampling,
    SignedCheckpoint, SignedOffer, SignedReceipt,
};

fn canonical<T: Decode + Encode>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes, "two spellings of one value");
    }
}

const TYPES: [fn(&[u8]); 16] = [
    canonical::<ClientFrame>,
    canonical::<ProviderFrame>,
    canonical::<Job>,
    canonical::<Order>,
    canonical::<Offer>,
    canonical::<SignedOffer>,
    canonical::<Receipt>,
    canonical::<SignedReceipt>,
    canonical::<Checkpoint>,
    canonical::<SignedCheckpoint>,
    canonical::<Sampling>,
    canonical::<Prices>,
    canonical::<Finish>,
    canonical::<Manifest>,
    canonical::<PushOffer>,
    canonical::<PushReply>,
];

/// One of the types that travel.
pub fn wire(bytes: &[u8]) {
    let (kind, rest) = split(bytes);
    TYPES[usize::from(kind) % TYPES.len()](rest);
}

/// What a node and the process of a model say to one another.
pub fn worker(bytes: &[u8]) {
    mutirao_node::worker::read_back(bytes);
}
