//! What a process shares with the others on its database.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

use crate::id::{AccountId, DeploymentId, ReplicaId};
use crate::replicas::message::{self, MAX_ACCOUNTS, Message};
use crate::replicas::peers::Peers;
use crate::replicas::{Bus, Delta, Topic};
use crate::users::AccountEvent;

/// How long what is known of accounts is believed without having asked the database what was changed, where no message says
/// it either: some looks that fail are a restart of the database, and longer than this nobody who was suspended goes on
/// elsewhere.
const BELIEVED_FOR: Duration = Duration::from_secs(5);
/// The same while messages get through: what was changed is told, as long as none of them is lost. A database that is only
/// busy is not asked about every account besides.
const BELIEVED_WHILE_TOLD: Duration = Duration::from_secs(15);
/// How long an account is followed after somebody asked what it uses: long enough that whoever asks again and again is
/// answered from memory.
const FOLLOWED_FOR: Duration = Duration::from_secs(60);
/// How long it may take until all others know that an account is followed.
const SETTLED_AFTER: Duration = Duration::from_secs(3);
/// Changes that wait for whoever watches for them; whoever is further behind looks at everybody.
const CHANGES: usize = 1_024;

/// Whether what is known of accounts may be believed.
#[derive(Debug)]
pub(crate) struct Trust {
    /// Absent where no other process changes anything.
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    since: Instant,
    /// When the database was last asked what was changed, in milliseconds from then on.
    at: AtomicU64,
    bus: Arc<dyn Bus>,
}

impl Trust {
    /// Of a process alone, or of one with a bus to others.
    pub(crate) fn new(bus: Option<Arc<dyn Bus>>) -> Self {
        Self { asked: bus.map(|bus| Asked { since: Instant::now(), at: AtomicU64::new(0), bus }) }
    }

    /// Whether it may.
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        self.asked.as_ref().is_none_or(|asked| {
            let age = asked.age();
            age < BELIEVED_FOR || age < BELIEVED_WHILE_TOLD && asked.bus.is_connected()
        })
    }

    /// Notes that everything that had been changed by an instant is known.
    pub(super) fn renew(&self, known_at: Instant) {
        if let Some(asked) = &self.asked {
            let at = known_at.saturating_duration_since(asked.since).as_millis();
            asked.at.store(u64::try_from(at).unwrap_or(u64::MAX), Ordering::Release);
        }
    }

    /// How long ago that was.
    pub(super) fn age(&self) -> Duration {
        self.asked.as_ref().map_or(Duration::ZERO, Asked::age)
    }
}

impl Asked {
    fn age(&self) -> Duration {
        self.since.elapsed().saturating_sub(Duration::from_millis(self.at.load(Ordering::Acquire)))
    }
}

/// What a process shares with others.
#[derive(Debug)]
pub(crate) struct Sharing {
    pub(crate) replica: ReplicaId,
    bus: Arc<dyn Bus>,
    /// Whether there may be others at all.
    is_shared: bool,
    everybody: Topic,
    deployment: DeploymentId,
    peers: Peers,
    /// The accounts whose usage this process follows, and how.
    followed: Mutex<HashMap<AccountId, Followed>>,
    round: AtomicU64,
    /// Which accounts were changed, by whomever.
    changed: broadcast::Sender<AccountId>,
    pub(crate) trust: Arc<Trust>,
    /// Told where messages may have been lost.
    pub(super) lost: Arc<Notify>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Followed {
    pub(super) since: Instant,
    pub(super) until: Instant,
}

impl Sharing {
    /// Alone on its database, or not, with a bus to the others.
    pub(crate) fn new(replica: ReplicaId, deployment: DeploymentId, bus: Arc<dyn Bus>, is_shared: bool) -> Self {
        Self {
            replica,
            bus: Arc::clone(&bus),
            is_shared,
            everybody: Topic::new(&format!("dimensionos.{deployment}.all")),
            deployment,
            peers: Peers::default(),
            followed: Mutex::default(),
            round: AtomicU64::new(0),
            changed: broadcast::channel(CHANGES).0,
            trust: Arc::new(Trust::new(is_shared.then_some(bus))),
            lost: Arc::default(),
        }
    }

    /// How many others there are, as far as they are heard of; and whether messages get through.
    pub(crate) fn peers(&self) -> (usize, bool) {
        (self.peers.len(), self.bus.is_connected())
    }

