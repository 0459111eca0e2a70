//! A Merkle mountain range: perfect trees of falling size, one for each bit of the number of
//! leaves. Appending merges equal trees, as a carry does in addition.

use crate::note::NoteIndex;
use mutirao_wire::codec::put_list;
use mutirao_wire::{Decode, DecodeError, Digest, Encode, Reader};

/// The heads of the trees, from the largest to the smallest, and how many leaves there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mountain {
    count: u64,
    peaks: Vec<Digest>,
}

impl Encode for Mountain {
    fn encode(&self, out: &mut Vec<u8>) {
        self.count.encode(out);
        put_list(out, &self.peaks);
    }
}
impl Decode for Mountain {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mountain = Self { count: u64::decode(input)?, peaks: input.list("peaks", 64)? };
        let right = mountain.count.count_ones() as usize == mountain.peaks.len();
        right.then_some(mountain).ok_or(DecodeError::NotCanonical { what: "peaks" })
    }
}

fn node(left: &Digest, right: &Digest) -> Digest {
    Digest::of("mutirao v1 ledger note node", &[&left.0, &right.0])
}

impl Mountain {
    /// How many leaves there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// One more leaf, at the end.
    pub fn push(&mut self, leaf: Digest) {
        let mut head = leaf;
        for _ in 0..self.count.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                head = node(&left, &head);
            }
        }
        self.peaks.push(head);
        self.count += 1;
    }

    /// Whether the path shows that `leaf` stands at `index`.
    // spec: LEDGER-6.4
    #[must_use]
    pub fn contains(&self, index: NoteIndex, leaf: &Digest, path: &NotePath) -> bool {
        let Some((peak, height, local)) = self.tree_of(index.0) else { return false };
        if path.0.len() != height as usize {
            return false;
        }
        let up = |(head, at): (Digest, u64), side: &Digest| match at & 1 {
            0 => (node(&head, side), at >> 1),
            _ => (node(side, &head), at >> 1),
        };
        let (head, _) = path.0.iter().fold((*leaf, local), up);
        self.peaks.get(peak) == Some(&head)
    }

    /// Which tree a leaf stands in, how high that is, and its place within.
    fn tree_of(&self, index: u64) -> Option<(usize, u32, u64)> {
        let mut start = 0;
        let heights = (0..64).rev().filter(|height| self.count >> height & 1 == 1);
        for (peak, height) in heights.enumerate() {
            let end = start + (1u64 << height);
            if index >= start && index < end {
                return Some((peak, height, index - start));
            }
            start = end;
        }
        None
    }

    /// The path of a leaf, from all leaves.
    #[must_use]
    pub fn path(&self, index: NoteIndex, leaves: &[Digest]) -> Option<NotePath> {
        let (_, height, local) = self.tree_of(index.0)?;
        let start = usize::try_from(index.0 - local).ok()?;
        let end = start.checked_add(1 << height)?;
        let mut level = leaves.get(start..end)?.to_vec();
        let mut at = usize::try_from(local).ok()?;
        let mut path = Vec::new();
        while level.len() > 1 {
            path.push(*level.get(at ^ 1)?);
            level = level
                .chunks(2)
                .filter_map(|pair| Some(node(pair.first()?, pair.last()?)))
                .collect();
            at >>= 1;
        }
        Some(NotePath(path))
    }
}

/// The neighbours on the way from a leaf to the head of its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotePath(Vec<Digest>);

impl Encode for NotePath {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.0);
    }
}
impl Decode for NotePath {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.list("path", 64).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(at: u64) -> Digest {
        Digest::of("test", &[&at.to_le_bytes()])
    }

    // spec: LEDGER-6.4
    #[test]
    fn every_leaf_is_shown_at_its_place_and_nowhere_else() {
        let mut mountain = Mountain::default();
        let leaves: Vec<_> = (0..37).map(leaf).collect();
        for (count, leaf) in leaves.iter().enumerate() {
            mountain.push(*leaf);
            let known = &leaves[..=count];
            for (at, leaf) in (0..).zip(known) {
                let path = mountain.path(NoteIndex(at), known).unwrap();
                assert!(mountain.contains(NoteIndex(at), leaf, &path));
                assert!(!mountain.contains(NoteIndex(at ^ 1), leaf, &path));
                assert!(!mountain.contains(NoteIndex(at), &super::tests::leaf(99), &path));
                let mut long = path.clone();
                long.0.push(*leaf);
                assert!(!mountain.contains(NoteIndex(at), leaf, &long));
            }
        }
        assert_eq!(Mountain::from_bytes(&mountain.to_bytes()), Ok(mountain.clone()));
        mountain.count += 3;
        assert!(Mountain::from_bytes(&mountain.to_bytes()).is_err());
    }
}
