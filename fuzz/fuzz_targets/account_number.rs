//! `fuzz::account_number`, fuzzed.
#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::account_number);
