//! What each target does with its input. Under `cargo fuzz run NAME` the input is the fuzzer's; built plainly, a target
//! runs the files named on its command line, to look at what the fuzzer found.
#![expect(clippy::missing_panics_doc, reason = "a panic is what a fuzz target reports with")]

use dimensionos_core::monitoring::SourceState;
use dimensionos_core::users::{AccountNumber, EmailDigest, Identity, identity};
use dimensionos_graphql::{Limits, check_document};

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
