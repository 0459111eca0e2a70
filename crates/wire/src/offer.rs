//! What a provider promises: a model, prices, capacity, and the key that signs its receipts.

use crate::amount::Prices;
use crate::codec::{Decode, DecodeError, Encode, Reader, put_bytes};
use crate::id::{ModelId, OpSet};
use crate::key::{PeerKey, Purpose, ReceiptKey, Signature, SigningKey};
use crate::limits::MODEL_NAME_BYTES_MAX;
use crate::record;

/// The version of an [`Offer`] that says no limits.
const VERSION_WITHOUT_LIMITS: u8 = 1;
/// The version of an [`Offer`] that says them.
pub const OFFER_VERSION: u8 = 2;

/// How much one client may ask of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferLimits {
    /// The longest that it works on one job, in milliseconds.
    pub job_ms: u32,
    /// Jobs that it takes at once of one client key.
    pub jobs_per_key: u32,
}

record!(OfferLimits { job_ms, jobs_per_key });

/// What one provider offers for one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The provider.
    pub provider: PeerKey,
    /// The key that signs its receipts; this offer is its certificate.
    pub receipt_key: ReceiptKey,
    /// The model.
    pub model: ModelId,
    /// The op set it runs under.
    pub op_set: OpSet,
    /// The model's name, for people.
    pub name: String,
    /// Longest prompt and answer together, in tokens.
    pub context: u32,
    /// Prices asked.
    pub prices: Prices,
    /// Jobs it takes at once.
    pub capacity: u32,
    /// What it takes of one client; `None` in offers of version 1, which are read and signed as
    /// they are, so that old receipts still verify.
    pub limits: Option<OfferLimits>,
    /// Rises with every new offer of this provider for this model.
    pub sequence: u64,
    /// When it lapses, in milliseconds since 1970.
    pub expires_ms: u64,
}

impl Offer {
    /// Signs the offer with the provider's peer key.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> SignedOffer {
        let signature = key.sign(Purpose::Offer, &self.to_bytes());
        SignedOffer { offer: self, signature }
    }
}

impl Encode for Offer {
    fn encode(&self, out: &mut Vec<u8>) {
        let version = self.limits.map_or(VERSION_WITHOUT_LIMITS, |_| OFFER_VERSION);
        version.encode(out);
        self.provider.encode(out);
        self.receipt_key.encode(out);
        self.model.encode(out);
        self.op_set.encode(out);
        put_bytes(out, self.name.as_bytes());
        self.context.encode(out);
        self.prices.encode(out);
        self.capacity.encode(out);
        if let Some(limits) = &self.limits {
            limits.encode(out);
        }
        self.sequence.encode(out);
        self.expires_ms.encode(out);
    }
}

impl Decode for Offer {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let has_limits = match u8::decode(input)? {
            VERSION_WITHOUT_LIMITS => false,
            OFFER_VERSION => true,
            value => {
                return Err(DecodeError::Unknown { what: "offer version", value: value.into() });
            }
        };
        Ok(Self {
            provider: Decode::decode(input)?,
            receipt_key: Decode::decode(input)?,
            model: Decode::decode(input)?,
            op_set: Decode::decode(input)?,
            name: input.text("model name", MODEL_NAME_BYTES_MAX)?,
            context: Decode::decode(input)?,
            prices: Decode::decode(input)?,
            capacity: Decode::decode(input)?,
            limits: has_limits.then(|| Decode::decode(input)).transpose()?,
            sequence: Decode::decode(input)?,
            expires_ms: Decode::decode(input)?,
        })
    }
}

/// An offer and its provider's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedOffer {
    /// The offer.
    pub offer: Offer,
    /// By [`Offer::provider`].
    pub signature: Signature,
}

record!(SignedOffer { offer, signature });

impl SignedOffer {
    /// Whether the provider signed this offer.
    #[must_use]
    pub fn verifies(&self) -> bool {
        let message = self.offer.to_bytes();
        self.offer.provider.verifies(Purpose::Offer, &message, &self.signature)
    }
}
