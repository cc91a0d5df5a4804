//! `fuzz::token`, fuzzed.
#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::token);
