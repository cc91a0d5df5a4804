//! The rules: which there are, of what kind, and how far each may go by itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::allocation::UnknownName;

/// What kind of breach of the terms something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are the kinds")]
pub enum ViolationKind {
    ResourceAbuse,
    Spam,
    Malware,
    Ddos,
    CredentialStuffing,
    Copyright,
}

impl ViolationKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::ResourceAbuse, Self::Spam, Self::Malware, Self::Ddos, Self::CredentialStuffing, Self::Copyright];

    /// The name in tables and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ResourceAbuse => "RESOURCE_ABUSE",
            Self::Spam => "SPAM",
            Self::Malware => "MALWARE",
            Self::Ddos => "DDOS",
            Self::CredentialStuffing => "CREDENTIAL_STUFFING",
            Self::Copyright => "COPYRIGHT",
        }
    }
}

impl FromStr for ViolationKind {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownName)
    }
}

/// How much a flag weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Severity {
    /// Unusual for this account. Shown to it, and never acted on.
    Notice,
    /// A rule's limit was passed.
    Warn,
    /// A rule's limit was passed in a way that harms others now.
    Restrict,
}

impl Severity {
    /// Every severity, in rising order.
    pub const ALL: [Self; 3] = [Self::Notice, Self::Warn, Self::Restrict];

    /// The name in tables and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notice => "NOTICE",
            Self::Warn => "WARN",
            Self::Restrict => "RESTRICT",
        }
    }
}

impl FromStr for Severity {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|severity| severity.name() == text).ok_or(UnknownName)
    }
}

/// What a detector holds figures against. Periodicity alone is none of them: it is what a time service looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Rule {
    /// More than the tier's limit of a resource, added up over a quarter of an hour.
    ExcessQuarterHour,
    /// The same over six hours.
    ExcessSixHours,
    /// The same over a day.
    ExcessDay,
    /// A multiple of the tier's limit that nobody reaches by accident.
    HardCap,
    /// New recipients in an hour, most of whom send back or do not answer.
    SpamEvidence,
    /// New recipients in an hour, where nobody counts what comes back.
    SpamVolume,
    /// A day of processor at its limit, without variation, disk or network: suspected.
    Mining,
    /// Files overwritten, renamed and deleted far above the tier, as much read as written.
    Ransomware,
    /// What was just read written over, most of all that is written, as seen under the file system: suspected.
    RansomwareBlocks,
    /// Small files read one after another in great number, as seen under the file system: suspected.
    RansomwareReads,
    /// Attempts at one peer, again and again, that fail: it harms nobody yet, and a database that is down looks alike.
    CommandAndControl,
    /// Attempts at one peer within seconds that fail: passwords being tried, or ports.
    Hammering,
    /// New peers in a minute, most of whom do not answer.
    Scan,
    /// Connections a second.
    DdosConnections,
    /// Packets a second that hardly anybody answers.
    DdosPackets,
    /// Failed sign-ins of one source.
    StuffingFailures,
    /// Names that one source failed to sign in with.
    StuffingNames,
    /// Failed sign-ins of the whole service: the slow and distributed kind.
    StuffingService,
    /// Unlike what the account did before.
    Unusual,
    /// Complete notices of copyright that nobody countered.
    CopyrightNotice,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 20] = [
        Self::ExcessQuarterHour,
        Self::ExcessSixHours,
        Self::ExcessDay,
        Self::HardCap,
        Self::SpamEvidence,
        Self::SpamVolume,
        Self::Mining,
        Self::Ransomware,
        Self::RansomwareBlocks,
        Self::RansomwareReads,
        Self::CommandAndControl,
        Self::Hammering,
        Self::Scan,
        Self::DdosConnections,
        Self::DdosPackets,
        Self::StuffingFailures,
        Self::StuffingNames,
        Self::StuffingService,
        Self::Unusual,
        Self::CopyrightNotice,
    ];

    /// The stable name, without the version.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExcessQuarterHour => "resource-excess-15m",
            Self::ExcessSixHours => "resource-excess-6h",
            Self::ExcessDay => "resource-excess-24h",
            Self::HardCap => "resource-hard-cap",
            Self::SpamEvidence => "spam-unwanted",
            Self::SpamVolume => "spam-volume",
            Self::Mining => "mining-suspected",
            Self::Ransomware => "ransomware-like",
            Self::RansomwareBlocks => "ransomware-suspected-blocks",
            Self::RansomwareReads => "ransomware-suspected-reads",
            Self::CommandAndControl => "command-and-control",
            Self::Hammering => "hammering",
            Self::Scan => "scan",
            Self::DdosConnections => "ddos-connections",
            Self::DdosPackets => "ddos-packets",
            Self::StuffingFailures => "stuffing-failures",
            Self::StuffingNames => "stuffing-names",
            Self::StuffingService => "stuffing-service",
            Self::Unusual => "unusual",
            Self::CopyrightNotice => "copyright-notice",
        }
    }

    /// Its bit among all rules.
    pub(crate) const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// The version of its definition: another one wherever the same figures could be judged otherwise.
    #[must_use]
    pub const fn version(self) -> u16 {
        1
    }

    /// The kind of breach it finds.
    #[must_use]
    pub const fn kind(self) -> ViolationKind {
        match self {
            Self::ExcessQuarterHour | Self::ExcessSixHours | Self::ExcessDay | Self::HardCap | Self::Unusual => {
                ViolationKind::ResourceAbuse
            }
            Self::SpamEvidence | Self::SpamVolume => ViolationKind::Spam,
            Self::Mining
            | Self::Ransomware
            | Self::RansomwareBlocks
            | Self::RansomwareReads
            | Self::CommandAndControl
            | Self::Hammering
            | Self::Scan => ViolationKind::Malware,
            Self::DdosConnections | Self::DdosPackets => ViolationKind::Ddos,
            Self::StuffingFailures | Self::StuffingNames | Self::StuffingService => ViolationKind::CredentialStuffing,
            Self::CopyrightNotice => ViolationKind::Copyright,
        }
    }

    /// The most that it may raise by itself.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Unusual => Severity::Notice,
            Self::ExcessQuarterHour
            | Self::ExcessSixHours
            | Self::ExcessDay
            | Self::SpamVolume
            | Self::Mining
            | Self::CommandAndControl
            | Self::RansomwareBlocks
            | Self::RansomwareReads
            | Self::StuffingService => Severity::Warn,
            Self::HardCap
            | Self::SpamEvidence
            | Self::Ransomware
            | Self::Hammering
            | Self::Scan
            | Self::DdosConnections
            | Self::DdosPackets
            | Self::StuffingFailures
            | Self::StuffingNames
            | Self::CopyrightNotice => Severity::Restrict,
        }
    }
}

/// `scan@1`: the name and the version, as a statement of reasons has them.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name(), self.version())
    }
}

impl FromStr for Rule {
    type Err = UnknownName;

    /// Of a name without its version.
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|rule| rule.name() == text).ok_or(UnknownName)
    }
}
