//! What the programs here are made of, to be copied.

pub mod journal;
pub mod stripe;
