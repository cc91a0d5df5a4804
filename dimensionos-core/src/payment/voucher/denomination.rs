use std::fmt;
use std::str::FromStr;

use crate::allocation::TierName;

/// The longest time that one voucher pays for: ten years, so that a slip of the hand is no century.
pub const MAX_DAYS: u16 = 3_660;

/// Bytes that a denomination takes in a voucher.
pub(super) const DENOMINATION_BYTES: usize = 3;

/// What a voucher is worth: a tier for so many days. Vouchers of one denomination, bought in one epoch, are alike; the
/// fewer denominations are offered, the more others each of them hides among.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Denomination {
    tier: TierName,
    days: u16,
}

/// What is no denomination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a denomination is a tier that is paid for and 1 to 3660 days, such as STARTER:30")]
pub struct InvalidDenomination;

impl Denomination {
    /// What is offered where nothing else is said: a month of each tier. Few and plain, so that many buy the same.
    pub const OFFERED: [Self; 3] = [
        Self { tier: TierName::Starter, days: 30 },
        Self { tier: TierName::Pro, days: 30 },
        Self { tier: TierName::Enterprise, days: 30 },
    ];

    /// A tier for so many days.
    ///
    /// # Errors
    /// [`InvalidDenomination`] for FREE, which nobody pays for, for no day, and for more than [`MAX_DAYS`].
    pub const fn new(tier: TierName, days: u16) -> Result<Self, InvalidDenomination> {
        if matches!(tier, TierName::Free) || days == 0 || days > MAX_DAYS {
            return Err(InvalidDenomination);
        }
        Ok(Self { tier, days })
    }

    /// The tier.
    #[must_use]
    pub const fn tier(self) -> TierName {
        self.tier
    }

    /// For how many days.
    #[must_use]
    pub const fn days(self) -> u16 {
        self.days
    }

    /// The same in three bytes.
    pub(super) fn to_bytes(self) -> [u8; DENOMINATION_BYTES] {
        let tier = match self.tier {
            TierName::Free => 0,
            TierName::Starter => 1,
            TierName::Pro => 2,
            TierName::Enterprise => 3,
        };
        let [high, low] = self.days.to_be_bytes();
        [tier, high, low]
    }

    pub(super) fn from_bytes([tier, high, low]: [u8; DENOMINATION_BYTES]) -> Result<Self, InvalidDenomination> {
        let tier = match tier {
            1 => TierName::Starter,
            2 => TierName::Pro,
            3 => TierName::Enterprise,
            _ => return Err(InvalidDenomination),
        };
        Self::new(tier, u16::from_be_bytes([high, low]))
    }
}

impl FromStr for Denomination {
    type Err = InvalidDenomination;

    fn from_str(text: &str) -> Result<Self, InvalidDenomination> {
        let (tier, days) = text.split_once(':').ok_or(InvalidDenomination)?;
        // One text each: `u16` would read `+30` and `030` too.
        if !days.bytes().all(|digit| digit.is_ascii_digit()) || days.starts_with('0') {
            return Err(InvalidDenomination);
        }
        let tier = tier.parse().map_err(|_| InvalidDenomination)?;
        Self::new(tier, days.parse().map_err(|_| InvalidDenomination)?)
    }
}

impl fmt::Display for Denomination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.tier.name(), self.days)
    }
}

impl fmt::Debug for Denomination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_free_or_for_no_time_or_for_a_century_is_refused() {
        for text in ["FREE:30", "STARTER:0", "STARTER:3661", "STARTER:", "STARTER", "starter:30", "PRO:+30", "PRO:030"]
        {
            assert_eq!(text.parse::<Denomination>(), Err(InvalidDenomination), "{text}");
        }
        assert_eq!("ENTERPRISE:3660".parse::<Denomination>().unwrap().days(), MAX_DAYS);
        assert!(Denomination::from_bytes([0, 0, 30]).is_err() && Denomination::from_bytes([4, 0, 30]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(tier in 1_usize..4, days in 1..=MAX_DAYS) {
            let denomination = Denomination::new(TierName::ALL[tier], days).unwrap();
            prop_assert_eq!(denomination.to_string().parse(), Ok(denomination));
            prop_assert_eq!(Denomination::from_bytes(denomination.to_bytes()), Ok(denomination));
        }
    }
}
