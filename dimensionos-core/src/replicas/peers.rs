//! What the other processes follow, as they say it themselves.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::id::{AccountId, ReplicaId};

/// How long after a process was last heard of it is taken to be there: three rounds of telling.
const SILENCE: Duration = Duration::from_secs(30);

/// Processes that are heard at most: more than one database serves, and an end to what somebody may make us remember.
const MAX_PEERS: usize = 256;
/// Accounts that one is believed to follow: as many as a process keeps in memory. The others it learns of from the database.
const MAX_FOLLOWED: usize = 200_000;

/// The other processes, and what each follows.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Whether anybody follows anything: most processes have nobody to tell most of the time.
    is_any: AtomicBool,
    known: Mutex<HashMap<ReplicaId, Peer>>,
}

#[derive(Debug)]
struct Peer {
    heard_at: Instant,
    /// Each tells all it follows in rounds, in parts and with what comes new. What has not been named in the round before
    /// and in this one it follows no more.
    round: u64,
    present: HashSet<AccountId>,
    before: HashSet<AccountId>,
}

impl Peers {
    /// Takes what a process says that it follows.
    pub(super) fn hear(&self, replica: ReplicaId, round: u64, accounts: impl IntoIterator<Item = AccountId>) {
        let mut known = self.known.lock();
        if known.len() >= MAX_PEERS && !known.contains_key(&replica) {
            return;
        }
        let peer = known.entry(replica).or_insert_with(|| Peer {
            heard_at: Instant::now(),
            round,
            present: HashSet::new(),
            before: HashSet::new(),
        });
        peer.heard_at = Instant::now();
        if peer.round != round {
            peer.round = round;
            peer.before = std::mem::take(&mut peer.present);
        }
        let room = MAX_FOLLOWED.saturating_sub(peer.present.len());
        peer.present.extend(accounts.into_iter().take(room));
        let is_any = known.values().any(|peer| !peer.present.is_empty() || !peer.before.is_empty());
        self.is_any.store(is_any, Ordering::Release);
    }

    /// Who follows an account.
    pub(super) fn followers(&self, account: AccountId) -> Vec<ReplicaId> {
        if !self.is_any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let known = self.known.lock();
        let follows = |peer: &Peer| peer.present.contains(&account) || peer.before.contains(&account);
        known.iter().filter(|(_, peer)| follows(peer)).map(|(replica, _)| *replica).collect()
    }

    /// Forgets processes that nothing is heard of.
    pub(super) fn tidy(&self) {
        let mut known = self.known.lock();
        known.retain(|_, peer| peer.heard_at.elapsed() < SILENCE);
        let is_any = known.values().any(|peer| !peer.present.is_empty() || !peer.before.is_empty());
        self.is_any.store(is_any, Ordering::Release);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.known.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_process_names_no_more_it_follows_no_more() {
        let (peers, one) = (Peers::default(), ReplicaId::from_bits(1));
        let [a, b] = [7, 8].map(AccountId::from_bits);
        assert!(peers.followers(a).is_empty());
        peers.hear(one, 1, [a]);
        peers.hear(one, 1, [b]);
        assert_eq!((peers.followers(a), peers.followers(b)), (vec![one], vec![one]));
        // A round in which it is not named, and another.
        peers.hear(one, 2, [a]);
        assert_eq!(peers.followers(b), [one]);
        peers.hear(one, 3, [a]);
        assert!(peers.followers(b).is_empty());
        assert_eq!(peers.followers(a), [one]);
        tokio::time::advance(SILENCE).await;
        peers.tidy();
        assert!(peers.followers(a).is_empty());
        assert_eq!(peers.len(), 0);
    }
}
