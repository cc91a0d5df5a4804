//! What an agent reports, and how a repeat is known for one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::id::AccountId;
use crate::monitoring::sample::Sample;
use crate::tos::Signals;

/// Samples of one report: at a sample a second, a quarter of an hour that a source was cut off.
pub const MAX_REPORT_SAMPLES: usize = 1_000;
/// How old a sample may be: a source may be cut off for a month and lose nothing of it.
pub const MAX_SAMPLE_AGE: Duration = Duration::from_hours(31 * 24);
/// How far a source's clock may be ahead of the server's.
pub const MAX_SAMPLE_LEAD: Duration = Duration::from_secs(300);
/// Sources one agent's key may have: each is a row that is kept, so there must be an end to them.
pub const MAX_SOURCES_PER_AGENT: u64 = 4_096;
/// Runs of missing sequence numbers that are remembered of a source. Past it the oldest has to be filled first.
const MAX_GAPS: usize = 64;

/// What one source measured, under its own count of reports.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which of an agent's sources reports.
    pub source: SourceName,
    /// The source's own count: 1, 2, 3, …
    pub sequence: u64,
    /// Whose usage was measured, and the figures.
    pub samples: Vec<(AccountId, Sample)>,
    /// What was counted beside samples for the detectors of abuse: the place of the sample, and the counts.
    pub signals: Vec<(usize, Signals)>,
}

impl Report {
    /// Its samples by runs of one account: what is looked up of an account is looked up once a run.
    pub(crate) fn by_account(&self) -> impl Iterator<Item = (AccountId, &[(AccountId, Sample)])> {
        let runs = self.samples.chunk_by(|(one, _), (other, _)| one == other);
        runs.filter_map(|run| run.first().map(|(account, _)| (*account, run)))
    }
}

/// The acknowledgement of a report, given once it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The report's sequence.
    pub sequence: u64,
    /// Whether it had been counted before, and so was counted no second time.
    pub is_duplicate: bool,
    /// How many samples it had.
    pub samples: usize,
}

/// Tells apart the sources that report with one agent's key; the empty name is the key's only source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SourceName(String);

/// A text that names no source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not at most 64 lower-case letters, digits and hyphens")]
pub struct InvalidSource;

impl SourceName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceName {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let is_allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if text.len() <= 64 && text.bytes().all(is_allowed) { Ok(Self(text.to_owned())) } else { Err(InvalidSource) }
    }
}

/// Which sequence numbers of a source have been counted: all up to the highest, but for the gaps.
///
/// Exact for any order of arrival, and a few bytes as long as the order is nearly right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceState {
    highest: u64,
    /// First and last of each run of missing numbers, lowest first.
    gaps: Vec<(u64, u64)>,
}

/// Whether a sequence number is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    New,
    Repeat,
    /// Too many numbers below it are missing.
    TooScattered,
}

impl SourceState {
    /// Whether a sequence number has been counted.
    pub(crate) fn has(&self, sequence: u64) -> bool {
        let is_missing = self.gaps.iter().any(|(first, last)| (*first..=*last).contains(&sequence));
        sequence <= self.highest && !is_missing
    }

    /// Counts a sequence number, once.
    pub(crate) fn count(&mut self, sequence: u64) -> Arrival {
        if sequence > self.highest {
            let next = self.highest + 1;
            if sequence > next {
                if self.gaps.len() == MAX_GAPS {
                    return Arrival::TooScattered;
                }
                self.gaps.push((next, sequence - 1));
            }
            self.highest = sequence;
            return Arrival::New;
        }
        let Some(place) = self.gaps.iter().position(|(first, last)| (*first..=*last).contains(&sequence)) else {
            return Arrival::Repeat;
        };
        let (first, last) = self.gaps[place];
        let left = [(first, sequence - 1), (sequence + 1, last)].into_iter().filter(|(first, last)| first <= last);
        let left: Vec<_> = left.collect();
        if self.gaps.len() + left.len() > MAX_GAPS + 1 {
            return Arrival::TooScattered;
        }
        self.gaps.splice(place..=place, left);
        Arrival::New
    }
}

/// The form a store holds it in: the highest number, then the gaps, as in `17 4-4 9-12`.
impl fmt::Display for SourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.highest)?;
        self.gaps.iter().try_for_each(|(first, last)| write!(f, " {first}-{last}"))
    }
}

impl FromStr for SourceState {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let mut words = text.split(' ');
        let number = |word: &str| word.parse().map_err(|_| InvalidSource);
        let highest = number(words.next().unwrap_or_default())?;
        let gaps = words.map(|word| {
            let (first, last) = word.split_once('-').ok_or(InvalidSource)?;
            Ok((number(first)?, number(last)?))
        });
        Ok(Self { highest, gaps: gaps.collect::<Result<_, InvalidSource>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn too_many_gaps_are_refused_and_change_nothing() {
        let mut state = SourceState::default();
        for step in 0..MAX_GAPS as u64 {
            assert_eq!(state.count((step + 1) * 2), Arrival::New);
        }
        let before = state.clone();
        assert_eq!(state.count(1_000), Arrival::TooScattered);
        assert_eq!(state, before);
        assert_eq!(state.count(1), Arrival::New);
        assert_eq!(state.count(1_000), Arrival::New);
    }

    proptest! {
        #[test]
        fn every_number_counts_once_in_any_order(sequences in prop::collection::vec(1..80_u64, 0..200)) {
            let mut state = SourceState::default();
            let mut seen = BTreeSet::new();
            for sequence in sequences {
                prop_assert_eq!(state.has(sequence), seen.contains(&sequence));
                let expected = if seen.insert(sequence) { Arrival::New } else { Arrival::Repeat };
                prop_assert_eq!(state.count(sequence), expected);
                prop_assert!(state.has(sequence));
                // As after a restart.
                state = state.to_string().parse().unwrap();
            }
        }
    }
}
