//! The encoding of a block, read field by field.

use super::{Class, Part};
use crate::block::TRANSACTIONS_MAX;
use crate::cell::challenge::ANSWER_BYTES_MAX;
use crate::cell::channel::ROYALTIES_MAX;
use crate::cell::till::SHARES_MAX;
use crate::tx::{ACTIONS_MAX, CONSTRAINTS_MAX, OUTPUTS_MAX, RANGE_BYTES_MAX, SPENDS_MAX};
use mutirao_wire::{DecodeError, Reader};

type Walked = Result<(), DecodeError>;

/// Bytes of a sealed memo of each class.
const MEMO_BYTES: [usize; 4] = [0, 64 + 16, 512 + 16, 1_200 + 16];
/// Points and responses of a proof of each shape.
const SHAPES: [usize; 3] = [2, 3, 4];

struct Walk<'a> {
    input: Reader<'a>,
    parts: Vec<Part<'a>>,
}

pub fn block(bytes: &[u8]) -> Result<Vec<Part<'_>>, DecodeError> {
    let mut walk = Walk { input: Reader::new(bytes), parts: Vec::new() };
    walk.header()?;
    for _ in 0..walk.count("count of transactions", TRANSACTIONS_MAX)? {
        walk.body()?;
        walk.proofs()?;
    }
    walk.input.finish()?;
    Ok(walk.parts)
}

