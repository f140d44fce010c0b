//! Records: from staged bytes to changes in key order, each checked once.

pub mod changes;
pub mod key;
pub mod parents;
pub mod pointers;
pub mod sort;
