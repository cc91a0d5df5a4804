//! The detectors: streaming, in constant memory, each a plain value that is given one observation at a time.
pub mod adaptive;
