//! JSON as texts: pointers into it, its integers, its lines, and texts from outside in messages. No tree is built, and values keep
//! their bytes.
//!
//! Both sides use it: the component for every byte of an answer, the host for every staged line. What a record means is theirs.

mod line;
mod members;
mod number;
mod pointer;
mod quoting;
mod text;

pub use self::line::{DEPTH_MAX, append_line, is_too_deep, unfit};
pub use self::members::{Kind, Members};
pub use self::number::Number;
pub use self::pointer::{Paths, Pointer, Take, escape};
pub use self::quoting::{beginning, quoted, said, shown};
pub use self::text::whole_text;
