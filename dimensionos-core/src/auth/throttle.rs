//! Limits on guessing that cannot be turned against whoever is guessed at.
//!
//! Failures are counted by source and, loosely, by account; each count runs off with time. Past a limit nobody is locked
//! out: whoever attaches a proof of work, harder the more failures there are, goes on at once.

use std::collections::VecDeque;
use std::fmt;
use std::hash::BuildHasher;
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
use crate::auth::hashing::RETRY_AFTER;
use crate::auth::proof::{Guess, Proof, Proofs, Purpose, Spent};
use crate::auth::tally::{Rule, Tallies};
use crate::entropy::{self, Entropy, EntropyError};
use crate::time::Timestamp;
use crate::tos::detectors::{SignIn, SignInParameters, SignIns};
use crate::tos::{Finding, Flag};
use crate::users::AnonymousId;

/// Where a call comes from. It is used to count failures, as a digest under a key that lives in memory for a day, and
/// is never stored, logged or shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Source(IpAddr);

impl Source {
    /// The source of that address. One IPv6 network of 64 bits counts as one: whoever has one has all its addresses. An
    /// IPv4 address that is written as an IPv6 one, as a listener for both hears it, is the IPv4 address.
    #[must_use]
    pub const fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// A hash under a key of the caller's own, the same for all that count as one.
    pub fn hash_with(&self, key: &impl BuildHasher) -> u64 {
        match self.0 {
            IpAddr::V4(address) => key.hash_one(address.octets()),
            IpAddr::V6(address) => key.hash_one(&address.octets()[..8]),
        }
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

/// Bits of the first proof past the limit: some hundredths of a second natively, half a second in a script.
const LEAST_DIFFICULTY: u8 = 16;
/// Bits of the hardest: half a second of a core natively, some ten in a script. One more guess then costs whoever guesses
/// by processor about what its hash costs the server.
const MOST_DIFFICULTY: u8 = 22;

const DAY: Duration = Duration::from_hours(24);

#[derive(Debug)]
pub(crate) struct Throttle {
    limits: GuessLimits,
    /// Guesses of one source that are under way at once: half of what may wait for a hash, so that no source can keep all
    /// others out.
    at_once: usize,
    sources: Tallies<SourceDigest>,
    accounts: Tallies<AnonymousId>,
    under_way: DashMap<SourceDigest, usize>,
    source_key: Mutex<Option<SourceKey>>,
    proofs: Proofs,
    entropy: Arc<dyn Entropy>,
    watch: Mutex<Watch>,
}

/// Sources whose sign-ins are looked at: a quarter of a megabyte, and the least suspicious make room.
const WATCHED_SOURCES: usize = 1_024;
/// What was found about sign-ins that is remembered: what operators look at in a day of attacks.
const REMEMBERED_FLAGS: usize = 100;

/// Who tries passwords, and whether the whole service is tried: beside the limits, which slow each of them down, for
/// operators to know.
#[derive(Debug)]
struct Watch {
    sign_ins: SignIns,
    /// What was found, newest last. Of a source it says no more than that there is one.
    flags: VecDeque<Flag>,
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

/// Somebody who is about to guess.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guesser<'a> {
    pub(crate) guess: Guess,
    pub(crate) source: Option<Source>,
    pub(crate) tag: AnonymousId,
    pub(crate) proof: Option<&'a Proof>,
}

/// A guess that is about to be checked. It counts as a failure when it is dropped, unless its verdict says otherwise:
/// whoever hangs up before has guessed all the same.
///
/// It counts only then, and not from its beginning, so that many who sign in at once do not keep each other out. What
/// an attacker gains by guessing all at once is the few that one source may have under way.
#[derive(Debug)]
#[must_use]
pub(crate) struct Attempt<'a> {
    throttle: &'a Throttle,
    source: Option<SourceDigest>,
    account: Option<AnonymousId>,
    /// The work that was done for it.
    work: Option<Spent>,
    is_forgiven: bool,
    /// Whether it is about a password, and so one sign-in more that may have failed.
    is_sign_in: bool,
    has_succeeded: bool,
    now: Timestamp,
}

impl Attempt<'_> {
    /// Passes on what a guess came to. Only a wrong one counts, and work is spent only on one that was checked.
    pub(crate) fn judged<T>(mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        match &outcome {
            Err(Error::InvalidCredentials | Error::IdentityUnavailable) => {}
            Ok(_) => (self.is_forgiven, self.has_succeeded) = (true, true),
            Err(_) => {
                (self.is_forgiven, self.is_sign_in) = (true, false);
                if let Some(work) = self.work {
                    self.throttle.proofs.give_back(work);
                }
            }
        }
        outcome
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let throttle = self.throttle;
        if let Some(source) = self.source {
            throttle.leave(source);
            if let Some(account) = self.account.filter(|_| self.is_sign_in) {
                throttle.watch(source, account, self.has_succeeded, self.now);
            }
        }
        if self.is_forgiven {
            return;
        }
        // A source past its own limit cannot charge an account with failures that it did no work for: else one source
        // alone could make it hard for an account's holder.
        let source_may =
            self.source.is_none_or(|source| throttle.sources.excess(source, throttle.by_source(), self.now) == 0);
        if let Some(source) = self.source {
            throttle.sources.charge(source, throttle.by_source(), self.now);
        }
        if let Some(account) = self.account.filter(|_| source_may || self.work.is_some()) {
            throttle.accounts.charge(account, throttle.by_account(), self.now);
        }
    }
}

