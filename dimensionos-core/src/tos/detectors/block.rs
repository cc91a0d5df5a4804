//! What the layer under a file system can count of a disk, where nobody counts files: what is read in lone blocks, a hop
//! apart, and what is written where it had just been read. Never what is in the blocks.

use std::time::Duration;

use crate::time::Timestamp;
use crate::tos::{Signal, Signals};

/// The grain in which disks are read: the page of the systems above them.
const BLOCK_BYTES: u64 = 4_096;
/// How far off the end of the last read the next file of the same folder is at most. What seeks its records all over a
/// disk, as databases do, goes further nearly always.
const HOP_BYTES: u64 = 64 << 10;
/// One in so many blocks is remembered, chosen by a salted hash.
const SAMPLED: u64 = 16;
/// The bits of one half of the memory: 8 KiB.
const BITS: u32 = 1 << 16;
/// Half of how long a block stays remembered, when it does not fill before.
const HALF: Duration = Duration::from_secs(30);
/// How many bits of a half may be set: an eighth, so that at most a quarter of all writes are taken for overwriting by
/// mistake at the fullest, which on a disk is half a gigabyte read in half a minute. Then the halves turn early.
const MOST_SET: u32 = BITS / 8;

/// The blocks read lately, as marks in a bitmap under a salt that is gone with it.
#[derive(Clone)]
struct Half {
    salt: u64,
    set: u32,
    marks: Box<[u64]>,
}

impl Half {
    fn new(salt: u64) -> Self {
        Self { salt, set: 0, marks: vec![0; BITS as usize / 64].into() }
    }

    fn clear(&mut self, salt: u64) {
        self.salt = salt;
        self.set = 0;
        self.marks.fill(0);
    }

    /// Where a block is marked; absent where it is not one of those remembered.
    fn place(&self, block: u64) -> Option<(usize, u64)> {
        // The finisher of SplitMix64: every bit of the block and the salt moves half of the bits that come out.
        let mut mixed = block ^ self.salt;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        if !mixed.is_multiple_of(SAMPLED) {
            return None;
        }
        let bit = usize::try_from((mixed >> 32) % u64::from(BITS)).unwrap_or(0);
        Some((bit / 64, 1 << (bit % 64)))
    }

    fn mark(&mut self, block: u64) {
        if let Some((word, bit)) = self.place(block) {
            self.set += u32::from(self.marks[word] & bit == 0);
            self.marks[word] |= bit;
        }
    }

    fn holds(&self, block: u64) -> bool {
        self.place(block).is_some_and(|(word, bit)| self.marks[word] & bit != 0)
    }
}

/// Turns the accesses of one disk into [`Signals`], on the machine that carries the disk. 16 KiB a disk.
///
/// It counts [`Signal::BytesRead`] and [`Signal::HoppingReads`] where reads are seen, and [`Signal::BytesWritten`] and
/// [`Signal::BytesOverwritten`] where writes are; what is not seen at all stays absent.
#[derive(Clone)]
pub struct BlockAccess {
    halves: [Half; 2],
    turned: Timestamp,
    counts: Signals,
    /// Where the last read ended, and the bytes of the unbroken run that it ended.
    end: u64,
    run: u64,
    is_hop: bool,
}

impl std::fmt::Debug for BlockAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockAccess").field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl BlockAccess {
    /// Nothing seen yet. Salts come from `salt`, one for each half of the memory.
    #[must_use]
    pub fn new(mut salt: impl FnMut() -> u64) -> Self {
        Self {
            halves: [Half::new(salt()), Half::new(salt())],
            turned: Timestamp::EPOCH,
            counts: Signals::new(),
            end: 0,
            run: 0,
            is_hop: false,
        }
    }

    /// A read of so many bytes from that byte of the disk on.
    pub fn read(&mut self, at: Timestamp, first: u64, bytes: u64, salt: impl FnMut() -> u64) {
        self.turn(at, salt);
        self.counts.add(Signal::BytesRead, bytes);
        if first == self.end {
            self.run = self.run.saturating_add(bytes);
        } else {
            // The run before is over: it was a lone one if it was one block.
            let is_hopping = self.is_hop && self.run <= BLOCK_BYTES;
            self.counts.add(Signal::HoppingReads, u64::from(is_hopping));
            self.is_hop = first.abs_diff(self.end) <= HOP_BYTES;
            self.run = bytes;
        }
        self.end = first.saturating_add(bytes);
        blocks(first, bytes).for_each(|block| self.halves[0].mark(block));
    }

    /// A write of so many bytes from that byte of the disk on.
    pub fn write(&mut self, at: Timestamp, first: u64, bytes: u64, salt: impl FnMut() -> u64) {
        self.turn(at, salt);
        self.counts.add(Signal::BytesWritten, bytes);
        let known = blocks(first, bytes).filter(|block| self.halves.iter().any(|half| half.holds(*block))).count();
        // Each remembered block stands for all those that were not.
        let bytes = (known as u64).saturating_mul(SAMPLED * BLOCK_BYTES);
        self.counts.add(Signal::BytesOverwritten, bytes);
    }

    /// What was counted since this was last asked.
    pub fn take(&mut self) -> Signals {
        std::mem::take(&mut self.counts)
    }

    /// Forgets the older half once the newer one is full, or half a minute old, or the clock was set back.
    fn turn(&mut self, at: Timestamp, mut salt: impl FnMut() -> u64) {
        let is_due = at < self.turned || at.since(self.turned) >= HALF || self.halves[0].set >= MOST_SET;
        if is_due {
            self.halves.swap(0, 1);
            self.halves[0].clear(salt());
            self.turned = at;
        }
    }
}