    fn topic_of(&self, replica: ReplicaId) -> Topic {
        Topic::new(&format!("dimensionos.{}.to.{replica}", self.deployment))
    }

    /// Where this process is told what others do.
    pub(super) fn topics(&self) -> [Topic; 2] {
        [self.everybody.clone(), self.topic_of(self.replica)]
    }

    pub(super) fn bus(&self) -> &dyn Bus {
        &*self.bus
    }

    pub(super) fn peers_known(&self) -> &Peers {
        &self.peers
    }

    fn tell(&self, topic: &Topic, message: &Message) {
        if self.is_shared
            && let Some(bytes) = message.encode()
        {
            self.bus.publish(topic, bytes);
        }
    }

    pub(super) fn tell_everybody(&self, message: &Message) {
        self.tell(&self.everybody, message);
    }

    /// Tells the others that an account was changed by this process, and those here who watch for it.
    pub(crate) fn account_changed(&self, account: AccountId) {
        self.tell_everybody(&Message::Changed(vec![account]));
        self.note_changed(account);
    }

    /// Tells those here who watch for changes of accounts.
    pub(super) fn note_changed(&self, account: AccountId) {
        // Nobody watching is no fault.
        let _ = self.changed.send(account);
    }

    /// Tells the others that a tier has another version.
    pub(crate) fn tiers_changed(&self) {
        self.tell_everybody(&Message::Tiers);
    }

    /// The accounts that are changed from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<AccountId> {
        self.changed.subscribe()
    }

    /// Tells those others of an event that follow its account.
    pub(crate) fn happened(&self, account: AccountId, event: AccountEvent) {
        for replica in self.peers.followers(account) {
            self.tell(&self.topic_of(replica), &Message::Happened(account, event));
        }
    }

    /// Whether any other follows an account.
    pub(crate) fn is_followed(&self, account: AccountId) -> bool {
        !self.peers.followers(account).is_empty()
    }

    /// Tells those others what was counted that follow it.
    pub(crate) fn counted(&self, deltas: impl Iterator<Item = Delta>) {
        let mut each: HashMap<ReplicaId, Vec<Delta>> = HashMap::new();
        for delta in deltas {
            for replica in self.peers.followers(delta.account) {
                each.entry(replica).or_default().push(delta.clone());
            }
        }
        for (replica, deltas) in each {
            let topic = self.topic_of(replica);
            message::counted(deltas).iter().for_each(|message| self.tell(&topic, message));
        }
    }

    /// Follows an account from now on, for a while. Says whether what is known of it has to be held against the database:
    /// others may not know yet that it is followed, or may not be able to tell.
    pub(crate) fn follow(&self, account: AccountId) -> bool {
        if !self.is_shared {
            return false;
        }
        let now = Instant::now();
        let until = now + FOLLOWED_FOR;
        let mut followed = self.followed.lock();
        if let Some(known) = followed.get_mut(&account) {
            known.until = until;
            return !known.is_settled(now) || !self.bus.is_connected();
        }
        followed.insert(account, Followed { since: now, until });
        drop(followed);
        let round = self.round.load(Ordering::Relaxed);
        self.tell_everybody(&Message::Follows(self.replica, round, vec![account]));
        true
    }

    /// Follows those accounts for a while more, and no longer those whose time is over. Gives those that are followed.
    pub(super) fn go_on_following(&self, accounts: impl Iterator<Item = AccountId>) -> Vec<(AccountId, Followed)> {
        for account in accounts {
            self.follow(account);
        }
        let now = Instant::now();
        let mut followed = self.followed.lock();
        followed.retain(|_, known| known.until > now);
        followed.iter().map(|(account, known)| (*account, *known)).collect()
    }

    /// Tells the others all that this process follows.
    pub(super) fn tell_followed(&self) {
        let accounts: Vec<AccountId> = self.followed.lock().keys().copied().collect();
        let round = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        // Also where there is nothing: that it is there.
        let parts: Vec<&[AccountId]> =
            if accounts.is_empty() { vec![&[]] } else { accounts.chunks(MAX_ACCOUNTS).collect() };
        for part in parts {
            self.tell_everybody(&Message::Follows(self.replica, round, part.to_vec()));
        }
    }
}

impl Followed {
    pub(super) fn is_settled(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= SETTLED_AFTER
    }
}
