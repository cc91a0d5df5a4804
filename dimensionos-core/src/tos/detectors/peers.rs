//! Attempts at single peers, in two small tables whose salts are dropped with them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::distinct::tag;
use super::windows::millis;

/// Peers of which a table keeps count. Those with the fewest failures make room: an account that fails at more peers
/// than this at once is found by how many they are.
const SLOTS: usize = 8;

/// Attempts at one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) attempts: u32,
    pub(super) failed: u32,
}

impl Tally {
    /// Which part of them failed.
    pub(super) fn failed_share(self) -> f64 {
        f64::from(self.failed) / f64::from(self.attempts.max(1))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Slot {
    // 0: empty.
    tag: u32,
    attempts: u16,
    failed: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Generation {
    salt: u64,
    slots: [Slot; SLOTS],
}

impl Generation {
    fn new(salt: u64) -> Self {
        Self { salt, ..Self::default() }
    }

    fn find(&self, peer: u64) -> Option<usize> {
        let tag = tag(peer, self.salt);
        self.slots.iter().position(|slot| slot.tag == tag)
    }

    fn tally(&self, peer: u64) -> Tally {
        self.find(peer).map_or(Tally::default(), |index| {
            let Slot { attempts, failed, .. } = self.slots[index];
            Tally { attempts: attempts.into(), failed: failed.into() }
        })
    }

    fn add(&mut self, peer: u64, attempts: u32, failed: u32) {
        let index = self.find(peer).unwrap_or_else(|| {
            let least = (0..SLOTS).min_by_key(|&index| (self.slots[index].failed, self.slots[index].attempts));
            let index = least.unwrap_or_default();
            self.slots[index] = Slot { tag: tag(peer, self.salt), ..Slot::default() };
            index
        });
        let held = |attempts: u32| u16::try_from(attempts).unwrap_or(u16::MAX);
        let slot = &mut self.slots[index];
        slot.attempts = slot.attempts.saturating_add(held(attempts));
        slot.failed = slot.failed.saturating_add(held(failed));
    }

    fn most(&self, failed_share: f64) -> u32 {
        let failing = |slot: &&Slot| f64::from(slot.failed) >= failed_share * f64::from(slot.attempts);
        self.slots.iter().filter(failing).map(|slot| u32::from(slot.attempts)).max().unwrap_or_default()
    }
}

/// Attempts at each of a few peers over a window of at most a given length, and no less than half of it: this half and
/// the one before. Counts are exact over the span that is named, but for peers that had to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Peers {
    half: u64,
    /// Nothing from before is counted.
    cleared: u64,
    current: Generation,
    previous: Generation,
}

impl Peers {
    /// Moves on to the half of the window that it is now, with a new salt where it is another.
    pub(super) fn roll(&mut self, elapsed: u64, window: Duration, chance: &mut impl FnMut() -> u64) {
        let half = elapsed / half_millis(window);
        if half == self.half {
            return;
        }
        let follows = half == self.half + 1;
        self.previous = if follows { self.current } else { Generation::default() };
        self.current = Generation::new(chance());
        self.half = half;
    }

    /// Counts attempts, and says how many there are at that peer.
    pub(super) fn add(&mut self, peer: u64, attempts: u32, failed: u32) -> Tally {
        self.current.add(peer, attempts, failed);
        let (now, before) = (self.current.tally(peer), self.previous.tally(peer));
        Tally { attempts: now.attempts + before.attempts, failed: now.failed + before.failed }
    }

    /// No fewer than there are at any peer where that part of them failed: whether two tables mean the same peer cannot
    /// be told.
    pub(super) fn most(&self, failed_share: f64) -> u32 {
        self.current.most(failed_share) + self.previous.most(failed_share)
    }

    /// Forgets every attempt until now.
    pub(super) fn clear(&mut self, elapsed: u64) {
        self.cleared = elapsed + 1;
        (self.current.slots, self.previous.slots) = Default::default();
    }

    /// The span that is counted: what came later than that long ago, and no later than now.
    pub(super) fn span(&self, elapsed: u64, window: Duration) -> Duration {
        let from = (self.half.saturating_sub(1) * half_millis(window)).max(self.cleared);
        Duration::from_millis((elapsed + 1).saturating_sub(from))
    }
}

fn half_millis(window: Duration) -> u64 {
    (millis(window) / 2).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn attempts_at_few_peers_are_counted_exactly(
            events in prop::collection::vec((0_u64..1_500, 0_u64..8, 1_u32..4, any::<bool>()), 1..80),
        ) {
            let window = Duration::from_secs(10);
            let mut peers = Peers::default();
            let mut salt = 0;
            let mut elapsed = 1_000_000;
            let mut all = Vec::new();
            for (step, peer, attempts, fails) in events {
                elapsed += step;
                peers.roll(elapsed, window, &mut || { salt += 1; salt });
                let failed = if fails { attempts } else { 0 };
                let tally = peers.add(peer, attempts, failed);
                all.push((elapsed, peer, attempts, failed));
                let span = peers.span(elapsed, window);
                prop_assert!(span <= window && span >= window / 2);
                let from = elapsed - millis(span);
                let of = all.iter().filter(|(at, other, ..)| *at > from && *other == peer);
                let expected = of.fold(Tally::default(), |sum, (_, _, attempts, failed)| Tally {
                    attempts: sum.attempts + attempts,
                    failed: sum.failed + failed,
                });
                prop_assert_eq!(tally, expected);
                prop_assert!(peers.most(0.0) >= tally.attempts);
            }
        }
    }

    #[test]
    fn a_peer_that_fails_is_not_pushed_out_by_peers_that_answer() {
        let mut peers = Peers::default();
        peers.roll(1_000_000, Duration::from_secs(10), &mut || 7);
        for round in 0..50 {
            (0..20).for_each(|other| assert_eq!(peers.add(1_000 + round * 20 + other, 1, 0).failed, 0));
            assert_eq!(u64::from(peers.add(1, 1, 1).attempts), round + 1);
        }
    }
}