impl Throttle {
    pub(crate) fn new(limits: GuessLimits, at_once: usize, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            limits,
            at_once,
            sources: Tallies::default(),
            accounts: Tallies::default(),
            under_way: DashMap::new(),
            source_key: Mutex::default(),
            proofs: Proofs::default(),
            entropy,
            watch: Mutex::new(Watch { sign_ins: SignIns::new(WATCHED_SOURCES), flags: VecDeque::new() }),
        }
    }

    /// Lets a guess be checked, unless too many failed before it and no work is attached.
    ///
    /// # Errors
    /// `RateLimited` with a challenge; `Busy` where its source has too many under way.
    pub(crate) fn begin(&self, guesser: Guesser<'_>, pepper: &Pepper, now: Timestamp) -> Result<Attempt<'_>, Error> {
        let Guesser { guess, source, tag, proof } = guesser;
        let source = source.map(|source| self.digest(source, now)).transpose()?;
        // A registration says nothing about the account's password, and must not count against whoever has it.
        let account = (guess != Guess::Register).then_some(tag);
        let by_source = source.map(|source| self.sources.excess(source, self.by_source(), now));
        let by_account = account.map(|tag| self.accounts.excess(tag, self.by_account(), now));
        let excess = by_source.max(by_account).unwrap_or(0);
        let difficulty = difficulty(excess);
        let purpose = Purpose { guess, tag, pepper };
        let mut work = None;
        if excess > 0 {
            work = proof.and_then(|proof| self.proofs.redeem(proof, purpose, now));
            if work.is_none() {
                let challenge = Box::new(Proofs::challenge(purpose, difficulty, now, &*self.entropy)?);
                let retry_after = self.limits.forgiven_every.saturating_mul(excess);
                return Err(Error::RateLimited { retry_after, challenge });
            }
        }
        if let Err(busy) = source.map_or(Ok(()), |source| self.enter(source)) {
            work.into_iter().for_each(|work| self.proofs.give_back(work));
            return Err(busy);
        }
        let is_sign_in = matches!(guess, Guess::SignIn | Guess::Recover);
        Ok(Attempt { throttle: self, source, account, work, is_forgiven: false, is_sign_in, has_succeeded: false, now })
    }

    /// Looks at a sign-in beside all others.
    fn watch(&self, SourceDigest(source): SourceDigest, account: AnonymousId, has_succeeded: bool, now: Timestamp) {
        #[expect(clippy::cast_possible_truncation, reason = "half of a digest is as good a tag")]
        let source = source as u64;
        let name = account.as_bytes().iter().take(8).fold(0, |name, byte| name << 8 | u64::from(*byte));
        let sign_in = SignIn { source, name, has_succeeded };
        let Watch { sign_ins, flags } = &mut *self.watch.lock();
        sign_ins.take(now, &sign_in, &SignInParameters::default(), &mut |_, finding| {
            let Finding::Raised(flag) = finding else { return };
            tracing::warn!(rule = %flag.rule, observed = flag.figure.observed, limit = flag.figure.limit, "passwords are tried");
            if flags.len() == REMEMBERED_FLAGS {
                flags.pop_front();
            }
            flags.push_back(flag);
        });
    }

    /// What was found about sign-ins, newest first.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        self.watch.lock().flags.iter().rev().copied().collect()
    }

    fn enter(&self, source: SourceDigest) -> Result<(), Error> {
        let mut under_way = self.under_way.entry(source).or_insert(0);
        if *under_way >= self.at_once {
            return Err(Error::Busy { retry_after: RETRY_AFTER });
        }
        *under_way += 1;
        Ok(())
    }

    fn leave(&self, source: SourceDigest) {
        self.under_way.remove_if_mut(&source, |_, under_way| {
            *under_way = under_way.saturating_sub(1);
            *under_way == 0
        });
    }

    fn by_source(&self) -> Rule {
        Rule { limit: self.limits.per_source, every: self.every() }
    }

    fn by_account(&self) -> Rule {
        Rule { limit: self.limits.per_account, every: self.every() }
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

#[cfg(test)]
mod tests;
