use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use voprf::{Ristretto255, VoprfServer, VoprfServerBatchEvaluateResult};

use crate::Error;
use crate::auth::VoucherKey;
use crate::entropy::{Entropy, EntropyError};
use crate::payment::voucher::chance::Chance;
use crate::payment::voucher::token::OUTPUT_BYTES;
use crate::payment::voucher::{Blinded, Denomination, Epoch, Evaluated, IssueProof, PublicKey, Voucher};

/// The public key of an epoch and denomination, as everybody is shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedKey {
    /// Of which epoch.
    pub epoch: Epoch,
    /// And of which denomination.
    pub denomination: Denomination,
    /// The key.
    pub public_key: PublicKey,
}

/// What a buyer gets for an attestation. It becomes vouchers in the hands of whoever blinded the elements, and of nobody
/// else.
#[derive(Debug, Clone)]
pub struct Issue {
    /// The key it was made with.
    pub key: PublishedKey,
    /// The elements, in the order of the blinded ones.
    pub elements: Evaluated,
    /// That it was that key, for all of them.
    pub proof: IssueProof,
}

/// The key pair of one epoch and denomination.
///
/// It is derived from the deployment's [`VoucherKey`], so that processes that share this one issue and redeem alike
/// without sharing more, and a voucher says by which key it is verified without anybody looking for it.
pub struct IssuingKey {
    published: PublishedKey,
    server: VoprfServer<Ristretto255>,
}

impl IssuingKey {
    /// Derives the pair: `DeriveKeyPair` of RFC 9497, with both names in its `info`.
    ///
    /// # Errors
    /// `Internal`, with a probability of 2^-64,000.
    pub fn derive(key: &VoucherKey, epoch: Epoch, denomination: Denomination) -> Result<Self, Error> {
        let info = format!("dimensionos/voucher-key/v1 {} {denomination}", epoch.number());
        let server = VoprfServer::new_from_seed(key.as_bytes(), info.as_bytes())
            .map_err(|_| Error::Internal { what: "deriving a key of vouchers failed" })?;
        Ok(Self::of(server, epoch, denomination))
    }

    pub(super) fn of(server: VoprfServer<Ristretto255>, epoch: Epoch, denomination: Denomination) -> Self {
        use voprf::Group;
        let public_key = PublicKey::from_bytes(Ristretto255::serialize_elem(server.get_public_key()).into());
        Self { published: PublishedKey { epoch, denomination, public_key }, server }
    }

    /// Its public half.
    #[must_use]
    pub const fn published(&self) -> PublishedKey {
        self.published
    }

    /// Evaluates blinded elements, all under one proof.
    ///
    /// # Errors
    /// `Entropy` where the source of chance fails.
    pub fn issue(&self, blinded: &Blinded, entropy: &dyn Entropy) -> Result<Issue, Error> {
        let evaluated = self.server.batch_blind_evaluate(&mut Chance::new(entropy), &blinded.points);
        // `Blinded` holds as many as a batch may have, so it is chance that failed.
        let VoprfServerBatchEvaluateResult { messages, proof } = evaluated.map_err(|_| EntropyError)?;
        Ok(Issue { key: self.published, elements: Evaluated::new(messages), proof: IssueProof(proof) })
    }

    /// Whether a voucher was issued under this key, in a time that says nothing of how much of it was right.
    #[must_use]
    pub fn verifies(&self, voucher: &Voucher) -> bool {
        if (voucher.epoch(), voucher.denomination()) != (self.published.epoch, self.published.denomination) {
            return false;
        }
        let Ok(output) = self.server.evaluate(voucher.nonce()) else { return false };
        verify_slices_are_equal(&output[..OUTPUT_BYTES], voucher.output()).is_ok()
    }
}

impl fmt::Debug for IssuingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuingKey").field("published", &self.published).finish_non_exhaustive()
    }
}
