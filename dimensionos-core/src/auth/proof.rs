//! Proof of work: what a caller pays who is past the limit of failed attempts, instead of being locked out.
//!
//! The server signs a challenge for one operation on one account; the caller finds a text that, after the challenge and
//! a dot, gives a SHA-256 with enough leading zero bits. A challenge is good for one use and two minutes.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::auth::Pepper;
use crate::entropy::{self, Entropy, EntropyError};
use crate::time::Timestamp;
use crate::users::AnonymousId;

/// How long a challenge is good, at the difficulty it was made with: a slow telephone works at the hardest for half a
/// minute. Whoever collects easy ones before an attack has two minutes of them, in which the server checks some thousand
/// passwords at most.
const LIFETIME: Duration = Duration::from_secs(120);
/// Characters a solution may have.
const MAX_SOLUTION_BYTES: usize = 64;

const LABEL: &[u8] = b"dimensionos/proof-of-work/v1";
const VERSION: u8 = 1;
const SIGNED_BYTES: usize = 1 + 1 + 8 + 16;
const MAC_BYTES: usize = 32;

/// What a proof is for: one is good for no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guess {
    Register,
    SignIn,
    Recover,
    PasswordCheck,
}

impl Guess {
    const fn number(self) -> u8 {
        match self {
            Self::Register => 1,
            Self::SignIn => 2,
            Self::Recover => 3,
            Self::PasswordCheck => 4,
        }
    }
}

/// What a proof is good for.
#[derive(Clone, Copy)]
pub(crate) struct Purpose<'a> {
    pub(crate) guess: Guess,
    pub(crate) tag: AnonymousId,
    pub(crate) pepper: &'a Pepper,
}

impl Purpose<'_> {
    fn message(&self, signed: &[u8]) -> Vec<u8> {
        [&[self.guess.number()], self.tag.as_bytes().as_slice(), signed].concat()
    }
}

/// Work that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The text to find a solution for.
    pub text: String,
    /// Zero bits that SHA-256 of text, a dot and the solution has to begin with: 2 to their number tries on average.
    pub difficulty: u8,
    /// Until when a solution is taken.
    pub expires_at: Timestamp,
}

impl Challenge {
    /// Does the work, on this thread.
    #[must_use]
    pub fn solve(&self) -> Proof {
        let start = Sha256::new().chain_update(&self.text).chain_update(".");
        let mut tries: u64 = 0;
        loop {
            let solution = tries.to_string();
            if zero_bits(&start.clone().chain_update(&solution).finalize().into()) >= u32::from(self.difficulty) {
                return Proof { challenge: self.text.clone(), solution };
            }
            tries += 1;
        }
    }
}

/// Work that was done: a challenge, and its solution.
#[derive(Clone)]
pub struct Proof {
    challenge: String,
    solution: String,
}

impl Proof {
    /// A solution to a challenge. Whether it is one shows when it is used.
    ///
    /// # Errors
    /// `InvalidInput` where either text cannot be one.
    pub fn new(challenge: impl Into<String>, solution: impl Into<String>) -> Result<Self, Error> {
        let (challenge, solution) = (challenge.into(), solution.into());
        let is_solution = (1..=MAX_SOLUTION_BYTES).contains(&solution.len());
        if !is_solution || !solution.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(Error::invalid("proof", "the solution is not 1 to 64 characters of ASCII"));
        }
        if Issued::read(&challenge).is_none() {
            return Err(Error::invalid("proof", "the challenge is not one of this server's form"));
        }
        Ok(Self { challenge, solution })
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

/// A challenge as the server reads it back.
struct Issued {
    signed: [u8; SIGNED_BYTES],
    mac: [u8; MAC_BYTES],
}

impl Issued {
    fn read(text: &str) -> Option<Self> {
        // Longer texts are not even decoded.
        let bytes = (text.len() <= 128).then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten()?;
        let (signed, mac) = bytes.split_at_checked(SIGNED_BYTES)?;
        let issued = Self { signed: signed.try_into().ok()?, mac: mac.try_into().ok()? };
        (issued.signed[0] == VERSION).then_some(issued)
    }

    const fn difficulty(&self) -> u8 {
        self.signed[1]
    }

    fn expires_at(&self) -> Timestamp {
        let mut millis = [0; 8];
        millis.copy_from_slice(&self.signed[2..10]);
        Timestamp::from_millis(i64::from_be_bytes(millis))
    }

    fn nonce(&self) -> [u8; 16] {
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&self.signed[10..]);
        nonce
    }
}

/// Makes challenges, and takes each proof once.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    used: Mutex<Used>,
}

/// A proof that was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent([u8; 16]);

/// The nonces used in this stretch of a lifetime and the one before it: every older challenge has run out.
#[derive(Debug, Default)]
struct Used {
    began_at: Timestamp,
    before: HashSet<[u8; 16]>,
    now: HashSet<[u8; 16]>,
}

