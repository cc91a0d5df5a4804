//! The deployment's secrets: as they were given, or as a first start in development made them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use dimensionos_core::OsEntropy;
use dimensionos_core::auth::{BillingKey, Keys, Pepper, SigningKey, TombstoneKey, VoucherKey};
use zeroize::Zeroizing;

use crate::config::{Environment, Settings};

/// The names of the files, in the data folder.
pub(crate) const PEPPER_FILE: &str = "pepper.key";
pub(crate) const SIGNING_FILE: &str = "signing.key";
pub(crate) const TOMBSTONE_FILE: &str = "tombstone.key";
pub(crate) const VOUCHER_FILE: &str = "voucher.key";
/// The secret half of a billing issuer in development; in production it is elsewhere.
pub(crate) const BILLING_FILE: &str = "billing.key";

/// A key cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no keys.
    #[error("{}: not a key of 64 hex digits on each line", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
    },
    /// The source of chance failed.
    #[error("no key could be made")]
    Entropy(#[from] dimensionos_core::EntropyError),
    /// The keys cannot be used together.
    #[error(transparent)]
    Unusable(#[from] dimensionos_core::Error),
}

/// The keys of the settings; of those that were not given, the ones in the data folder, made there if need be.
pub(crate) fn load(settings: &Settings) -> Result<Keys, KeyError> {
    let peppers = match &settings.peppers {
        Some(peppers) => peppers.clone(),
        None => from_file(&settings.data_dir.join(PEPPER_FILE), || Ok(Pepper::generate(&OsEntropy)?.expose()))?,
    };
    let signing = match &settings.signing_keys {
        Some(keys) => keys.clone(),
        None => from_file(&settings.data_dir.join(SIGNING_FILE), || Ok(SigningKey::generate(&OsEntropy)?.expose()))?,
    };
    let tombstones = match &settings.tombstone_keys {
        Some(keys) => keys.clone(),
        // In production the peppers make them, so that a deployment of before need not be given more keys.
        None if settings.environment == Environment::Production => Vec::new(),
        None => {
            from_file(&settings.data_dir.join(TOMBSTONE_FILE), || Ok(TombstoneKey::generate(&OsEntropy)?.expose()))?
        }
    };
    let vouchers = match &settings.voucher_keys {
        Some(keys) => keys.clone(),
        // As for tombstones.
        None if settings.environment == Environment::Production => Vec::new(),
        None => from_file(&settings.data_dir.join(VOUCHER_FILE), || Ok(VoucherKey::generate(&OsEntropy)?.expose()))?,
    };
    let billing = match &settings.billing_public_keys {
        Some(keys) => keys.clone(),
        None => vec![billing(settings)?.public()?],
    };
    Ok(Keys::new(peppers, signing)?.with_tombstones(tombstones).with_vouchers(vouchers).with_billing(billing))
}

/// The development issuer's key, made where there is none yet.
pub(crate) fn billing(settings: &Settings) -> Result<BillingKey, KeyError> {
    let path = settings.data_dir.join(BILLING_FILE);
    let mut keys = from_file(&path, || Ok(BillingKey::generate(&OsEntropy)?.expose()))?;
    // Whoever reads a file of keys gets one at least.
    Ok(keys.swap_remove(0))
}

/// The billing key of a file.
pub(crate) fn billing_from(path: &Path) -> Result<BillingKey, KeyError> {
    read(path).map(|mut keys| keys.swap_remove(0))
}

/// Reads one key a line; where there is no file, makes one key and the file.
fn from_file<K: FromStr>(
    path: &Path,
    generate: impl FnOnce() -> Result<Zeroizing<String>, KeyError>,
) -> Result<Vec<K>, KeyError> {
    match write_new(path, generate) {
        Ok(()) => {}
        Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    read(path)
}

/// The same of a server that runs. A file that is not there is no reason to make other keys than those in use.
pub(crate) fn reload(settings: &Settings) -> Result<Keys, KeyError> {
    let signing = match &settings.signing_keys {
        Some(keys) => keys.clone(),
        None => read(&settings.data_dir.join(SIGNING_FILE))?,
    };
    let tombstones = match &settings.tombstone_keys {
        Some(keys) => keys.clone(),
        None if settings.environment == Environment::Production => Vec::new(),
        None => read(&settings.data_dir.join(TOMBSTONE_FILE))?,
    };
    let vouchers = match &settings.voucher_keys {
        Some(keys) => keys.clone(),
        None if settings.environment == Environment::Production => Vec::new(),
        None => read(&settings.data_dir.join(VOUCHER_FILE))?,
    };
    let billing = match &settings.billing_public_keys {
        Some(keys) => keys.clone(),
        None => vec![billing_from(&settings.data_dir.join(BILLING_FILE))?.public()?],
    };
    let keys = Keys::new(peppers(settings)?, signing)?;
    Ok(keys.with_tombstones(tombstones).with_vouchers(vouchers).with_billing(billing))
}

/// The peppers of the settings, or else of the data folder. Nothing is made.
pub(crate) fn peppers(settings: &Settings) -> Result<Vec<Pepper>, KeyError> {
    match &settings.peppers {
        Some(peppers) => Ok(peppers.clone()),
        None => read(&settings.data_dir.join(PEPPER_FILE)),
    }
}

/// How many keys a file holds; each kind has the same form.
pub(crate) fn count(path: &Path) -> Result<usize, KeyError> {
    read::<Pepper>(path).map(|keys| keys.len())
}

fn read<K: FromStr>(path: &Path) -> Result<Vec<K>, KeyError> {
    let failed = |source| KeyError::File { path: path.to_owned(), source };
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
    let keys: Result<Vec<K>, _> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::parse).collect();
    keys.ok().filter(|keys| !keys.is_empty()).ok_or_else(|| KeyError::Malformed { path: path.to_owned() })
}

/// Writes a new file that its owner alone may read. Two servers that start at once agree on the first one's: the file
/// appears whole, under its name, or not at all.
fn write_new(path: &Path, generate: impl FnOnce() -> Result<Zeroizing<String>, KeyError>) -> Result<(), KeyError> {
    let failed = |source| KeyError::File { path: path.to_owned(), source };
    if path.exists() {
        return Ok(());
    }
    let secret = generate()?;
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let written = write_private(&draft, format!("{}\n", *secret).as_bytes())
        // A link fails where the name is taken, which a rename would not.
        .and_then(|()| std::fs::hard_link(&draft, path));
    let _ = std::fs::remove_file(&draft);
    written.map_err(failed)
}

/// Writes a file that its owner alone may read, and waits until it is on disk.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Held by whoever serves from a data folder; given up when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataDirLock(
    #[expect(dead_code, reason = "the lock is held for as long as the file is open")] std::fs::File,
);

impl DataDirLock {
    /// Takes the lock; absent where another process has it.
    pub(crate) fn take(data_dir: &Path) -> io::Result<Option<Self>> {
        let path = data_dir.join("serving.lock");
        let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Makes the data folder, for its owner alone.
pub(crate) fn make_data_dir(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(folder: &Path) -> Result<Vec<Pepper>, KeyError> {
        from_file(&folder.join(PEPPER_FILE), || Ok(Pepper::generate(&OsEntropy)?.expose()))
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::TempDir::new().unwrap();
        let made = load(folder.path()).unwrap();
        let read = load(folder.path()).unwrap();
        assert_eq!(made[0].id(), read[0].id());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let permissions = std::fs::metadata(folder.path().join(PEPPER_FILE)).unwrap().permissions().mode();
            assert_eq!(permissions & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_key_file_is_refused_and_not_replaced() {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join(PEPPER_FILE), "not a key\n").unwrap();
        assert!(matches!(load(folder.path()), Err(KeyError::Malformed { .. })));
        assert_eq!(std::fs::read_to_string(folder.path().join(PEPPER_FILE)).unwrap(), "not a key\n");
    }
}
