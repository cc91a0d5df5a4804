//! What a cell may use without asking the storage, and using it.

use super::writing::{Locked, held_to, minute_of};
use super::{Aside, ERASED, Parts, RECORDED, millis};
use crate::allocation::Resource;
use crate::monitoring::sample::Counter;
use crate::time::Timestamp;
use crate::words::Half;

/// What was granted to the account by the storage. Units of API calls and of file operations that may be used without
/// asking it, until when, in seconds, and the limits they were granted by.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Grants {
    units: [Half; 2],
    until: [Half; 2],
    by: [Half; 2],
}

impl Grants {
    pub(super) fn clear(&self) {
        self.units.iter().chain(&self.until).chain(&self.by).for_each(Half::clear);
    }
}

/// The resources whose use a cell may be granted in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Leasable {
    ApiCalls,
    FileOperations,
}

impl Leasable {
    pub(crate) const ALL: [Self; 2] = [Self::ApiCalls, Self::FileOperations];

    pub(crate) const fn of(resource: Resource) -> Option<Self> {
        match resource {
            Resource::ApiCalls => Some(Self::ApiCalls),
            Resource::FileOperations => Some(Self::FileOperations),
            _ => None,
        }
    }

    pub(crate) const fn counter(self) -> Counter {
        match self {
            Self::ApiCalls => Counter::ApiCalls,
            Self::FileOperations => Counter::FileOperations,
        }
    }
}

/// The windows of the hourly quotas, and what is granted of them and not used, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) used: [u64; 2],
    pub(crate) leased: [u32; 2],
}

impl Locked<'_> {
    /// Uses what was granted, and counts it. Gives the limit it was granted by, and what is in use then; absent where too
    /// little is granted.
    #[inline]
    pub(crate) fn consume(&self, what: Leasable, amount: u64, now: Timestamp, aside: impl Aside) -> Option<(u64, u64)> {
        let grants = self.parts.grants;
        let left = &grants.units[what as usize];
        let units = u32::try_from(amount).ok().filter(|units| (1..=left.of()).contains(units))?;
        if u64::from(grants.until[what as usize].of()) * 1_000 <= millis(now) {
            return None;
        }
        left.set(left.of() - units);
        let used = self.spend(what, amount, now, aside)?;
        Some((u64::from(grants.by[what as usize].of()), used))
    }

    /// Counts what was granted and taken at once. Absent where the account was erased.
    #[inline]
    pub(crate) fn spend(&self, what: Leasable, amount: u64, now: Timestamp, aside: impl Aside) -> Option<u64> {
        let Parts { cell, rest, .. } = self.parts;
        if cell.flags.of() & (RECORDED | ERASED) != RECORDED && !cell.begin_recording(aside) {
            return None;
        }
        let now = if rest.minute.of() == minute_of(now) { now } else { self.turn_to(now, aside) };
        let counter = what.counter();
        cell.shape.set(cell.shape.of() | u32::from(counter.bit()));
        let window = match what {
            Leasable::ApiCalls => self.parts.calls(),
            Leasable::FileOperations => self.parts.files(),
        };
        if !window.add_now(now, amount) {
            self.count_in(window, counter, now, amount, true, || aside.now(), aside);
        }
        self.parts.see_time(millis(now));
        Some(window.newest_sum())
    }

    /// Begins the minute of an instant, held to the clock, and gives it.
    #[cold]
    fn turn_to(&self, now: Timestamp, aside: impl Aside) -> Timestamp {
        let now = held_to(now, aside.now());
        // Where the clock was set back within the time of a flush, the minute that waits takes it too.
        self.turn_minute(minute_of(now), aside);
        now
    }

    /// When the oldest of what counts runs off.
    pub(crate) fn next_reset(&self, what: Leasable, now: Timestamp) -> Option<Timestamp> {
        match what {
            Leasable::ApiCalls => self.parts.calls().next_reset(now),
            Leasable::FileOperations => self.parts.files().next_reset(now),
        }
    }

    /// The windows, and what is granted and not used, at one moment.
    pub(crate) fn snapshot(&self, now: Timestamp) -> Snapshot {
        let windows = [self.parts.calls(), self.parts.files()];
        Snapshot { used: windows.map(|window| window.sum(now)), leased: self.leased() }
    }

    /// What is granted and not used.
    pub(crate) fn leased(&self) -> [u32; 2] {
        std::array::from_fn(|place| self.parts.grants.units[place].of())
    }

    /// Takes units out of what is granted; says whether there were as many.
    pub(crate) fn take_leased(&self, what: Leasable, units: u32) -> bool {
        let leased = &self.parts.grants.units[what as usize];
        let left = leased.of().checked_sub(units);
        left.is_some_and(|left| {
            leased.set(left);
            true
        })
    }

    /// Grants units, until an instant, by a limit.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held to the last second of 32 bits")]
    pub(crate) fn give_leased(&self, what: Leasable, units: u32, until: Timestamp, limit: u64) {
        self.put_back_leased(what, units);
        self.parts.grants.by[what as usize].set(u32::try_from(limit).unwrap_or(u32::MAX));
        self.parts.grants.until[what as usize].set(until.as_seconds().clamp(0, i64::from(u32::MAX)) as u32);
    }

    pub(crate) fn put_back_leased(&self, what: Leasable, units: u32) {
        let leased = &self.parts.grants.units[what as usize];
        leased.set(leased.of().saturating_add(units));
    }

    /// Takes back what was granted until that instant or before.
    pub(crate) fn end_leases(&self, by: Timestamp) {
        let grants = self.parts.grants;
        for (units, until) in grants.units.iter().zip(&grants.until) {
            // Looked at first: where nothing is granted, nothing is written, and takes no memory.
            if units.of() != 0 && u64::from(until.of()) * 1_000 <= millis(by) {
                units.set(0);
            }
        }
    }
}