/// The blocks that a stretch of a disk touches; of one longer than 16 MiB the first ones.
fn blocks(first: u64, bytes: u64) -> impl Iterator<Item = u64> {
    let last = first.saturating_add(bytes.clamp(1, 16 << 20) - 1);
    first / BLOCK_BYTES..=last / BLOCK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tos::Signal::{BytesOverwritten, BytesRead, BytesWritten, HoppingReads};

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    /// Salts of a repeatable kind.
    fn salts(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state
        }
    }

    #[test]
    fn what_is_written_over_what_was_read_is_counted_within_a_tenth() {
        let mut salt = salts(7);
        let mut disk = BlockAccess::new(&mut salt);
        let megabytes_16 = 16_u64 << 20;
        for block in 0..megabytes_16 / BLOCK_BYTES {
            disk.read(NOW, block * BLOCK_BYTES, BLOCK_BYTES, &mut salt);
        }
        for block in 0..2 * megabytes_16 / BLOCK_BYTES {
            disk.write(NOW.after(Duration::from_secs(20)), block * BLOCK_BYTES, BLOCK_BYTES, &mut salt);
        }
        let counts = disk.take();
        assert_eq!(counts.get(BytesRead), Some(megabytes_16));
        assert_eq!(counts.get(BytesWritten), Some(2 * megabytes_16));
        let overwritten = counts.get(BytesOverwritten).unwrap();
        assert!(overwritten.abs_diff(megabytes_16) < megabytes_16 / 10, "{overwritten} of {megabytes_16}");
    }

    #[test]
    fn what_was_read_longer_ago_than_a_minute_is_forgotten() {
        let mut salt = salts(7);
        let mut disk = BlockAccess::new(&mut salt);
        for block in 0..4_096 {
            disk.read(NOW, block * BLOCK_BYTES, BLOCK_BYTES, &mut salt);
        }
        for seconds in [31, 62] {
            disk.write(NOW.after(Duration::from_secs(seconds)), 1 << 40, BLOCK_BYTES, &mut salt);
        }
        disk.take();
        disk.write(NOW.after(Duration::from_secs(63)), 0, 4_096 * BLOCK_BYTES, &mut salt);
        assert_eq!(disk.take().get(BytesOverwritten), Some(0));
    }

    #[test]
    fn only_lone_blocks_a_short_way_on_are_hops() {
        let mut salt = salts(7);
        let mut disk = BlockAccess::new(&mut salt);
        // One stretch, block after block.
        for block in 0..1_000 {
            disk.read(NOW, block * BLOCK_BYTES, BLOCK_BYTES, &mut salt);
        }
        // Lone blocks all over the disk.
        for place in 1..=100 {
            disk.read(NOW, place << 30, BLOCK_BYTES, &mut salt);
        }
        assert_eq!(disk.take().get(HoppingReads), Some(0));
        for block in 1..=101 {
            disk.read(NOW, (100 << 30) + block * 3 * BLOCK_BYTES, BLOCK_BYTES, &mut salt);
        }
        assert_eq!(disk.take().get(HoppingReads), Some(100), "the last one may still go on");
    }

    #[test]
    fn what_nobody_saw_is_absent_and_a_full_memory_turns_early() {
        let mut salt = salts(7);
        let mut disk = BlockAccess::new(&mut salt);
        for block in 0..1_000_000 {
            disk.read(NOW, block * BLOCK_BYTES, BLOCK_BYTES, &mut salt);
        }
        assert!(disk.halves.iter().all(|half| half.set <= MOST_SET));
        assert_eq!(disk.take().get(BytesWritten), None);
    }
}
