//! `fuzz::voucher`, fuzzed.
#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::voucher);
