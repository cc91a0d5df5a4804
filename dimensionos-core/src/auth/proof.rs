//! Proof of work: what a caller pays who is past the limit of failed attempts, instead of being locked out.
//!
//! The server signs a challenge for one operation on one account; the caller finds a text that, after the challenge and
//! a dot, gives a SHA-256 with enough leading zero bits. A challenge is good for one use and five minutes.

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

/// How long a challenge is good: a slow telephone works at the hardest for a minute or two.
const LIFETIME: Duration = Duration::from_secs(300);
/// Bits that the demand may have risen since a challenge was made: whoever worked on it is not sent back for that, and
/// whoever kept easy ones for an attack gains a factor of four.
const RISE_ALLOWED: u8 = 2;
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
    spent: Mutex<Spent>,
}

/// The nonces used in this stretch of a lifetime and the one before it: every older challenge has run out.
#[derive(Debug, Default)]
struct Spent {
    began_at: Timestamp,
    before: HashSet<[u8; 16]>,
    now: HashSet<[u8; 16]>,
}

impl Proofs {
    pub(crate) fn challenge(
        pepper: &Pepper,
        purpose: (Guess, AnonymousId),
        difficulty: u8,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Challenge, EntropyError> {
        let expires_at = now.after(LIFETIME);
        let mut bytes = Vec::with_capacity(SIGNED_BYTES + MAC_BYTES);
        bytes.extend([VERSION, difficulty]);
        bytes.extend(expires_at.as_millis().to_be_bytes());
        bytes.extend(entropy::bytes::<16>(entropy)?);
        let mac = pepper.tag(LABEL, &message(purpose, &bytes));
        bytes.extend(mac);
        Ok(Challenge { text: URL_SAFE_NO_PAD.encode(bytes), difficulty, expires_at })
    }

    /// Whether the proof is of that purpose, hard enough, in time and new; from now on it is spent.
    pub(crate) fn redeem(
        &self,
        proof: &Proof,
        pepper: &Pepper,
        purpose: (Guess, AnonymousId),
        demanded: u8,
        now: Timestamp,
    ) -> bool {
        let Some(issued) = Issued::read(&proof.challenge) else { return false };
        let digest = Sha256::new().chain_update(&proof.challenge).chain_update(".").chain_update(&proof.solution);
        issued.expires_at() > now
            && issued.difficulty().saturating_add(RISE_ALLOWED) >= demanded
            && zero_bits(&digest.finalize().into()) >= u32::from(issued.difficulty())
            && pepper.verify(LABEL, &message(purpose, &issued.signed), &issued.mac)
            && self.spend(issued.nonce(), now)
    }

    fn spend(&self, nonce: [u8; 16], now: Timestamp) -> bool {
        let mut spent = self.spent.lock();
        if now.since(spent.began_at) >= LIFETIME || now < spent.began_at {
            spent.before = std::mem::take(&mut spent.now);
            spent.began_at = now;
        }
        !spent.before.contains(&nonce) && spent.now.insert(nonce)
    }
}

fn message(purpose: (Guess, AnonymousId), signed: &[u8]) -> Vec<u8> {
    let (guess, tag) = purpose;
    [&[guess.number()], tag.as_bytes().as_slice(), signed].concat()
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

    fn pepper() -> Pepper {
        Pepper::from_bytes([7; 32])
    }

    fn challenge(difficulty: u8) -> Challenge {
        Proofs::challenge(&pepper(), PURPOSE, difficulty, NOW, &OsEntropy).unwrap()
    }

    fn redeem(proofs: &Proofs, proof: &Proof, purpose: (Guess, AnonymousId), demanded: u8, now: Timestamp) -> bool {
        proofs.redeem(proof, &pepper(), purpose, demanded, now)
    }

    #[test]
    fn a_proof_is_good_once_for_its_own_purpose_in_its_time() {
        let proofs = Proofs::default();
        let proof = challenge(8).solve();
        let other_account = (Guess::SignIn, AnonymousId::from_bytes([2; 32]));
        let other_operation = (Guess::Recover, PURPOSE.1);
        assert!(!redeem(&proofs, &proof, other_account, 8, NOW));
        assert!(!redeem(&proofs, &proof, other_operation, 8, NOW));
        assert!(!redeem(&proofs, &proof, PURPOSE, 8, NOW.after(LIFETIME)));
        assert!(!redeem(&proofs, &proof, PURPOSE, 8 + RISE_ALLOWED + 1, NOW));
        assert!(redeem(&proofs, &proof, PURPOSE, 8 + RISE_ALLOWED, NOW));
        assert!(!redeem(&proofs, &proof, PURPOSE, 8, NOW));
    }

    #[test]
    fn a_spent_proof_stays_spent_until_it_has_run_out() {
        let proofs = Proofs::default();
        let almost = NOW.after(LIFETIME).before(Duration::from_millis(1));
        let (first, second) = (challenge(4).solve(), challenge(4).solve());
        assert!(redeem(&proofs, &first, PURPOSE, 4, NOW));
        assert!(redeem(&proofs, &second, PURPOSE, 4, almost));
        assert!(!redeem(&proofs, &first, PURPOSE, 4, almost));
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
        assert!(!redeem(&proofs, &wrong, PURPOSE, 0, NOW));
        // An easier one, made by changing the difficulty in the text.
        let mut bytes = URL_SAFE_NO_PAD.decode(&challenge.text).unwrap();
        bytes[1] = 0;
        let easier = Challenge { text: URL_SAFE_NO_PAD.encode(bytes), difficulty: 0, ..challenge };
        assert!(!redeem(&proofs, &easier.solve(), PURPOSE, 0, NOW));
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
                prop_assert!(!redeem(&Proofs::default(), &proof, PURPOSE, 0, NOW));
            }
        }
    }
}
