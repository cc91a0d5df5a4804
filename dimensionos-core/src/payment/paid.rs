use std::collections::BTreeMap;

use crate::allocation::TierName;
use crate::time::Timestamp;

/// The tiers that are paid for, cheapest first.
const PAID_TIERS: [TierName; 3] = [TierName::Starter, TierName::Pro, TierName::Enterprise];

/// Until when each tier is paid for. Who paid, and how, nobody here knows.
///
/// What pays for a tier pays for all below it. Payments for several tiers stand beside each other, so that whoever moves
/// down and up again loses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paid {
    until: [Option<Timestamp>; PAID_TIERS.len()],
}

/// The place of a tier among those that are paid for; absent for FREE.
const fn place(tier: TierName) -> Option<usize> {
    match tier {
        TierName::Free => None,
        TierName::Starter => Some(0),
        TierName::Pro => Some(1),
        TierName::Enterprise => Some(2),
    }
}

impl Paid {
    /// Until when a tier is paid for, by a payment for it or for one above; absent where nothing ever was, and for FREE.
    #[must_use]
    pub fn until(&self, tier: TierName) -> Option<Timestamp> {
        self.until[place(tier)?..].iter().flatten().max().copied()
    }

    /// Whether a tier is paid for at an instant.
    #[must_use]
    pub fn covers(&self, tier: TierName, now: Timestamp) -> bool {
        self.until(tier).is_some_and(|until| until > now)
    }

    /// Adds a payment until an instant; one that ends sooner than what is there changes nothing.
    pub fn add(&mut self, tier: TierName, until: Timestamp) {
        if let Some(place) = place(tier) {
            self.until[place] = self.until[place].max(Some(until));
        }
    }

    /// Each payment that was made, by its tier, cheapest first.
    pub fn each(&self) -> impl Iterator<Item = (TierName, Timestamp)> + '_ {
        PAID_TIERS.into_iter().zip(self.until).filter_map(|(tier, until)| Some((tier, until?)))
    }

    /// As a storage keeps it; absent where nothing was ever paid.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        let until: BTreeMap<_, _> = self.each().map(|(tier, until)| (tier.name(), until.as_millis())).collect();
        // Names and numbers: it cannot fail.
        (!until.is_empty()).then(|| serde_json::to_string(&until).unwrap_or_default())
    }

    /// The same as a storage kept it; absent where it is something else.
    #[must_use]
    pub fn from_text(text: Option<&str>) -> Option<Self> {
        let stored: BTreeMap<String, i64> =
            text.map_or(Some(BTreeMap::new()), |text| serde_json::from_str(text).ok())?;
        let mut paid = Self::default();
        for (tier, until) in stored {
            paid.until[place(tier.parse().ok()?)?] = Some(Timestamp::from_millis(until));
        }
        Some(paid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const LATER: Timestamp = Timestamp::from_millis(1_700_000_000_001);

    #[test]
    fn what_pays_for_a_tier_pays_for_those_below_it() {
        let mut paid = Paid::default();
        paid.add(TierName::Pro, LATER);
        paid.add(TierName::Free, LATER);
        let covered = TierName::ALL.map(|tier| paid.covers(tier, NOW));
        assert_eq!(covered, [false, true, true, false]);
        assert!(!paid.covers(TierName::Pro, LATER), "it ends on its millisecond");
    }

    #[test]
    fn a_payment_that_ends_sooner_takes_nothing_away() {
        let mut paid = Paid::default();
        paid.add(TierName::Starter, LATER);
        paid.add(TierName::Starter, NOW);
        assert_eq!(paid.until(TierName::Starter), Some(LATER));
    }

    #[test]
    fn what_is_stored_reads_back() {
        let mut paid = Paid::default();
        assert_eq!(Paid::from_text(paid.to_text().as_deref()), Some(paid));
        paid.add(TierName::Starter, NOW);
        paid.add(TierName::Enterprise, LATER);
        assert_eq!(Paid::from_text(paid.to_text().as_deref()), Some(paid));
        for text in ["", "[]", r#"{"FREE":1}"#, r#"{"GOLD":1}"#] {
            assert_eq!(Paid::from_text(Some(text)), None, "{text}");
        }
    }
}
