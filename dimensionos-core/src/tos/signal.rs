//! What detectors are fed: how often something was done, never what, to whom or with what in it.

use std::fmt;

use crate::monitoring::MAX_AMOUNT;

/// Something an account does that abuse does more of. All of them only add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Signal {
    /// Packets sent.
    PacketsSent,
    /// Packets received.
    PacketsReceived,
    /// Connections opened to others.
    OutboundConnections,
    /// Connections to others that nobody took or that were refused.
    FailedConnections,
    /// Different peers: how many, not which.
    DistinctPeers,
    /// Bytes read from storage.
    BytesRead,
    /// Bytes written to storage.
    BytesWritten,
    /// Bytes written where they had been read within the last minute, as the layer under the file system counts them.
    BytesOverwritten,
    /// Lone blocks read a short way from the last ones, as the same layer counts them: what reading many small files one
    /// after another looks like.
    HoppingReads,
    /// Files written over.
    FilesOverwritten,
    /// Files renamed.
    FilesRenamed,
    /// Files deleted.
    FilesDeleted,
    /// Messages sent.
    MessagesSent,
    /// Recipients who had never been written to before.
    NewRecipients,
    /// Messages that came back.
    MessagesBounced,
    /// Messages that were answered.
    MessagesAnswered,
    /// Sign-ins that failed.
    FailedLogins,
    /// Different names the failed sign-ins were for: how many, not which.
    FailedLoginNames,
}

impl Signal {
    /// Every signal, in the order of its index.
    pub const ALL: [Self; 18] = [
        Self::PacketsSent,
        Self::PacketsReceived,
        Self::OutboundConnections,
        Self::FailedConnections,
        Self::DistinctPeers,
        Self::BytesRead,
        Self::BytesWritten,
        Self::BytesOverwritten,
        Self::HoppingReads,
        Self::FilesOverwritten,
        Self::FilesRenamed,
        Self::FilesDeleted,
        Self::MessagesSent,
        Self::NewRecipients,
        Self::MessagesBounced,
        Self::MessagesAnswered,
        Self::FailedLogins,
        Self::FailedLoginNames,
    ];

    /// The name in tables, explanations and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PacketsSent => "packets_sent",
            Self::PacketsReceived => "packets_received",
            Self::OutboundConnections => "outbound_connections",
            Self::FailedConnections => "failed_connections",
            Self::DistinctPeers => "distinct_peers",
            Self::BytesRead => "bytes_read",
            Self::BytesWritten => "bytes_written",
            Self::BytesOverwritten => "bytes_overwritten",
            Self::HoppingReads => "hopping_reads",
            Self::FilesOverwritten => "files_overwritten",
            Self::FilesRenamed => "files_renamed",
            Self::FilesDeleted => "files_deleted",
            Self::MessagesSent => "messages_sent",
            Self::NewRecipients => "new_recipients",
            Self::MessagesBounced => "messages_bounced",
            Self::MessagesAnswered => "messages_answered",
            Self::FailedLogins => "failed_logins",
            Self::FailedLoginNames => "failed_login_names",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }

    const fn bit(self) -> u32 {
        1 << self.index()
    }
}

/// What was counted since the same source's last count. What was not counted is absent, which is not the same as zero.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Signals {
    counted: u32,
    // 0 where nobody counted.
    counts: [u64; Signal::ALL.len()],
}

impl Signals {
    /// Nothing counted yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { counted: 0, counts: [0; Signal::ALL.len()] }
    }

    /// The same with one more count, on top of what is there of the signal, held to [`MAX_AMOUNT`].
    #[must_use]
    pub const fn with(mut self, signal: Signal, count: u64) -> Self {
        self.add(signal, count);
        self
    }

    /// Adds to a signal.
    pub const fn add(&mut self, signal: Signal, count: u64) {
        self.counted |= signal.bit();
        let sum = self.counts[signal.index()].saturating_add(count);
        self.counts[signal.index()] = if sum > MAX_AMOUNT { MAX_AMOUNT } else { sum };
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for signal in Signal::ALL {
            if let Some(count) = other.get(signal) {
                self.add(signal, count);
            }
        }
        self
    }

    /// How much was counted, absent where nobody did.
    #[must_use]
    pub const fn get(&self, signal: Signal) -> Option<u64> {
        if self.counted & signal.bit() == 0 { None } else { Some(self.counts[signal.index()]) }
    }

    /// Whether nothing at all was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.counted == 0
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = Signal::ALL.iter().filter_map(|signal| Some((signal.name(), self.get(*signal)?)));
        f.debug_map().entries(counted).finish()
    }
}
