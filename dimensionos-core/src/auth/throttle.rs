//! Limits on guessing that cannot be turned against whoever is guessed at.
//!
//! Failures are counted by source and, loosely, by account; each count runs off with time. Past a limit nobody is locked
//! out: whoever attaches a proof of work, harder the more failures there are, goes on at once.

use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::Error;
use crate::auth::Pepper;
use crate::auth::proof::{Guess, Proof, Proofs};
use crate::entropy::{self, Entropy, EntropyError};
use crate::time::Timestamp;
use crate::users::AnonymousId;

/// Where a call comes from. It is used to count failures, as a digest under a key that lives in memory for a day, and
/// is never stored, logged or shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Source(IpAddr);

impl Source {
    /// The source of that address. One IPv6 network of 64 bits counts as one: whoever has one has all its addresses.
    #[must_use]
    pub const fn new(address: IpAddr) -> Self {
        Self(address)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// How many wrong guesses are free.
#[derive(Debug, Clone, Copy)]
pub struct GuessLimits {
    /// Of one source. Default 20: an office behind one address mistypes that often, and a list of stolen passwords is
    /// thousands long.
    pub per_source: u32,
    /// At one account, whatever the sources. Default 50: half of what NIST SP 800-63B-4 allows at most, and more than
    /// its holder will mistype.
    pub per_account: u32,
    /// After how long one failure is forgiven. Default half a minute: a day of waiting gives 2,880 guesses, too few for
    /// any password that was let in.
    pub forgiven_every: Duration,
}

impl Default for GuessLimits {
    fn default() -> Self {
        Self { per_source: 20, per_account: 50, forgiven_every: Duration::from_secs(30) }
    }
}

/// Failures past the limit that are remembered: what waits for them to be forgiven waits two hours at most.
const MAX_EXCESS: u32 = 256;
/// Bits of the first proof past the limit: some hundredths of a second natively, half a second in a script.
const LEAST_DIFFICULTY: u8 = 16;
/// Bits of the hardest: half a second natively, some ten in a script. One more guess costs an attacker as much as the
/// hash costs the server.
const MOST_DIFFICULTY: u8 = 22;
/// Sources and accounts counted one by one; past it, new ones share a count. Each takes some 50 bytes.
const MAX_COUNTED: usize = 200_000;

const DAY: Duration = Duration::from_hours(24);

#[derive(Debug)]
pub(crate) struct Throttle {
    limits: GuessLimits,
    sources: Tallies<SourceDigest>,
    accounts: Tallies<AnonymousId>,
    source_key: Mutex<Option<SourceKey>>,
    proofs: Proofs,
    entropy: Arc<dyn Entropy>,
}

/// A source under the key of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct SourceDigest(u128);

struct SourceKey {
    day: Timestamp,
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceKey")
    }
}

/// A guess that is about to be checked. It counts as a failure when it is dropped, unless it is
/// [forgiven](Self::forgive): whoever hangs up before the verdict has guessed all the same.
///
/// It counts only then, and not from its beginning, so that many who sign in at once do not keep each other out. What
/// an attacker gains by guessing all at once is what fits into the queue for hashing.
#[derive(Debug)]
#[must_use]
pub(crate) struct Attempt<'a> {
    throttle: &'a Throttle,
    source: Option<SourceDigest>,
    account: Option<AnonymousId>,
    now: Timestamp,
}

impl Attempt<'_> {
    /// It was right, or was not checked at all: it does not count.
    pub(crate) fn forgive(mut self) {
        (self.source, self.account) = (None, None);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let every = self.throttle.every();
        let limits = self.throttle.limits;
        if let Some(source) = self.source {
            self.throttle.sources.charge(source, limits.per_source, every, self.now);
        }
        if let Some(account) = self.account {
            self.throttle.accounts.charge(account, limits.per_account, every, self.now);
        }
    }
}

