use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Error;
use crate::auth::VoucherKey;
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
        let PublishedKey { epoch, denomination, .. } = published;
        for secret in secrets {
            let key = IssuingKey::derive(secret, epoch, denomination)?;
            if key.published() == published {
                let key = Arc::new(key);
                self.0.lock().insert((epoch, denomination), Arc::clone(&key));
                return Ok(key);
            }
        }
        Err(Error::Internal { what: "no key of vouchers here makes the one that was published" })
    }
}