impl Proofs {
    pub(crate) fn challenge(
        purpose: Purpose<'_>,
        difficulty: u8,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Challenge, EntropyError> {
        let expires_at = now.after(LIFETIME);
        let mut bytes = Vec::with_capacity(SIGNED_BYTES + MAC_BYTES);
        bytes.extend([VERSION, difficulty]);
        bytes.extend(expires_at.as_millis().to_be_bytes());
        bytes.extend(entropy::bytes::<16>(entropy)?);
        let mac = purpose.pepper.tag(LABEL, &purpose.message(&bytes));
        bytes.extend(mac);
        Ok(Challenge { text: URL_SAFE_NO_PAD.encode(bytes), difficulty, expires_at })
    }

    /// Takes a proof that is of that purpose, in time and new; from now on it is spent. It is good at the difficulty it
    /// was asked for with, also where more is asked for by now: whoever does the work is not sent back.
    pub(crate) fn redeem(&self, proof: &Proof, purpose: Purpose<'_>, now: Timestamp) -> Option<Spent> {
        let issued = Issued::read(&proof.challenge)?;
        let digest = Sha256::new().chain_update(&proof.challenge).chain_update(".").chain_update(&proof.solution);
        let is_good = issued.expires_at() > now
            && zero_bits(&digest.finalize().into()) >= u32::from(issued.difficulty())
            && purpose.pepper.verify(LABEL, &purpose.message(&issued.signed), &issued.mac)
            && self.spend(issued.nonce(), now);
        is_good.then(|| Spent(issued.nonce()))
    }

    /// Makes a proof good again that was taken for a call that was not answered.
    pub(crate) fn give_back(&self, Spent(nonce): Spent) {
        let mut used = self.used.lock();
        used.before.remove(&nonce);
        used.now.remove(&nonce);
    }

    fn spend(&self, nonce: [u8; 16], now: Timestamp) -> bool {
        let mut used = self.used.lock();
        // Also after a clock was set back by that much: no challenge lasts longer.
        if now.since(used.began_at).max(used.began_at.since(now)) >= LIFETIME {
            used.before = std::mem::take(&mut used.now);
            used.began_at = now;
        }
        !used.before.contains(&nonce) && used.now.insert(nonce)
    }
}

fn zero_bits(digest: &[u8; 32]) -> u32 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const PURPOSE: (Guess, AnonymousId) = (Guess::SignIn, AnonymousId::from_bytes([1; 32]));

    fn with<T>((guess, tag): (Guess, AnonymousId), act: impl FnOnce(Purpose<'_>) -> T) -> T {
        act(Purpose { guess, tag, pepper: &Pepper::from_bytes([7; 32]) })
    }

    fn challenge(difficulty: u8) -> Challenge {
        with(PURPOSE, |purpose| Proofs::challenge(purpose, difficulty, NOW, &OsEntropy).unwrap())
    }

    fn redeem(proofs: &Proofs, proof: &Proof, purpose: (Guess, AnonymousId), now: Timestamp) -> bool {
        with(purpose, |purpose| proofs.redeem(proof, purpose, now)).is_some()
    }

    #[test]
    fn a_proof_is_good_once_for_its_own_purpose_in_its_time() {
        let proofs = Proofs::default();
        let proof = challenge(8).solve();
        let other_account = (Guess::SignIn, AnonymousId::from_bytes([2; 32]));
        let other_operation = (Guess::Recover, PURPOSE.1);
        assert!(!redeem(&proofs, &proof, other_account, NOW));
        assert!(!redeem(&proofs, &proof, other_operation, NOW));
        assert!(!redeem(&proofs, &proof, PURPOSE, NOW.after(LIFETIME)));
        assert!(redeem(&proofs, &proof, PURPOSE, NOW));
        assert!(!redeem(&proofs, &proof, PURPOSE, NOW));
    }

    #[test]
    fn a_spent_proof_stays_spent_until_it_has_run_out() {
        let proofs = Proofs::default();
        // Whenever others are spent meanwhile, and whatever the clocks of other threads say.
        let step = Duration::from_secs(24);
        let first = challenge(4).solve();
        let at = |steps: u32| NOW.after(step * steps);
        let other = |now| with(PURPOSE, |purpose| Proofs::challenge(purpose, 4, now, &OsEntropy).unwrap()).solve();
        assert!(redeem(&proofs, &other(NOW.before(step * 4)), PURPOSE, NOW.before(step * 4)));
        assert!(redeem(&proofs, &first, PURPOSE, NOW));
        for steps in 1..5 {
            assert!(redeem(&proofs, &other(at(steps)), PURPOSE, at(steps)));
            let behind = at(steps).before(Duration::from_millis(1));
            assert!(redeem(&proofs, &other(behind), PURPOSE, behind));
            assert!(!redeem(&proofs, &first, PURPOSE, at(steps)), "{steps}");
        }
    }

    #[test]
    fn a_forged_challenge_and_a_wrong_solution_are_refused() {
        let proofs = Proofs::default();
        let challenge = challenge(12);
        let wrong = (0..100).map(|n| format!("w{n}")).find(|solution| {
            let digest = Sha256::digest(format!("{}.{solution}", challenge.text)).into();
            zero_bits(&digest) < 12
        });
        let wrong = Proof::new(challenge.text.clone(), wrong.unwrap()).unwrap();
        assert!(!redeem(&proofs, &wrong, PURPOSE, NOW));
        // An easier one, made by changing the difficulty in the text.
        let mut bytes = URL_SAFE_NO_PAD.decode(&challenge.text).unwrap();
        bytes[1] = 0;
        let easier = Challenge { text: URL_SAFE_NO_PAD.encode(bytes), difficulty: 0, ..challenge };
        assert!(!redeem(&proofs, &easier.solve(), PURPOSE, NOW));
    }

    #[test]
    fn what_is_no_proof_is_refused_at_the_door() {
        let text = challenge(1).text;
        for (challenge, solution) in [("", "1"), ("abc", "1"), (&text, ""), (&text, "a b"), (&text, &"1".repeat(65))] {
            assert!(Proof::new(challenge, solution).is_err(), "{challenge} {solution}");
        }
        assert!(Proof::new(text, "1").is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(challenge in ".{0,200}", solution in ".{0,80}") {
            if let Ok(proof) = Proof::new(challenge, solution) {
                prop_assert!(!redeem(&Proofs::default(), &proof, PURPOSE, NOW));
            }
        }
    }
}
