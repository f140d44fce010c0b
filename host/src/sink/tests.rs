//! What the unit tests of sinks have in common.

pub mod world;
