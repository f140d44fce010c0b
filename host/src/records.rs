//! Records: from staged bytes to changes in key order, each checked once.

pub mod changes;
pub mod dedup;
pub mod key;
pub mod merge;
pub mod parents;
pub mod pointers;
pub mod sort;
