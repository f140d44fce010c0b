//! The process: closed to others, ended from outside by a signal or a deadline, and a panic in it reported as a defect.

pub mod defect;
pub mod memory;
pub mod parent;
pub mod stop;
pub mod watch;
