use std::fmt;

use crate::time::{Month, Timestamp};

/// Months of an epoch.
///
/// A voucher hides among all others of its denomination that were bought in its epoch, so a long epoch hides better; but
/// a key serves for all of one, and a stolen key can make vouchers of its epoch until the last of it is refused. A
/// quarter of a year is three times as many others as a month, and a thief's reach is still not a year.
const MONTHS: u16 = 3;

/// How many epochs after its own a voucher is good for: two years, and what is left of its own quarter. Prepaid time is
/// worth money, so it is not cut off soon; and the list of what was spent has to end.
pub const REDEEMABLE_EPOCHS: u16 = 8;

/// A quarter of a calendar year in UTC, counted from that which began in January 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u16);

impl Epoch {
    /// The epoch that holds an instant.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(Month::of(at).number() / MONTHS)
    }

    /// The epoch of that number.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        Self(number)
    }

    /// How many epochs began before it.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The oldest epoch whose vouchers are still redeemed in this one.
    #[must_use]
    pub const fn oldest_redeemable(self) -> Self {
        Self(self.0.saturating_sub(REDEEMABLE_EPOCHS))
    }

    /// The oldest epoch of which anything is kept in this one. It is one before the oldest that is redeemed: a server
    /// whose clock is behind goes on redeeming for a while, and must find what was spent.
    pub(crate) const fn oldest_kept(self) -> Self {
        Self(self.oldest_redeemable().0.saturating_sub(1))
    }

    /// From when on its vouchers are refused.
    #[must_use]
    pub fn redeemable_until(self) -> Timestamp {
        let next = self.0.saturating_add(REDEEMABLE_EPOCHS + 1);
        Month::from_number(next.saturating_mul(MONTHS)).start()
    }

    /// Whether the two are the same, or follow one on the other.
    #[cfg(feature = "voucher-client")]
    pub(super) const fn is_near(self, other: Self) -> bool {
        self.0.abs_diff(other.0) <= 1
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quarters = 12 / MONTHS;
        write!(f, "{}-Q{}", 1970 + self.0 / quarters, self.0 % quarters + 1)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn an_epoch_begins_with_its_quarter_and_its_vouchers_end_two_years_after_it() {
        let last = |text: &str| Epoch::of(text.parse().unwrap());
        assert_eq!(last("1970-01-01T00:00:00Z"), Epoch::from_number(0));
        assert_eq!(last("2026-09-30T23:59:59.999Z").to_string(), "2026-Q3");
        let fourth = last("2026-10-01T00:00:00Z");
        assert_eq!((fourth.to_string(), fourth.number()), ("2026-Q4".to_owned(), 227));
        assert_eq!(fourth.redeemable_until().to_string(), "2029-01-01T00:00:00.000Z");
        assert_eq!(Epoch::from_number(3).oldest_redeemable(), Epoch::from_number(0));
    }

    proptest! {
        #[test]
        fn the_two_ways_to_say_until_when_agree(number in 0..20_000_u16) {
            let epoch = Epoch::from_number(number);
            let end = epoch.redeemable_until();
            let last = end.before(Duration::from_millis(1));
            prop_assert!(Epoch::of(last).oldest_redeemable() <= epoch);
            prop_assert!(Epoch::of(end).oldest_redeemable() > epoch);
        }
    }
}