impl Throttle {
    pub(crate) fn new(limits: GuessLimits, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            limits,
            sources: Tallies::default(),
            accounts: Tallies::default(),
            source_key: Mutex::default(),
            proofs: Proofs::default(),
            entropy,
        }
    }

    /// Lets a guess be checked, unless too many failed before it and no work is attached.
    ///
    /// # Errors
    /// `RateLimited` with a challenge.
    pub(crate) fn begin(
        &self,
        guess: Guess,
        source: Option<Source>,
        tag: AnonymousId,
        proof: Option<&Proof>,
        pepper: &Pepper,
        now: Timestamp,
    ) -> Result<Attempt<'_>, Error> {
        let source = source.map(|source| self.digest(source, now)).transpose()?;
        // A registration says nothing about the account's password, and must not count against whoever has it.
        let account = (guess != Guess::Register).then_some(tag);
        let by_source = source.map(|source| self.sources.excess(source, self.limits.per_source, self.every(), now));
        let by_account = account.map(|tag| self.accounts.excess(tag, self.limits.per_account, self.every(), now));
        let excess = by_source.max(by_account).unwrap_or(0);
        let attempt = Attempt { throttle: self, source, account, now };
        if excess == 0 {
            return Ok(attempt);
        }
        let difficulty = difficulty(excess);
        if proof.is_some_and(|proof| self.proofs.redeem(proof, pepper, (guess, tag), difficulty, now)) {
            return Ok(attempt);
        }
        attempt.forgive();
        let challenge = Proofs::challenge(pepper, (guess, tag), difficulty, now, &*self.entropy)?;
        Err(Error::RateLimited { retry_after: self.limits.forgiven_every * excess, challenge: Box::new(challenge) })
    }

    /// After how many milliseconds one failure is forgiven.
    fn every(&self) -> i64 {
        i64::try_from(self.limits.forgiven_every.as_millis()).unwrap_or(i64::MAX).max(1)
    }

    /// Removes the counts that have run off.
    pub(crate) fn tidy(&self, now: Timestamp) {
        self.sources.tidy(now);
        self.accounts.tidy(now);
    }

    fn digest(&self, source: Source, now: Timestamp) -> Result<SourceDigest, EntropyError> {
        let mut current = self.source_key.lock();
        let is_of_today = current.as_ref().is_some_and(|key| now.since(key.day) < DAY && now >= key.day);
        if !is_of_today {
            let key = Zeroizing::new(entropy::bytes(&*self.entropy)?);
            *current = Some(SourceKey { day: now.start_of_day(), key });
            // What was counted under the old key can no longer be told apart.
            self.sources.clear();
        }
        let key = current.as_ref().map(|current| current.key.clone()).unwrap_or_default();
        drop(current);
        Ok(SourceDigest(tag(&key, source)))
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn tag(key: &[u8; 32], source: Source) -> u128 {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    match source.0.to_canonical() {
        IpAddr::V4(address) => mac.update(&address.octets()),
        IpAddr::V6(address) => mac.update(&address.octets()[..8]),
    }
    let tag: [u8; 32] = mac.finalize().into_bytes().into();
    let mut first = [0; 16];
    first.copy_from_slice(&tag[..16]);
    u128::from_be_bytes(first)
}

/// One bit more for each doubling of the failures past the limit.
fn difficulty(excess: u32) -> u8 {
    let doublings = u8::try_from((1 + excess / 4).ilog2()).unwrap_or(u8::MAX);
    LEAST_DIFFICULTY.saturating_add(doublings).min(MOST_DIFFICULTY)
}

/// Counts that run off: of each key, when the last of its failures will be forgiven, in milliseconds.
#[derive(Debug)]
struct Tallies<K: Eq + Hash> {
    // `None` is everybody who came when there was no more room.
    clear_at: DashMap<Option<K>, i64>,
}

impl<K: Eq + Hash> Default for Tallies<K> {
    fn default() -> Self {
        Self { clear_at: DashMap::new() }
    }
}

impl<K: Eq + Hash + Copy> Tallies<K> {
    /// By how many failures one more would be past the limit.
    fn excess(&self, key: K, limit: u32, every: i64, now: Timestamp) -> u32 {
        let clear_at = self.clear_at.get(&self.slot(key)).map_or(0, |clear_at| *clear_at);
        let owed = (clear_at - now.as_millis()).max(0);
        let failures = owed.div_euclid(every) + i64::from(owed % every > 0) + 1;
        u32::try_from(failures).unwrap_or(u32::MAX).saturating_sub(limit)
    }

    /// Counts a failure.
    fn charge(&self, key: K, limit: u32, every: i64, now: Timestamp) {
        let now = now.as_millis();
        let mut clear_at = self.clear_at.entry(self.slot(key)).or_insert(now);
        let owed = (*clear_at).max(now).saturating_add(every) - now;
        let most = i64::from(limit.saturating_add(MAX_EXCESS)).saturating_mul(every);
        *clear_at = now + owed.min(most);
    }

    fn slot(&self, key: K) -> Option<K> {
        let has_room = self.clear_at.len() < MAX_COUNTED || self.clear_at.contains_key(&Some(key));
        has_room.then_some(key)
    }

    fn tidy(&self, now: Timestamp) {
        self.clear_at.retain(|_, clear_at| *clear_at > now.as_millis());
    }

    fn clear(&self) {
        self.clear_at.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Challenge;
    use crate::entropy::OsEntropy;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const TAG: AnonymousId = AnonymousId::from_bytes([1; 32]);

    fn throttle() -> Throttle {
        Throttle::new(GuessLimits::default(), Arc::new(OsEntropy))
    }

    fn source(number: u8) -> Source {
        Source::new(Ipv4Addr::new(192, 0, 2, number).into())
    }

    fn guess<'a>(
        throttle: &'a Throttle,
        source: Source,
        tag: AnonymousId,
        proof: Option<&Proof>,
        now: Timestamp,
    ) -> Result<Attempt<'a>, (Duration, Box<Challenge>)> {
        match throttle.begin(Guess::SignIn, Some(source), tag, proof, &Pepper::from_bytes([2; 32]), now) {
            Ok(attempt) => Ok(attempt),
            Err(Error::RateLimited { retry_after, challenge }) => Err((retry_after, challenge)),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_source_has_twenty_free_failures_and_one_more_every_half_minute() {
        let throttle = throttle();
        let tag = |number: u8| AnonymousId::from_bytes([number; 32]);
        for number in 0..20 {
            let _ = guess(&throttle, source(1), tag(number), None, NOW).unwrap();
        }
        let (retry_after, _) = guess(&throttle, source(1), tag(20), None, NOW).unwrap_err();
        assert_eq!(retry_after, Duration::from_secs(30));
        // Another source is not concerned, and nor is this one once it has waited.
        let _ = guess(&throttle, source(2), tag(20), None, NOW).unwrap();
        let later = NOW.after(retry_after);
        let _ = guess(&throttle, source(1), tag(20), None, later).unwrap();
        assert!(guess(&throttle, source(1), tag(20), None, later).is_err());
    }

    #[test]
    fn a_right_guess_does_not_count_and_a_refused_one_neither() {
        let throttle = throttle();
        for _ in 0..1_000 {
            guess(&throttle, source(1), TAG, None, NOW).unwrap().forgive();
        }
        for _ in 0..20 {
            let _ = guess(&throttle, source(1), TAG, None, NOW).unwrap();
        }
        for _ in 0..100 {
            let (retry_after, _) = guess(&throttle, source(1), TAG, None, NOW).unwrap_err();
            assert_eq!(retry_after, Duration::from_secs(30));
        }
    }

    #[test]
    fn many_at_once_do_not_keep_each_other_out_and_each_wrong_one_counts_at_its_end() {
        let throttle = throttle();
        let mut at_once: Vec<_> = (0..100).map(|_| guess(&throttle, source(1), TAG, None, NOW).unwrap()).collect();
        at_once.drain(..81).for_each(Attempt::forgive);
        assert!(guess(&throttle, source(1), TAG, None, NOW).map(Attempt::forgive).is_ok());
        drop(at_once);
        let _ = guess(&throttle, source(1), TAG, None, NOW).unwrap();
        assert!(guess(&throttle, source(1), TAG, None, NOW).is_err());
    }

    #[test]
    fn the_work_grows_with_the_failures_up_to_a_bound_and_runs_off_in_hours() {
        let throttle = throttle();
        let mut hardest = 0;
        for number in 0..1_000_u32 {
            // One source each, as whoever commands many machines has them.
            let from = Source::new(Ipv4Addr::from(0x0a00_0000 + number).into());
            match guess(&throttle, from, TAG, None, NOW) {
                Ok(_) => assert!(number < 50),
                Err((_, challenge)) => {
                    assert!(challenge.difficulty >= hardest && challenge.difficulty <= MOST_DIFFICULTY);
                    hardest = challenge.difficulty;
                    // As if the work had been done.
                    throttle.accounts.charge(TAG, 50, 30_000, NOW);
                }
            }
        }
        assert_eq!(hardest, MOST_DIFFICULTY);
        let (retry_after, _) = guess(&throttle, source(9), TAG, None, NOW).unwrap_err();
        assert_eq!(retry_after, Duration::from_secs(30) * (MAX_EXCESS + 1));
        let _ = guess(&throttle, source(9), TAG, None, NOW.after(retry_after)).unwrap();
    }

    #[test]
    fn a_proof_lets_one_guess_through() {
        let throttle = throttle();
        for _ in 0..20 {
            let _ = guess(&throttle, source(1), TAG, None, NOW).unwrap();
        }
        let (_, challenge) = guess(&throttle, source(1), TAG, None, NOW).unwrap_err();
        assert_eq!(challenge.difficulty, LEAST_DIFFICULTY);
        let proof = challenge.solve();
        let _ = guess(&throttle, source(1), TAG, Some(&proof), NOW).unwrap();
        assert!(guess(&throttle, source(1), TAG, Some(&proof), NOW).is_err());
    }

    #[test]
    fn one_ipv6_network_is_one_source_and_a_mapped_address_is_its_ipv4() {
        let key = [3; 32];
        let v6 = |network: u16, host: u16| Source::new(Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host).into());
        assert_eq!(tag(&key, v6(1, 1)), tag(&key, v6(1, 2)));
        assert_ne!(tag(&key, v6(1, 1)), tag(&key, v6(2, 1)));
        let plain = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(tag(&key, Source::new(plain.into())), tag(&key, Source::new(plain.to_ipv6_mapped().into())));
        assert_ne!(tag(&key, v6(1, 1)), tag(&[4; 32], v6(1, 1)));
    }

    #[test]
    fn the_key_of_sources_changes_with_the_day_and_counts_are_tidied_away() {
        let throttle = throttle();
        let today = throttle.digest(source(1), NOW).unwrap();
        assert_eq!(throttle.digest(source(1), NOW.start_of_day()).unwrap(), today);
        let _ = guess(&throttle, source(1), TAG, None, NOW).unwrap();
        throttle.tidy(NOW);
        assert_eq!((throttle.sources.clear_at.len(), throttle.accounts.clear_at.len()), (1, 1));
        throttle.tidy(NOW.after(Duration::from_secs(31)));
        assert_eq!((throttle.sources.clear_at.len(), throttle.accounts.clear_at.len()), (0, 0));
        assert_ne!(throttle.digest(source(1), NOW.after(DAY)).unwrap(), today);
    }
}
