//! `fuzz::source_state`, fuzzed.
#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::source_state);
