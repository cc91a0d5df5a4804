//! Why a figure is absent from a sample.

use std::fmt;
use std::io::{self, ErrorKind};

use super::super::sample::{Counter, Level, Sample};
use super::CollectError;

/// A figure of a sample, of either sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Figure {
    /// A present value.
    Level(Level),
    /// What was added.
    Counter(Counter),
}

impl Figure {
    /// The name in tables and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Level(level) => level.name(),
            Self::Counter(counter) => counter.name(),
        }
    }
}

/// Why a collector left a figure absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Absence {
    /// The system keeps no such count of a target of this kind, as of the bytes of a cgroup.
    NotCounted,
    /// The target shares our network namespace. The kernel counts bytes by namespace, and what stands there is
    /// everybody's.
    SharedNamespace,
    /// The target is in a namespace that shows us none of its processes.
    HiddenNamespace,
    /// The system can count it and is set not to, as where a cgroup has no memory controller.
    SwitchedOff,
    /// We may not look at it.
    NotPermitted,
    /// The system failed the reading, or answered in a form that is not known.
    Unreadable,
    /// A counter is what was added since the reading before, and this one is the first, or the first after the count
    /// began anew.
    Baseline,
    /// The reading is costly, and the next is not due yet.
    NotDue,
    /// The target has ended, was removed, or is not there yet.
    NotThere,
    /// This operating system does not offer it.
    Unsupported,
}

impl Absence {
    /// The reason in a few words, for a log line.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotCounted => "the system does not count it",
            Self::SharedNamespace => "the network namespace is shared with others",
            Self::HiddenNamespace => "the processes are hidden by their namespace",
            Self::SwitchedOff => "the system is set not to count it",
            Self::NotPermitted => "reading it is not permitted",
            Self::Unreadable => "it could not be read",
            Self::Baseline => "there is no reading to compare with yet",
            Self::NotDue => "the next reading is not due yet",
            Self::NotThere => "the target is not there",
            Self::Unsupported => "this operating system does not offer it",
        }
    }
}

impl From<&CollectError> for Absence {
    fn from(error: &CollectError) -> Self {
        match error {
            CollectError::Unreadable { source, .. } => Self::from(source),
            CollectError::TargetEnded { .. } | CollectError::CgroupRemoved | CollectError::NotThere { .. } => {
                Self::NotThere
            }
            CollectError::Unsupported { .. } => Self::Unsupported,
        }
    }
}

impl From<&io::Error> for Absence {
    fn from(error: &io::Error) -> Self {
        if error.kind() == ErrorKind::PermissionDenied { Self::NotPermitted } else { Self::Unreadable }
    }
}

/// A figure that was left absent, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gap {
    /// What was not measured.
    pub figure: Figure,
    /// Why not.
    pub absence: Absence,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is absent: {}", self.figure.name(), self.absence.reason())
    }
}

/// Fills a sample and keeps a reason for whatever is left absent of it, so that no figure goes without either.
///
/// ```
/// use dimensionos_core::Timestamp;
/// use dimensionos_core::monitoring::collectors::{Absence, Figure, Gap, Gaps};
/// use dimensionos_core::monitoring::{Counter, Level, Sample};
///
/// let mut sample = Sample::at(Timestamp::EPOCH);
/// let mut gaps = Gaps::default();
/// gaps.set_level(&mut sample, Level::RamBytes, Ok(4_096));
/// gaps.add(&mut sample, Counter::BytesSent, Err(Absence::SharedNamespace));
/// assert_eq!(sample.level(Level::RamBytes), Some(4_096));
/// assert_eq!(sample.added(Counter::BytesSent), None);
/// let figure = Figure::Counter(Counter::BytesSent);
/// assert_eq!(gaps.as_slice(), [Gap { figure, absence: Absence::SharedNamespace }]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps(Vec<Gap>);

impl Gaps {
    /// Sets a level's present value, or keeps why it has none.
    pub fn set_level(&mut self, sample: &mut Sample, level: Level, reading: Result<u64, Absence>) {
        match reading {
            Ok(value) => sample.set_level(level, value),
            Err(absence) => self.0.push(Gap { figure: Figure::Level(level), absence }),
        }
    }

    /// Adds to a counter, or keeps why nothing is known of it.
    pub fn add(&mut self, sample: &mut Sample, counter: Counter, reading: Result<u64, Absence>) {
        match reading {
            Ok(amount) => sample.add(counter, amount),
            Err(absence) => self.0.push(Gap { figure: Figure::Counter(counter), absence }),
        }
    }

    /// What was left absent, in the order of the readings.
    #[must_use]
    pub fn as_slice(&self) -> &[Gap] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_reading_and_a_failed_one_have_different_reasons() {
        let error = |kind: ErrorKind| CollectError::Unreadable { what: "it", source: kind.into() };
        assert_eq!(Absence::from(&error(ErrorKind::PermissionDenied)), Absence::NotPermitted);
        assert_eq!(Absence::from(&error(ErrorKind::InvalidData)), Absence::Unreadable);
        assert_eq!(Absence::from(&CollectError::CgroupRemoved), Absence::NotThere);
    }

    #[test]
    fn a_gap_tells_its_figure_and_its_reason() {
        let gap = Gap { figure: Figure::Level(Level::RamBytes), absence: Absence::SwitchedOff };
        assert_eq!(gap.to_string(), "ram_bytes is absent: the system is set not to count it");
    }
}