impl<'a> Walk<'a> {
    fn take(
        &mut self,
        field: &'static str,
        class: Class,
        repeats: bool,
        count: usize,
    ) -> Result<&'a [u8], DecodeError> {
        let bytes = self.input.take(count)?;
        self.parts.push(Part { field, class, repeats, bytes });
        Ok(bytes)
    }

    fn public(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        self.take(field, Class::Public, true, count)
    }

    fn once(&mut self, field: &'static str, class: Class, count: usize) -> Walked {
        self.take(field, class, false, count).map(|_| ())
    }

    fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.public(field, 1)?.first().copied().unwrap_or_default())
    }

    fn count(&mut self, field: &'static str, maximum: usize) -> Result<usize, DecodeError> {
        let bytes = self.public(field, 4)?;
        Reader::new(bytes).count(field, maximum)
    }

    fn header(&mut self) -> Walked {
        self.public("version of the block", 1)?;
        for (field, count) in [("parent", 32), ("height", 8), ("time", 8)] {
            self.public(field, count)?;
        }
        self.public("root of the state", 32)?;
        self.public("digest of the transactions", 32)?;
        Ok(())
    }

    fn body(&mut self) -> Walked {
        self.public("version of the transaction", 1)?;
        self.public("chain", 32)?;
        for _ in 0..self.count("count of spends", SPENDS_MAX)? {
            self.public("membership of a spend", 1)?;
            self.public("which note is spent", 8)?;
            self.once("tag of a spend", Class::OneTimeKey, 32)?;
        }
        for _ in 0..self.count("count of outputs", OUTPUTS_MAX)? {
            self.output()?;
        }
        for _ in 0..self.count("count of actions", ACTIONS_MAX)? {
            self.action()?;
        }
        for _ in 0..self.count("count of ephemeral keys", OUTPUTS_MAX)? {
            self.once("ephemeral key", Class::OneTimeKey, 32)?;
        }
        self.public("fee", 8)?;
        match self.byte("kind of issue")? {
            0 => {}
            1 => {
                self.public("new value", 8)?;
                self.public("height of new value", 8)?;
            }
            _ => {
                self.public("destroyed value", 8)?;
            }
        }
        self.public("valid until", 8)?;
        Ok(())
    }

    fn output(&mut self) -> Walked {
        self.once("one-time key of a note", Class::OneTimeKey, 32)?;
        self.once("commitment of a note", Class::Commitment, 32)?;
        // Three bytes: two notes in sixteen million have the same.
        self.take("view tag of a note", Class::Ciphertext, true, 3)?;
        self.once("amount of a note", Class::Ciphertext, 8)?;
        self.once("anchor of a note", Class::Ciphertext, 16)?;
        let class = usize::from(self.byte("class of a memo")?);
        let memo = MEMO_BYTES.get(class).copied().unwrap_or_default();
        if memo > 0 {
            self.once("memo of a note", Class::Ciphertext, memo)?;
        }
        Ok(())
    }

    fn action(&mut self) -> Walked {
        match self.byte("kind of cell")? {
            1 => self.till(),
            2 => self.deed(),
            3 => self.channel(),
            4 => self.bond(),
            _ => self.challenge(),
        }
    }

    fn channel(&mut self) -> Walked {
        match self.byte("action on a channel")? {
            0 => {
                self.once("commitment of a channel", Class::Commitment, 32)?;
                self.once("payer of a channel", Class::OneTimeKey, 32)?;
                self.once("payee of a channel", Class::OneTimeKey, 32)?;
                self.once("voucher key of a channel", Class::OneTimeKey, 32)?;
                for _ in 0..self.count("count of royalties", ROYALTIES_MAX)? {
                    self.public("basis points of a royalty", 2)?;
                    self.public("till of a royalty", 32)?;
                }
                self.public("expiry of a channel", 8)?;
                Ok(())
            }
            1 => {
                self.public("channel", 32)?;
                self.once("commitment of a channel", Class::Commitment, 32)
            }
            2 => self.close(),
            _ => self.public("channel", 32).map(|_| ()),
        }
    }

    fn close(&mut self) -> Walked {
        self.public("channel", 32)?;
        self.public("number of a voucher", 8)?;
        self.once("commitment of a voucher", Class::Commitment, 32)?;
        self.public("usage of a voucher", 32)?;
        self.once("amount of a voucher", Class::Ciphertext, 8)?;
        self.sigma("signature of a voucher")?;
        self.public("parts that cover a voucher", 1)?;
        for _ in 0..self.count("count of royalties", ROYALTIES_MAX)? {
            self.deposit()?;
        }
        Ok(())
    }

    fn bond(&mut self) -> Walked {
        match self.byte("action on a bond")? {
            0 => {
                self.once("commitment of a bond", Class::Commitment, 32)?;
                self.public("floor of a bond", 8)?;
                self.once("owner of a bond", Class::OneTimeKey, 32)?;
                self.public("receipt signer of a bond", 32)?;
            }
            1 => {
                self.public("bond", 32)?;
                self.once("commitment of a bond", Class::Commitment, 32)?;
                self.public("floor of a bond", 8)?;
            }
            _ => {
                self.public("bond", 32)?;
            }
        }
        Ok(())
    }

    fn challenge(&mut self) -> Walked {
        match self.byte("action on a challenge")? {
            0 => {
                self.public("bond", 32)?;
                self.evidence()?;
                self.once("challenger", Class::OneTimeKey, 32)
            }
            1 => {
                self.public("challenge", 32)?;
                let answer = self.count("length of an answer", ANSWER_BYTES_MAX)?;
                if answer > 0 {
                    self.public("answer to a challenge", answer)?;
                }
                Ok(())
            }
            _ => self.public("challenge", 32).map(|_| ()),
        }
    }

    /// What a challenger shows of a provider's words is public from then on.
    fn evidence(&mut self) -> Walked {
        if self.byte("kind of evidence")? == 0 {
            self.public("checkpoint that is challenged", 32 + 32 + 4 + 32)?;
        } else {
            // Version, scheme, four digests, op set, two counts and the range that was served.
            self.public("receipt that is challenged", 2 + 4 * 32 + 2 + 4 + 4 + 8)?;
            if self.byte("finish that is challenged")? == 4 {
                self.public("index of a cancel that is challenged", 4)?;
            }
            self.public("price, time and signer that are challenged", 8 + 8 + 4 + 32)?;
        }
        self.public("signature that is challenged", 64)?;
        Ok(())
    }

    fn till(&mut self) -> Walked {
        match self.byte("action on a till")? {
            0 => {
                self.public("key of a till", 32)?;
                for _ in 0..self.count("count of shares", SHARES_MAX)? {
                    self.public("basis points of a share", 2)?;
                    self.public("till of a share", 32)?;
                }
                Ok(())
            }
            1 => {
                self.public("till that is paid", 32)?;
                self.deposit()?;
                if self.byte("whether it is a royalty")? == 1 {
                    self.public("output of a royalty", 1)?;
                    self.public("basis points of a royalty", 2)?;
                }
                Ok(())
            }
            _ => {
                self.public("till that pays out", 32)?;
                self.once("commitment of a payout", Class::Commitment, 32)?;
                for _ in 0..self.count("count of shares", SHARES_MAX)? {
                    self.deposit()?;
                }
                Ok(())
            }
        }
    }

    fn deposit(&mut self) -> Walked {
        self.once("commitment of a deposit", Class::Commitment, 32)?;
        self.once("handle of a deposit", Class::Commitment, 32)?;
        self.once("amount of a deposit", Class::Ciphertext, 8)
    }

    fn deed(&mut self) -> Walked {
        let kind = self.byte("action on a deed")?;
        if kind != 0 {
            self.public("deed", 32)?;
        }
        if kind != 2 {
            self.once("name of a deed", Class::Commitment, 32)?;
            self.public("output that carries a deed", 1)?;
        }
        Ok(())
    }

    fn proofs(&mut self) -> Walked {
        for _ in 0..self.count("count of spend proofs", SPENDS_MAX)? {
            self.sigma("proof of a spend")?;
        }
        for _ in 0..self.count("count of constraint proofs", CONSTRAINTS_MAX)? {
            self.sigma("proof of a constraint")?;
        }
        self.sigma("proof of the balance")?;
        let range = self.count("length of the range proof", RANGE_BYTES_MAX)?;
        self.once("proof of the range", Class::Proof, range)
    }

    /// A byte that says how many points and responses there are, then each of them: a point that
    /// came twice would give its prover's secret away.
    fn sigma(&mut self, field: &'static str) -> Walked {
        let shape = usize::from(self.byte("shape of a proof")?);
        for _ in 0..SHAPES.get(shape).copied().unwrap_or_default() {
            self.once(field, Class::Proof, 32)?;
        }
        Ok(())
    }
}
