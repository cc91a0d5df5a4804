//! What each target does with its input. Under `cargo fuzz run NAME` the input is the fuzzer's; built plainly, a target
//! runs the files named on its command line, to look at what the fuzzer found.
#![expect(clippy::missing_panics_doc, reason = "a panic is what a fuzz target reports with")]

use std::sync::LazyLock;

use dimensionos_core::auth::{GuessLimits, Password, Proof, RecoveryCode, SignIn, VoucherKey};
use dimensionos_core::monitoring::SourceState;
use dimensionos_core::payment::voucher::{Blinded, IssueProof, IssuingKey, Voucher};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::users::{AccountNumber, EmailDigest, Identity, identity};
use dimensionos_core::{Caller, Context, Error, MemoryStore, Platform};
use dimensionos_graphql::{Limits, check_document};
use tokio::runtime::Runtime;

/// The entry of a target: the fuzzer's, or a `main` over files.
#[macro_export]
macro_rules! target {
    ($act:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $act(input));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            for path in std::env::args_os().skip(1) {
                $act(&std::fs::read(path)?);
            }
            Ok(())
        }
    };
}

/// Normalising an address twice is normalising it once, and no text makes it panic.
pub fn address(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(once) = identity::normalise(text) {
        let twice = identity::normalise(&once);
        assert_eq!(twice.ok().as_ref(), Some(&once), "normalising is idempotent");
    }
    let _ = text.parse::<EmailDigest>();
}

/// An account number that is read is written back to one that reads the same.
pub fn account_number(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(number) = text.parse::<AccountNumber>() {
        let written = number.expose();
        assert_eq!(written.parse::<AccountNumber>().ok(), Some(number.clone()));
        let _ = Identity::AccountNumber(number);
    }
}

/// No text that nobody signed is a token, and reading one never panics.
pub fn token(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let caller = platform().1.block_on(platform().0.auth().caller(&BearerToken::new(text)));
    assert!(matches!(caller, Ok(Caller::Refused(_))), "{caller:?}");
}

/// A recovery code that is read is written back to one that reads the same.
pub fn recovery_code(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(code) = text.parse::<RecoveryCode>() {
        assert_eq!(code.expose().parse::<RecoveryCode>().ok(), Some(code));
    }
}

/// The first line as a challenge, the rest as its solution: nothing that was not signed is good work. An account whose
/// free guesses are used up stays so.
pub fn proof(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (challenge, solution) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(proof) = Proof::new(challenge, solution) else { return };
    let (platform, runtime) = platform();
    let Ok(password) = Password::new("wrong") else { return };
    let Ok(identity) = Identity::email("ada@example.org") else { return };
    let sign_in = SignIn { proof: Some(proof), ..SignIn::new(identity, password) };
    let refused = runtime.block_on(platform.auth().login(&Context::anonymous(), sign_in));
    assert!(matches!(refused, Err(Error::RateLimited { .. })), "{refused:?}");
}

/// A voucher, an element and a proof that are read are written back as they were, and no text is a voucher of anybody's.
pub fn voucher(input: &[u8]) {
    static KEY: LazyLock<VoucherKey> = LazyLock::new(|| VoucherKey::from_bytes([7; 32]));
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(voucher) = text.parse::<Voucher>() {
        assert_eq!(voucher.expose().as_str(), text);
        let key = IssuingKey::derive(&KEY, voucher.epoch(), voucher.denomination());
        assert!(key.is_ok_and(|key| !key.verifies(&voucher)));
    }
    if let Ok(blinded) = Blinded::parse(&[text]) {
        assert_eq!(blinded.texts(), [text]);
    }
    if let Ok(proof) = text.parse::<IssueProof>() {
        assert_eq!(proof.to_string(), text);
    }
}

/// A platform on which no guess is free, and the runtime it lives in; made once.
fn platform() -> &'static (Platform, Runtime) {
    static PLATFORM: LazyLock<(Platform, Runtime)> = LazyLock::new(|| {
        let none = GuessLimits { per_source: 0, per_account: 0, ..GuessLimits::default() };
        let runtime = Runtime::new().unwrap_or_else(|error| panic!("{error}"));
        let opened = runtime.block_on(Platform::builder(MemoryStore::new()).guesses(none).open());
        (opened.unwrap_or_else(|error| panic!("{error}")), runtime)
    });
    &PLATFORM
}

/// A document that passes the look at its text can be parsed without the stack running out.
pub fn document(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if check_document(text, &Limits::default()).is_ok() {
        let _ = dimensionos_graphql::parse_document(text);
    }
}

/// A source's state that is read is written back as it was.
pub fn source_state(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(state) = text.parse::<SourceState>() {
        assert_eq!(state.to_string().parse().ok(), Some(state));
    }
}
