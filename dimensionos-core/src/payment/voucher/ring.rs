use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Error;
use crate::auth::{Keys, VoucherKey};
use crate::payment::voucher::{Denomination, Epoch, IssuingKey, PublishedKey};

/// The key pairs that were published and have been used, so that none is derived twice.
#[derive(Debug, Default)]
pub(crate) struct KeyRing(Mutex<HashMap<(Epoch, Denomination), Arc<IssuingKey>>>);

impl KeyRing {
    /// The pair that was used before.
    pub(super) fn used(&self, epoch: Epoch, denomination: Denomination) -> Option<Arc<IssuingKey>> {
        self.0.lock().get(&(epoch, denomination)).cloned()
    }

    /// The pair of a key that was published, by whichever secret makes it.
    ///
    /// # Errors
    /// `Internal` where none of them does. Another pair would do its work as well, and divide those who bought before
    /// from those who buy now: whoever redeems would be known to be one or the other.
    pub(super) fn take(&self, published: PublishedKey, secrets: &[VoucherKey]) -> Result<Arc<IssuingKey>, Error> {
        let made = secrets.iter().find_map(|secret| matching(published, secret));
        let key = made.ok_or(Error::Internal { what: "no key of vouchers here makes the one that was published" })?;
        let key = Arc::new(key);
        self.0.lock().insert((published.epoch, published.denomination), Arc::clone(&key));
        Ok(key)
    }
}

impl Keys {
    /// Whether one of the keys of vouchers makes the one that was published. Where none does, its vouchers are neither
    /// sold nor redeemed.
    #[must_use]
    pub fn makes(&self, published: PublishedKey) -> bool {
        self.voucher_keys().iter().any(|secret| matching(published, secret).is_some())
    }
}

fn matching(published: PublishedKey, secret: &VoucherKey) -> Option<IssuingKey> {
    let key = IssuingKey::derive(secret, published.epoch, published.denomination).ok()?;
    (key.published() == published).then_some(key)
}
