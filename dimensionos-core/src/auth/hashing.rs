//! Slow work on few threads: hashing never takes the cores from everything else.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::Error;
use crate::auth::password::PasswordRule;
use crate::auth::{Keys, Password, PasswordHash, Pepper};
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

impl HashingLimits {
    /// Hashes under way and waiting.
    pub(crate) const fn places(self) -> usize {
        self.threads.get().saturating_add(self.queue)
    }
}

impl Default for HashingLimits {
    fn default() -> Self {
        Self { threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN), queue: 64 }
    }
}

/// What a refused caller is told to wait: about the time in which a full queue is worked off by half.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct Passwords {
    cost: HashCost,
    /// The highest cost of any hash that was met: what is slower to refuse than the rest would tell who has an account.
    highest: AtomicU32,
    limits: HashingLimits,
    workers: Workers,
    waiting: Arc<AtomicUsize>,
    entropy: Arc<dyn Entropy>,
}

impl Passwords {
    pub(crate) fn new(cost: HashCost, limits: HashingLimits, entropy: Arc<dyn Entropy>) -> Self {
        let places = limits.places();
        let highest = AtomicU32::new(cost.0);
        Self {
            cost,
            highest,
            limits,
            workers: Workers::start(limits.threads, places),
            waiting: Arc::default(),
            entropy,
        }
    }

    /// Hashes a password that is new, unless it would be guessed. Estimating that takes milliseconds, so it is done on
    /// the same few threads.
    pub(crate) async fn hash_strong(
        &self,
        password: &Password,
        rule: PasswordRule,
        pepper: &Pepper,
    ) -> Result<PasswordHash, Error> {
        let estimated = password.clone();
        self.run(move || estimated.check_strength(rule)).await??;
        self.hash(password, pepper).await
    }

    pub(crate) async fn hash(&self, password: &Password, pepper: &Pepper) -> Result<PasswordHash, Error> {
        self.hash_at(self.cost.0, password, pepper).await
    }

    async fn hash_at(&self, cost: u32, password: &Password, pepper: &Pepper) -> Result<PasswordHash, Error> {
        let keyed = password.keyed(pepper);
        let salt = entropy::bytes::<16>(&*self.entropy)?;
        let bcrypt = self.run(move || bcrypt::hash_with_salt(keyed.as_bytes(), cost, salt)).await?;
        let bcrypt = bcrypt.map_err(|_| REFUSED)?.to_string();
        Ok(PasswordHash { bcrypt, pepper: pepper.id() })
    }

    /// Whether the password is the one that was hashed. Without a hash it takes as long and says no, so that nobody
    /// learns from the time whether an account exists.
    pub(crate) async fn verify(
        &self,
        password: &Password,
        hash: Option<&PasswordHash>,
        keys: &Keys,
    ) -> Result<bool, Error> {
        let known = hash.and_then(|hash| Some((keys.pepper(hash.pepper)?, hash.bcrypt.clone())));
        let Some((pepper, bcrypt)) = known else {
            self.hash_at(self.highest.load(Ordering::Relaxed), password, keys.first_pepper()).await?;
            return Ok(false);
        };
        let keyed = password.keyed(pepper);
        let cost = cost_of(&bcrypt).unwrap_or(self.cost.0);
        let lower = cost..self.highest.fetch_max(cost, Ordering::Relaxed);
        let salt = entropy::bytes::<16>(&*self.entropy)?;
        let verified = self.run(move || {
            let is_right = bcrypt::verify(keyed.as_bytes(), &bcrypt)?;
            if !is_right {
                // A hash of a lower cost is done sooner than an unknown account's. One more of each cost from its own to
                // the highest makes up the difference exactly: 2^c + 2^c + 2^(c+1) + … = 2^C.
                for cost in lower {
                    bcrypt::hash_with_salt(keyed.as_bytes(), cost, salt)?;
                }
            }
            Ok::<_, bcrypt::BcryptError>(is_right)
        });
        verified.await?.map_err(|_| Error::Internal { what: "a stored password hash is malformed" })
    }

    /// Whether a verified hash should be made anew: under the first pepper, at the present cost.
    pub(crate) fn is_outdated(&self, hash: &PasswordHash, keys: &Keys) -> bool {
        hash.pepper != keys.first_pepper().id() || cost_of(&hash.bcrypt).is_none_or(|cost| cost < self.cost.0)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let place = Place::take(Arc::clone(&self.waiting), self.limits)?;
        let (done, result) = oneshot::channel();
        // The place goes with the work and not with whoever waits for it: a hash that has begun holds its thread until it
        // is done, also where its caller has hung up; one that has not begun by then never does.
        self.workers.put(Box::new(move || {
            if !done.is_closed() {
                let result = work();
                drop(place);
                let _ = done.send(result);
            }
        }))?;
        result.await.map_err(|_| Error::Internal { what: "hashing was cut off" })
    }
}

