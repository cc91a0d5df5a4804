//! The detectors: streaming, in constant memory, each a plain value that is given one observation at a time.

pub mod adaptive;

mod connections;
mod distinct;
mod measured;
mod network;
mod peers;
mod sign_ins;
mod sources;
mod windows;

pub use connections::{Connection, ConnectionCount, Connections, HAMMERING_WINDOW, REPEATED_WINDOW, SCAN_WINDOW};
pub use network::{Network, NetworkParameters, TRAFFIC_WINDOW};
pub use sign_ins::{AccountSignIns, SignIn, SignInParameters, SignIns, Subject};
mod account;
mod block;
mod claim;
mod decayed;
mod mining;
mod ransomware;
mod resources;
mod spam;

pub use account::{AccountDetectors, DetectorParameters};
pub use block::BlockAccess;
pub use decayed::{COUNTERFACTUAL_PART, Decayed, Pace, decay};
pub use mining::{Mining, MiningParameters};
pub use ransomware::{Ransomware, RansomwareParameters};
pub use resources::{ResourceExcess, ResourceExcessParameters};
pub use spam::{Spam, SpamParameters};

#[cfg(test)]
mod tests;
