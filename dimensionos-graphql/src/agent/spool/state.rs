//! The source's name and the next sequence, kept so that a crash at any instant leaves the old pair or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use dimensionos_core::{Entropy, OsEntropy};
use serde::{Deserialize, Serialize};

use super::{SpoolError, failed, private, remove};

const SOURCE_CHARS: usize = 26;
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct State {
    source: String,
    next_sequence: u64,
}

impl State {
    /// Reads the state, or makes a new one. The next sequence is beyond all that are on disk.
    pub(super) fn open(directory: &Path, beyond: u64) -> Result<Self, SpoolError> {
        let text = match fs::read(directory.join("state.json")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let state = Self { source: random_name()?, next_sequence: beyond };
                return state.store(directory).map(|()| state);
            }
            Err(source) => return Err(SpoolError::Io { what: "read state.json", source }),
        };
        let mut state: Self = serde_json::from_slice(&text).map_err(|_| SpoolError::Damaged)?;
        state.next_sequence = state.next_sequence.max(beyond);
        Ok(state)
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// A sequence that no report has had, on disk as used before it is handed out.
    pub(super) fn next(&mut self, directory: &Path) -> Result<u64, SpoolError> {
        let sequence = self.next_sequence;
        let used = Self { source: self.source.clone(), next_sequence: sequence.saturating_add(1) };
        used.store(directory)?;
        *self = used;
        Ok(sequence)
    }

    pub(super) fn renew_source(&mut self, directory: &Path) -> Result<(), SpoolError> {
        let renewed = Self { source: random_name()?, next_sequence: self.next_sequence };
        renewed.store(directory)?;
        *self = renewed;
        Ok(())
    }

    fn store(&self, directory: &Path) -> Result<(), SpoolError> {
        let text = serde_json::to_vec(self).map_err(|_| SpoolError::Damaged)?;
        let new = directory.join("state.new");
        // What a crash has left there is no state.
        remove(&new)?;
        let write = || {
            let mut file = private(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, directory.join("state.json"))?;
            // The rename itself is on disk only with the directory.
            if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
        };
        write().map_err(failed("write state.json"))
    }
}

/// A name that no other source has: 26 characters of 36, some 134 bits.
fn random_name() -> Result<String, SpoolError> {
    let mut name = String::with_capacity(SOURCE_CHARS);
    while name.len() < SOURCE_CHARS {
        let mut bytes = [0; SOURCE_CHARS];
        OsEntropy.fill(&mut bytes).map_err(|_| SpoolError::NoEntropy)?;
        // 252 is the largest multiple of 36: bytes beyond would favour the first letters.
        let fair = bytes.into_iter().filter(|byte| *byte < 252);
        let letters = fair.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        name.extend(letters.take(SOURCE_CHARS - name.len()));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_26_letters_and_digits_and_never_the_same() {
        let name = random_name().unwrap();
        assert_eq!(name.len(), SOURCE_CHARS);
        assert!(name.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(name, random_name().unwrap());
    }

    #[test]
    fn a_damaged_state_is_told_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("state.json");
        fs::write(&file, "{\"source\":").unwrap();
        assert!(matches!(State::open(directory.path(), 1), Err(SpoolError::Damaged)));
        assert_eq!(fs::read(&file).unwrap(), b"{\"source\":");
    }
}
