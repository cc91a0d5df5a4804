//! `fuzz::recovery_code`, fuzzed.
#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::recovery_code);
