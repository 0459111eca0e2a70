//! Streams between clients and providers: late, cut or lost, but never out of order.

use crate::tally::Tally;
use mutirao_market::Millis;
use mutirao_market::session::client::Attempt;
use std::collections::VecDeque;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the provider.
    Up,
    /// To the client.
    Down,
}

/// What travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// The first word of a connection, or the reply to it.
    Hello,
    /// A frame's bytes.
    Frame(Vec<u8>),
    /// The stream ends.
    Close,
}

/// What is on its way in one direction. Arrivals are planned one for each packet and take what is
/// in front, so that no delay can change the order.
#[derive(Debug, Clone, Default)]
pub struct Lane {
    waiting: VecDeque<Packet>,
    clear: Millis,
}

impl Lane {
    /// Puts a packet behind the others; when it arrives.
    pub fn put(&mut self, packet: Packet, arrives: Millis) -> Millis {
        self.waiting.push_back(packet);
        self.clear = self.clear.max(arrives);
        self.clear
    }

    /// Takes the packet in front.
    pub fn take(&mut self) -> Option<Packet> {
        self.waiting.pop_front()
    }

    /// Forgets everything that is on its way.
    pub fn cut(&mut self) {
        self.waiting.clear();
    }
}

/// One stream.
#[derive(Debug, Clone)]
pub struct Cable {
    /// Which answer it is for.
    pub ask: usize,
    /// Which attempt at it.
    pub attempt: Attempt,
    /// Which provider is at the other end.
    pub provider: usize,
    /// To the provider.
    pub up: Lane,
    /// To the client.
    pub down: Lane,
    /// Whether the client still listens.
    pub heard: bool,
    /// Tokens that arrived after the last checkpoint.
    pub unsigned: u32,
    /// What arrived, in money.
    pub heard_of: Option<Tally>,
}

impl Cable {
    /// A new stream, with nothing said yet.
    #[must_use]
    pub fn new(ask: usize, attempt: Attempt, provider: usize) -> Self {
        let (up, down) = (Lane::default(), Lane::default());
        Self { ask, attempt, provider, up, down, heard: true, unsigned: 0, heard_of: None }
    }

    /// One direction of it.
    pub fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}
