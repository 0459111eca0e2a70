//! Packets on their way, and what the weather does to them.

use super::serving::Weather;
use super::{Happening, World};
use crate::cable::{Packet, Way};
use mutirao_market::Millis;

/// After how long both ends of a connection that lost packets find out.
const IDLE_LIMIT: Millis = 10_000;

impl World {
    /// Puts a packet on a cable; it comes behind all packets before it.
    pub(super) fn put(&mut self, cable: usize, way: Way, packet: Packet) {
        let number = (cable as u64).to_le_bytes();
        match &packet {
            Packet::Frame(bytes) => {
                self.log("frame", &[&number, format!("{way:?}").as_bytes(), bytes]);
            }
            other => {
                let words = format!("{way:?} {other:?}");
                self.log("packet", &[&number, words.as_bytes()]);
            }
        }
        let now = self.agenda.now();
        let server = &self.servers[self.cables[cable].provider];
        let weather = server.weather(now);
        let journey = server.journey(now, &mut self.chance);
        let arrives = match weather {
            Weather::Lossy => return self.lose(cable),
            Weather::Held(until) => until.max(now + journey),
            Weather::Fair => now + journey,
        };
        let arrives = self.cables[cable].lane(way).put(packet, arrives);
        self.agenda.at(arrives, Happening::Arrive(cable, way));
    }

    /// The packet in front is there, unless its receiver stands still or the weather holds it.
    pub(super) fn arrive(&mut self, cable: usize, way: Way) {
        let now = self.agenda.now();
        let server = &self.servers[self.cables[cable].provider];
        let still = if way == Way::Up { server.frozen(now) } else { None };
        let held = match server.weather(now) {
            Weather::Held(until) => Some(until),
            _ => None,
        };
        if let Some(until) = still.or(held) {
            return self.agenda.at(until, Happening::Arrive(cable, way));
        }
        let lossy = server.weather(now) == Weather::Lossy;
        let Some(packet) = self.cables[cable].lane(way).take() else { return };
        match way {
            _ if lossy => self.lose(cable),
            Way::Up => self.heard_by_provider(cable, packet),
            Way::Down => self.heard_by_client(cable, packet),
        }
    }

    /// A stream that lost a packet is broken; its ends learn it later.
    pub(super) fn lose(&mut self, cable: usize) {
        self.agenda.after(IDLE_LIMIT, Happening::Idle(cable));
    }

    /// Both ends of a cable learn that it is gone; what was on its way is lost.
    pub(super) fn cut(&mut self, cable: usize) {
        for way in [Way::Up, Way::Down] {
            self.cables[cable].lane(way).cut();
            self.put(cable, way, Packet::Close);
        }
    }
}
