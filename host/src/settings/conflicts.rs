//! Settings that exclude or need one another.

pub mod appending;
pub mod columns;
pub mod database;
pub mod replacing;
