//! Which accounts there are, and in which order samples of them come.

use std::fmt::Write;
use std::sync::OnceLock;

use dimensionos_core::AccountId;

/// Samples before an order begins again: enough that a million accounts do not come by in an order the processor could
/// learn. A power of two, so that the next place is a mask away.
pub const VISITS: usize = 1 << 20;

/// Characters of an account's id: `acc_` and 26 more.
const NAME_CHARS: usize = 30;

/// How samples are spread over accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Every account as often as any other.
    Uniform,
    /// The n-th most busy account 1/n as often as the busiest (s = 1), and the busy ones anywhere among the others.
    Zipf,
}

impl Spread {
    /// What it is called in the name of a group.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
        }
    }
}

/// Accounts by their place, from 0.
#[derive(Debug)]
pub struct Accounts {
    ids: Vec<AccountId>,
}

impl Accounts {
    /// That many accounts with random ids, the same each time.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let mut chance = Chance(1);
        let mut id = || u128::from(chance.next()) << 64 | u128::from(chance.next());
        Self { ids: (0..count).map(|_| AccountId::from_bits(id())).collect() }
    }

    /// Their ids, in the order of their places.
    #[must_use]
    pub fn ids(&self) -> &[AccountId] {
        &self.ids
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ids.len()
    }

    /// An order in which samples of them come.
    #[must_use]
    pub fn visits(&self, spread: Spread) -> Visits<'_> {
        let mut chance = Chance(2);
        let places: Vec<u32> = match spread {
            Spread::Uniform => (0..VISITS).map(|_| place(chance.below(self.count()))).collect(),
            Spread::Zipf => {
                let by_rank = chance.shuffled(self.count());
                let until: Vec<f64> = (1..=self.count())
                    .scan(0.0, |sum, rank| {
                        *sum += 1.0 / f64::from(place(rank));
                        Some(*sum)
                    })
                    .collect();
                let total = until.last().copied().unwrap_or(0.0);
                let mut rank = || {
                    let drawn = chance.share() * total;
                    until.partition_point(|until| *until <= drawn).min(self.count() - 1)
                };
                (0..VISITS).map(|_| by_rank[rank()]).collect()
            }
        };
        let ids = places.iter().map(|place| self.ids[*place as usize]).collect();
        Visits { accounts: self, spread, places, ids, names: OnceLock::new() }
    }
}

/// Accounts in the order in which their samples come. What a caller has in hand of an account lies in that order too:
/// to fetch it from a random place would cost a miss of its own, which is none of the subject's.
#[derive(Debug)]
pub struct Visits<'a> {
    accounts: &'a Accounts,
    spread: Spread,
    places: Vec<u32>,
    ids: Vec<AccountId>,
    names: OnceLock<Names>,
}

impl Visits<'_> {
    /// How they are spread.
    #[must_use]
    pub const fn spread(&self) -> Spread {
        self.spread
    }

    /// The place of each account.
    #[must_use]
    pub fn places(&self) -> &[u32] {
        &self.places
    }

    /// The id of each account.
    #[must_use]
    pub fn ids(&self) -> &[AccountId] {
        &self.ids
    }

    /// The name of each account.
    #[must_use]
    pub fn names(&self) -> Names {
        *self.names.get_or_init(|| Names::of(&self.ids))
    }

    /// Of two threads on distinct accounts, what comes by on one: of the first half or of the second. Where they are
    /// neighbours, each core's prefetching takes the lines that the other one writes.
    #[must_use]
    pub fn of_thread(&self, thread: u32) -> Vec<u32> {
        let half = place(self.accounts.count() / 2);
        self.places.iter().map(|place| if half == 0 { 0 } else { place % half + thread * half }).collect()
    }
}

/// The names of accounts as labels have them, one after the other. They are never freed: labels that need not be copied
/// are the best that the peers can be given.
#[derive(Debug, Clone, Copy)]
pub struct Names(&'static str);

impl Names {
    /// The names of those accounts.
    #[must_use]
    pub fn of(ids: &[AccountId]) -> Self {
        let mut names = String::with_capacity(ids.len() * NAME_CHARS);
        // Writing to a string cannot fail.
        ids.iter().for_each(|id| _ = write!(names, "{id}"));
        Self(names.leak())
    }

    /// The name at a place.
    #[must_use]
    pub fn at(self, place: usize) -> &'static str {
        &self.0[place * NAME_CHARS..][..NAME_CHARS]
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        (0..self.0.len() / NAME_CHARS).map(move |place| self.at(place))
    }
}

/// A place as handles hold it.
#[expect(clippy::cast_possible_truncation, reason = "a million accounts at most")]
const fn place(place: usize) -> u32 {
    place as u32
}

/// SplitMix64: repeatable, and random enough to be looked up by.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    #[expect(clippy::cast_possible_truncation, reason = "a remainder by a count is below it")]
    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    /// From 0 to 1, in steps of 2^-32.
    fn share(&mut self) -> f64 {
        f64::from((self.next() >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
    }

    fn shuffled(&mut self, count: usize) -> Vec<u32> {
        let mut places: Vec<u32> = (0..count).map(place).collect();
        (1..count).rev().for_each(|last| places.swap(last, self.below(last + 1)));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_account_has_its_share_and_every_name_its_place() {
        let accounts = Accounts::new(1_000);
        let most = |spread| {
            let visits = accounts.visits(spread);
            assert_eq!(visits.names().at(VISITS - 1), visits.ids()[VISITS - 1].to_string());
            let mut counts = vec![0_u32; accounts.count()];
            visits.places().iter().for_each(|place| counts[*place as usize] += 1);
            counts.into_iter().max().map_or(0.0, f64::from) / f64::from(place(VISITS))
        };
        // The thousandth harmonic number is 7.485.
        assert!((most(Spread::Zipf) - 1.0 / 7.485).abs() < 0.005);
        assert!(most(Spread::Uniform) < 0.002);
    }

    #[test]
    fn two_threads_have_no_account_in_common() {
        let accounts = Accounts::new(1_000);
        let visits = accounts.visits(Spread::Uniform);
        assert!(visits.of_thread(0).iter().all(|place| *place < 500));
        assert!(visits.of_thread(1).iter().all(|place| (500..1_000).contains(place)));
    }
}
