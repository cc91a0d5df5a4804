//! The buyer's side. It needs no account, no sign-in and no clock but its own.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use voprf::{Group, Ristretto255, VoprfClient, VoprfClientBlindResult};
use zeroize::Zeroizing;

use crate::Error;
use crate::entropy::{self, Entropy, EntropyError};
use crate::payment::voucher::chance::Chance;
use crate::payment::voucher::denomination::DENOMINATION_BYTES;
use crate::payment::voucher::token::{NONCE_BYTES, OUTPUT_BYTES};
use crate::payment::voucher::{Blinded, Denomination, Epoch, Issue, MAX_VOUCHERS, PublishedKey, Voucher};
use crate::time::Timestamp;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 2 + DENOMINATION_BYTES;
/// A nonce, the number it was multiplied by, and the blinded element.
const ITEM_BYTES: usize = NONCE_BYTES + CLIENT_BYTES;
const CLIENT_BYTES: usize = 64;

/// Vouchers that are being bought: the nonces, and what they were blinded with.
///
/// Keep it ([`expose`](Self::expose)) before the request is sent and until the vouchers are in hand: an attestation buys
/// once, and where its answer is lost, the same request is answered again. Never make a second order for it.
pub struct Order {
    denomination: Denomination,
    epoch: Epoch,
    items: Vec<Item>,
}

struct Item {
    nonce: Zeroizing<[u8; NONCE_BYTES]>,
    client: VoprfClient<Ristretto255>,
    blinded: voprf::BlindedElement<Ristretto255>,
}

/// A text that is no order, or an order of no voucher or of more than a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an order of 1 to 100 vouchers")]
pub struct InvalidOrder;

/// Why what a server issued is not taken: it might mark its buyer, or open nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssueRefused {
    /// It is worth something else than was ordered.
    #[error("what was issued is of another denomination than was ordered")]
    OtherDenomination,
    /// It is of an epoch in which nobody else buys.
    #[error("what was issued is of another epoch than the present one")]
    OtherEpoch,
    /// It was made with a key that is not the published one, and could be the buyer's alone.
    #[error("what was issued was made with a key that is not the published one")]
    OtherKey,
    /// There are not as many elements as were ordered.
    #[error("what was issued is not as many as were ordered")]
    OtherCount,
    /// The proof does not say that the published key made all of it.
    #[error("the proof that the published key made what was issued does not hold")]
    ProofInvalid,
}

impl Order {
    /// An order of so many vouchers, made at that instant.
    ///
    /// # Errors
    /// `InvalidInput` for none of them, and for more than [`MAX_VOUCHERS`]; `Entropy` where the source of chance fails.
    pub fn new(denomination: Denomination, count: usize, now: Timestamp, entropy: &dyn Entropy) -> Result<Self, Error> {
        if !(1..=MAX_VOUCHERS).contains(&count) {
            return Err(Error::invalid("count", InvalidOrder.to_string()));
        }
        let items = (0..count).map(|_| Item::new(entropy));
        Ok(Self { denomination, epoch: Epoch::of(now), items: items.collect::<Result<_, _>>()? })
    }

    /// What to send with the attestation.
    #[must_use]
    pub fn blinded(&self) -> Blinded {
        Blinded::new(self.items.iter().map(|item| item.blinded.clone()).collect())
    }

    /// Makes vouchers of what the server issued, in the order's own order, where it was made with a key that was
    /// published. Ask for the published keys as anybody would, on another connection and at another time than for this
    /// issue: what is held against them is that they are the same for everybody.
    ///
    /// # Errors
    /// [`IssueRefused`]; nothing is lost by it, for the same request is answered again.
    pub fn finish(&self, issue: &Issue, published: &[PublishedKey]) -> Result<Vec<Voucher>, IssueRefused> {
        let Issue { key, elements, proof } = issue;
        if key.denomination != self.denomination {
            return Err(IssueRefused::OtherDenomination);
        }
        // The server's clock may already have passed into the next epoch, or the buyer's before it.
        if !key.epoch.is_near(self.epoch) {
            return Err(IssueRefused::OtherEpoch);
        }
        if !published.contains(key) {
            return Err(IssueRefused::OtherKey);
        }
        if elements.count() != self.items.len() {
            return Err(IssueRefused::OtherCount);
        }
        let public_key =
            Ristretto255::deserialize_elem(key.public_key.as_bytes()).map_err(|_| IssueRefused::OtherKey)?;
        let nonces: Vec<&[u8]> = self.items.iter().map(|item| item.nonce.as_slice()).collect();
        let clients: Vec<_> = self.items.iter().map(|item| item.client.clone()).collect();
        let outputs = VoprfClient::batch_finalize(&nonces, &clients, &elements.points, &proof.0, public_key)
            .map_err(|_| IssueRefused::ProofInvalid)?;
        let vouchers = self.items.iter().zip(outputs).map(|(item, output)| {
            let output = output.map_err(|_| IssueRefused::ProofInvalid)?;
            let (first, _) = output.split_first_chunk::<OUTPUT_BYTES>().ok_or(IssueRefused::ProofInvalid)?;
            Ok(Voucher::new((key.epoch, key.denomination), item.nonce.clone(), Zeroizing::new(*first)))
        });
        vouchers.collect()
    }

    /// The order in clear: for the file it is kept in. Whoever has it and the issue has the vouchers.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + self.items.len() * ITEM_BYTES));
        bytes.push(VERSION);
        bytes.extend(self.epoch.number().to_be_bytes());
        bytes.extend(self.denomination.to_bytes());
        for item in &self.items {
            bytes.extend(item.nonce.iter());
            bytes.extend(Zeroizing::new(<[u8; CLIENT_BYTES]>::from(item.client.serialize())).iter());
        }
        Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
    }
}

impl Item {
    fn new(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let nonce = Zeroizing::new(entropy::bytes(entropy)?);
        // A nonce has the right length, so it is chance that failed.
        let blind = VoprfClient::blind(nonce.as_slice(), &mut Chance::new(entropy)).map_err(|_| EntropyError)?;
        let VoprfClientBlindResult { state: client, message: blinded } = blind;
        Ok(Self { nonce, client, blinded })
    }

    fn read(bytes: &[u8]) -> Result<Self, InvalidOrder> {
        let (nonce, rest) = bytes.split_first_chunk().ok_or(InvalidOrder)?;
        let client = VoprfClient::deserialize(rest).map_err(|_| InvalidOrder)?;
        // The blinded element is the last half of it.
        let blinded = rest.get(CLIENT_BYTES / 2..).ok_or(InvalidOrder)?;
        let blinded = voprf::BlindedElement::deserialize(blinded).map_err(|_| InvalidOrder)?;
        Ok(Self { nonce: Zeroizing::new(*nonce), client, blinded })
    }
}

impl FromStr for Order {
    type Err = InvalidOrder;

    fn from_str(text: &str) -> Result<Self, InvalidOrder> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidOrder)?);
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(InvalidOrder)?;
        let [VERSION, high, low, denomination @ ..] = *head else { return Err(InvalidOrder) };
        let (items, []) = rest.as_chunks::<ITEM_BYTES>() else { return Err(InvalidOrder) };
        if items.is_empty() || items.len() > MAX_VOUCHERS {
            return Err(InvalidOrder);
        }
        Ok(Self {
            denomination: Denomination::from_bytes(denomination).map_err(|_| InvalidOrder)?,
            epoch: Epoch::from_number(u16::from_be_bytes([high, low])),
            items: items.iter().map(|item| Item::read(item)).collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Order")
    }
}
