//! Records: from staged bytes to changes in key order, each checked once.

pub mod changes;
mod deletions;
pub mod key;
mod line;
pub mod parents;
pub mod pointers;
pub mod shape;
pub mod sort;
pub mod superseded;
