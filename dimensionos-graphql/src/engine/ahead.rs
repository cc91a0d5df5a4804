use dimensionos_core::{Entropy, EntropyError, Platform};
use parking_lot::Mutex;
use zeroize::Zeroizing;

/// Bytes that are fetched at once: for 64 ids of requests.
const FETCHED: usize = 1024;

/// Chance that is fetched ahead, for what is asked for with every request and is no secret: to ask the system each time
/// would take longer than all that is done with it.
#[derive(Debug)]
pub(super) struct Ahead {
    platform: Platform,
    /// What is left of it, and how much that is.
    left: Mutex<(Zeroizing<[u8; FETCHED]>, usize)>,
}

impl Ahead {
    pub(super) fn of(platform: Platform) -> Self {
        Self { platform, left: Mutex::new((Zeroizing::new([0; FETCHED]), 0)) }
    }
}

impl Entropy for Ahead {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let mut left = self.left.lock();
        let (fetched, count) = &mut *left;
        if *count < bytes.len() {
            *count = 0;
            if bytes.len() > FETCHED {
                return self.platform.entropy().fill(bytes);
            }
            self.platform.entropy().fill(&mut fetched[..])?;
            *count = FETCHED;
        }
        *count -= bytes.len();
        bytes.copy_from_slice(&fetched[*count..*count + bytes.len()]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dimensionos_core::MemoryStore;
    use std::collections::HashSet;

    #[tokio::test]
    async fn no_bytes_are_given_twice() {
        let ahead = Ahead::of(Platform::builder(MemoryStore::default()).open().await.unwrap());
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let mut bytes = [0; 16];
            ahead.fill(&mut bytes).unwrap();
            assert!(seen.insert(bytes));
        }
        let mut much = vec![0; 3 * FETCHED];
        ahead.fill(&mut much).unwrap();
        assert!(much.iter().any(|byte| *byte != 0));
    }
}
