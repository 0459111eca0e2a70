//! Channels that this wallet opened: what it needs to draw vouchers and to take back the rest.

use mutirao_ledger::cell::CellId;
use mutirao_ledger::cell::channel::{PARTS_MAX, ROYALTIES_MAX};
use mutirao_ledger::cell::keepsake::Keepsake;
use mutirao_ledger::cell::till::Share;
use mutirao_ledger::curve::Point;
use mutirao_ledger::note::memo::{MEMO_BYTES_MAX, Memo};
use mutirao_ledger::rules::Height;
use mutirao_wire::codec::{put_bytes, put_list};
use mutirao_wire::{Amount, Decode, DecodeError, Encode, Reader};

/// A channel of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnChannel {
    /// Its id.
    pub cell: CellId,
    /// One keepsake for each part that was put in; the first is of its opening.
    pub kept: Vec<Keepsake>,
    /// Whom it pays.
    pub payee: Point,
    /// Which tills get which share of what is paid.
    pub royalties: Vec<Share>,
    /// From the next height on it can be taken back.
    pub expiry: Height,
}

impl OwnChannel {
    /// What was put in.
    #[must_use]
    pub fn deposit(&self) -> Amount {
        Amount(self.kept.iter().fold(0, |sum, kept| sum.saturating_add(kept.amount.0)))
    }
}

impl Encode for OwnChannel {
    fn encode(&self, out: &mut Vec<u8>) {
        self.cell.encode(out);
        let kept: Vec<Words> = self.kept.iter().map(|kept| Words(*kept)).collect();
        put_list(out, &kept);
        self.payee.encode(out);
        put_list(out, &self.royalties);
        self.expiry.encode(out);
    }
}
impl Decode for OwnChannel {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let cell = CellId::decode(input)?;
        let kept: Vec<Words> = input.list("keepsakes", PARTS_MAX)?;
        Ok(Self {
            cell,
            kept: kept.into_iter().map(|words| words.0).collect(),
            payee: Point::decode(input)?,
            royalties: input.list("royalties", ROYALTIES_MAX)?,
            expiry: Height::decode(input)?,
        })
    }
}

/// A keepsake, as its memo says it.
struct Words(Keepsake);

impl Encode for Words {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.0.to_memo().words());
    }
}
impl Decode for Words {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = input.bytes("keepsake", MEMO_BYTES_MAX)?;
        let kept = Memo::new(&bytes).ok().and_then(|memo| Keepsake::from_memo(&memo));
        kept.map(Self).ok_or(DecodeError::NotCanonical { what: "keepsake" })
    }
}
