//! The source: what is asked of it, what its answers hold, and which request comes next.
//!
//! A request is made and made again by `get`, a body is read by `page`, and `pages` leads from one to the next. The records
//! themselves are `records`' business.

mod address;
mod ask;
mod clocks;
pub mod csv;
mod each;
mod error_check;
mod excerpt;
mod export;
mod form;
mod get;
mod link;
mod named;
mod next_page;
mod novelty;
pub mod outline;
pub mod page;
mod pages;
mod pagination;
mod program;
pub mod retry;
pub mod signs;
mod template;
mod validators;
mod watch;
mod wire;
mod xml;

pub use self::address::{URL_BYTES_MAX, holds_cursor, resolve, shown, with_parameter};
pub use self::ask::{Ask, BodyFormat, CONDITIONAL, FORM, HEADER, Json, To, fits_header};
pub use self::clocks::{AHEAD_SECONDS_MAX, Clocks};
pub use self::each::{EACH, EACH_BYTES_MAX, Each, url_holds};
pub use self::error_check::{BodyVerdict, ErrorCheck};
pub use self::excerpt::format_of;
pub use self::export::{EXPORT, Export, Exported, of_export};
pub use self::form::{check as form_body, holds_cursor as form_holds_cursor};
pub use self::get::{EMPTY_ADVICE, Fetched, Getter};
pub use self::link::next as next_link;
pub use self::next_page::Page;
pub use self::novelty::{Novelty, hash};
pub use self::pages::Pages;
pub use self::pagination::{PageFrom, Pagination, RecordsFrom, Style};
pub use self::program::{Program, jq_path};
pub use self::template::{CURSOR, check as check_place, string};
pub use self::validators::{VALIDATOR_BYTES_MAX, Validators, fingerprint};
pub use self::watch::{Expect, Join, Seen, Watch};
pub use self::wire::Wire;
