//! The detectors: streaming, in constant memory, each a plain value that is given one observation at a time.

mod block;
mod claim;
mod decayed;
mod mining;
mod ransomware;
mod resources;
mod spam;

pub use block::BlockAccess;
pub use decayed::{COUNTERFACTUAL_PART, Decayed, Pace, decay};
pub use mining::{Mining, MiningParameters};
pub use ransomware::{Ransomware, RansomwareParameters};
pub use resources::{ResourceExcess, ResourceExcessParameters};
pub use spam::{Spam, SpamParameters};

#[cfg(test)]
mod tests;
