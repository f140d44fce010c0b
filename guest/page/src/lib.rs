//! Pages: what every byte of an answer passes through, from the body to records and the values that pointers name.
//!
//! It is a crate by itself so that it can be compiled for speed, as most of the component is compiled for size. What a record
//! means is the component's business.

pub mod failure;
pub mod page;
pub mod pointer;