const REFUSED: Error = Error::Internal { what: "bcrypt refused to hash" };

/// The cost a hash was made at.
fn cost_of(bcrypt: &str) -> Option<u32> {
    bcrypt.split('$').nth(2).and_then(|cost| cost.parse().ok())
}

type Work = Box<dyn FnOnce() + Send>;

/// Threads that do nothing else, and give way to all others: where every core hashes, whoever asks for something quick
/// still gets a core at once. They end with the last handle.
#[derive(Debug)]
struct Workers {
    queue: SyncSender<Work>,
}

/// By how much these threads give way: as far as it goes. While they fill every core, the 99th percentile of a quick
/// request is some two times that of an idle server; at 10 it was more than three times. Alone on the cores they lose
/// nothing, and among services of one machine it is the services' shares that count, not this.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 19;

impl Workers {
    fn start(threads: NonZeroUsize, places: usize) -> Self {
        let (queue, waiting) = mpsc::sync_channel::<Work>(places);
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads.get() {
            let waiting = Arc::clone(&waiting);
            let started = std::thread::Builder::new().name(format!("hashing-{number}")).spawn(move || {
                // On Linux this is of the calling thread alone. Where it is refused, hashing merely competes.
                #[cfg(target_os = "linux")]
                let _ = rustix::process::setpriority_process(None, NICENESS);
                loop {
                    let next = waiting.lock().recv();
                    let Ok(work) = next else { return };
                    // A panic ends that one hash, whose caller is told, and not the thread.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                }
            });
            if let Err(error) = started {
                tracing::error!(error = &error as &dyn std::error::Error, "a thread for hashing could not be started");
            }
        }
        Self { queue }
    }

    fn put(&self, work: Work) -> Result<(), Error> {
        // There is room for every place that `Place` gives out.
        self.queue.try_send(work).map_err(|_| Error::Busy { retry_after: RETRY_AFTER })
    }
}

/// A place in the queue or at work, given up when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: Arc<AtomicUsize>, limits: HashingLimits) -> Result<Self, Error> {
        let taken = waiting.fetch_add(1, Ordering::AcqRel);
        let place = Self(waiting);
        if taken >= limits.places() { Err(Error::Busy { retry_after: RETRY_AFTER }) } else { Ok(place) }
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
        Passwords::new(HashCost::for_tests(), limits, Arc::new(OsEntropy))
    }

    fn keys() -> Keys {
        Keys::generate(&OsEntropy).unwrap()
    }

    #[tokio::test]
    async fn a_password_opens_its_own_hash_and_no_other() {
        let passwords = passwords(1);
        let right = Password::new("violet harbour kestrel 41").unwrap();
        let wrong = Password::new("violet harbour kestrel 42").unwrap();
        let keys = keys();
        let hash = passwords.hash(&right, keys.first_pepper()).await.unwrap();
        assert!(passwords.verify(&right, Some(&hash), &keys).await.unwrap());
        assert!(!passwords.verify(&wrong, Some(&hash), &keys).await.unwrap());
        assert!(!passwords.verify(&right, None, &keys).await.unwrap());
        // Under another pepper the hash says nothing.
        let others = Keys::generate(&OsEntropy).unwrap();
        assert!(!passwords.verify(&right, Some(&hash), &others).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_opens_and_is_outdated_where_it_is_lower() {
        let at = |cost| {
            let limits = HashingLimits { threads: NonZeroUsize::MIN, queue: 1 };
            Passwords::new(HashCost(cost), limits, Arc::new(OsEntropy))
        };
        let (keys, password) = (keys(), Password::new("violet harbour kestrel 41").unwrap());
        let wrong = Password::new("violet harbour kestrel 42").unwrap();
        let hash = at(4).hash(&password, keys.first_pepper()).await.unwrap();
        assert!(at(6).verify(&password, Some(&hash), &keys).await.unwrap());
        assert!(!at(6).verify(&wrong, Some(&hash), &keys).await.unwrap());
        assert_eq!([3, 4, 5].map(|cost| at(cost.max(4)).is_outdated(&hash, &keys)), [false, false, true]);
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
        let keys = keys();
        let pepper = keys.first_pepper();
        let (one, two) = tokio::join!(passwords.hash(&password, pepper), passwords.hash(&password, pepper));
        assert!(one.is_ok());
        assert!(matches!(two, Err(Error::Busy { .. })));
        assert!(passwords.hash(&password, pepper).await.is_ok());
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_work_alone() {
        let passwords = passwords(1);
        assert!(matches!(passwords.run(|| panic!("on purpose")).await.map(|(): ()| ()), Err(Error::Internal { .. })));
        assert_eq!(passwords.run(|| 7).await.unwrap(), 7);
    }
}
