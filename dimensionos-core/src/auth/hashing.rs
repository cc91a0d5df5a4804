//! Slow work on few threads: hashing never takes the cores from everything else.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::Error;
use crate::auth::{Keys, Password, PasswordHash};
use crate::entropy::{self, Entropy};

/// bcrypt's cost: the binary logarithm of its rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashCost(u32);

impl HashCost {
    /// 12: a fifth of a second of one core, four times OWASP's floor.
    pub const DEFAULT: Self = Self(12);
    /// 10, below which a stolen hash is too cheap to guess at.
    pub const MIN: Self = Self(10);
    /// 31, the highest bcrypt knows.
    pub const MAX: Self = Self(31);

    /// A cost of 10 to 31.
    ///
    /// # Errors
    /// `InvalidInput` outside that range.
    pub fn new(cost: u32) -> Result<Self, Error> {
        if (Self::MIN.0..=Self::MAX.0).contains(&cost) {
            Ok(Self(cost))
        } else {
            Err(Error::invalid("bcryptCost", "not between 10 and 31"))
        }
    }

    /// A cost no deployment may have: for tests that are about something else.
    #[cfg(feature = "testing")]
    #[must_use]
    pub const fn for_tests() -> Self {
        Self(4)
    }
}

/// How much hashing is done at once, and how much may wait for it.
#[derive(Debug, Clone, Copy)]
pub struct HashingLimits {
    /// Hashes under way at once. Default: one a core, for more of them would only take turns.
    pub threads: NonZeroUsize,
    /// Hashes waiting. Default 64: at cost 12 on two cores the last of them waits six seconds, about as long as a
    /// person does.
    pub queue: usize,
}

impl Default for HashingLimits {
    fn default() -> Self {
        Self { threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN), queue: 64 }
    }
}

/// What a refused caller is told to wait: about the time in which a full queue is worked off by half.
const RETRY_AFTER: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct Passwords {
    cost: HashCost,
    limits: HashingLimits,
    threads: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    entropy: Arc<dyn Entropy>,
    keys: Keys,
}

impl Passwords {
    pub(crate) fn new(cost: HashCost, limits: HashingLimits, entropy: Arc<dyn Entropy>, keys: Keys) -> Self {
        let threads = Arc::new(Semaphore::new(limits.threads.get()));
        Self { cost, limits, threads, waiting: Arc::default(), entropy, keys }
    }

    /// Hashes a password that is new, unless it would be guessed. Estimating that takes milliseconds, so it is done on
    /// the same few threads.
    pub(crate) async fn hash_strong(&self, password: &Password) -> Result<PasswordHash, Error> {
        let estimated = password.clone();
        self.run(move || estimated.check_strength()).await??;
        self.hash(password).await
    }

    pub(crate) async fn hash(&self, password: &Password) -> Result<PasswordHash, Error> {
        let pepper = self.keys.first_pepper();
        let keyed = password.keyed(pepper);
        let salt = entropy::bytes::<16>(&*self.entropy)?;
        let cost = self.cost.0;
        let bcrypt = self.run(move || bcrypt::hash_with_salt(keyed.as_bytes(), cost, salt)).await?;
        let bcrypt = bcrypt.map_err(|_| Error::Internal { what: "bcrypt refused to hash" })?.to_string();
        Ok(PasswordHash { bcrypt, pepper: pepper.id() })
    }

    /// Whether the password is the one that was hashed. Without a hash it takes as long and says no, so that nobody
    /// learns from the time whether an account exists.
    pub(crate) async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<bool, Error> {
        let known = hash.and_then(|hash| Some((self.keys.pepper(hash.pepper)?, hash.bcrypt.clone())));
        let Some((pepper, bcrypt)) = known else {
            self.hash(password).await?;
            return Ok(false);
        };
        let keyed = password.keyed(pepper);
        let verified = self.run(move || bcrypt::verify(keyed.as_bytes(), &bcrypt)).await?;
        verified.map_err(|_| Error::Internal { what: "a stored password hash is malformed" })
    }

    /// Whether a verified hash should be made anew: under the first pepper, at the present cost.
    pub(crate) fn is_outdated(&self, hash: &PasswordHash) -> bool {
        let cost = hash.bcrypt.split('$').nth(2).and_then(|cost| cost.parse().ok());
        hash.pepper != self.keys.first_pepper().id() || cost.is_none_or(|cost: u32| cost < self.cost.0)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let place = Place::take(Arc::clone(&self.waiting), self.limits)?;
        let thread = Arc::clone(&self.threads).acquire_owned().await;
        let thread = thread.map_err(|_| Error::Internal { what: "hashing has stopped" })?;
        // Both go with the work and not with whoever waits for it: a caller that hangs up stops waiting, but the hash
        // it asked for goes on, and holds its thread until it is done.
        let task = tokio::task::spawn_blocking(move || {
            let _held = (place, thread);
            work()
        });
        task.await.map_err(|_| Error::Internal { what: "hashing was cut off" })
    }
}

/// A place in the queue or at work, given up when dropped; a caller that goes away while it waits gives it up too.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: Arc<AtomicUsize>, limits: HashingLimits) -> Result<Self, Error> {
        let places = limits.threads.get() + limits.queue;
        let taken = waiting.fetch_add(1, Ordering::AcqRel);
        let place = Self(waiting);
        if taken >= places { Err(Error::Busy { retry_after: RETRY_AFTER }) } else { Ok(place) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;

    fn passwords(queue: usize) -> Passwords {
        let limits = HashingLimits { threads: NonZeroUsize::MIN, queue };
        Passwords::new(HashCost::for_tests(), limits, Arc::new(OsEntropy), Keys::generate(&OsEntropy).unwrap())
    }

    #[tokio::test]
    async fn a_password_opens_its_own_hash_and_no_other() {
        let passwords = passwords(1);
        let right = Password::new("violet harbour kestrel 41").unwrap();
        let wrong = Password::new("violet harbour kestrel 42").unwrap();
        let hash = passwords.hash(&right).await.unwrap();
        assert!(passwords.verify(&right, Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&wrong, Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&right, None).await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_caller_that_hangs_up_frees_no_thread_before_its_work_is_done() {
        let passwords = Arc::new(passwords(100));
        let (at_work, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let (passwords, at_work, most) = (Arc::clone(&passwords), Arc::clone(&at_work), Arc::clone(&most));
                tokio::spawn(async move {
                    let work = move || {
                        most.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(5));
                        at_work.fetch_sub(1, Ordering::SeqCst);
                    };
                    passwords.run(work).await
                })
            })
            .collect();
        for caller in callers {
            tokio::time::sleep(Duration::from_millis(1)).await;
            caller.abort();
            let _ = caller.await;
        }
        // The one thread has all places back once the last work is done.
        passwords.run(|| ()).await.unwrap();
        assert_eq!(most.load(Ordering::SeqCst), 1);
        assert_eq!(passwords.waiting.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn past_the_queue_the_answer_is_busy_and_places_come_back() {
        let passwords = passwords(0);
        let password = Password::new("violet harbour kestrel 41").unwrap();
        let (one, two) = tokio::join!(passwords.hash(&password), passwords.hash(&password));
        assert!(one.is_ok());
        assert!(matches!(two, Err(Error::Busy { .. })));
        assert!(passwords.hash(&password).await.is_ok());
    }
}
