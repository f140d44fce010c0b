//! The limits of a component's world, as the errors that end it: each says its own name.

use std::fmt;

use super::held::HeldBytes;
use crate::component::FIXED;
use crate::units::size;

/// A limit that the component ran into. It ends the run with 70; nothing is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exceeded {
    /// More bytes in the staging folder, all files of the run together.
    StagedBytes(u64),
    /// More files in the staging folder.
    StagedFiles(usize),
    /// Memory of the component, and what the host held for it, together.
    Memory {
        /// `MEMORY_LIMIT`.
        bytes_max: u64,
        /// What the host held.
        held: HeldBytes,
    },
    /// Entries of one table.
    TableElements(usize),
    /// Requests whose answer had not come yet.
    RequestsPending(usize),
    /// Things of the host that a component holds by handle.
    Handles(usize),
    /// Bytes of random numbers in one call.
    RandomCallBytes(u64),
    /// Bytes of random numbers, all calls together.
    RandomBytes(u64),
    /// Core instances, memories or tables, by the name of the thing.
    Count(&'static str, usize),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StagedBytes(max) => {
                let most = size(*max);
                write!(
                    out,
                    "the component staged more than {most} in one run (`staged_bytes`)"
                )
            }
            Self::StagedFiles(max) => {
                write!(
                    out,
                    "the component made more than {max} files in `/out`{FIXED}"
                )
            }
            Self::Memory { bytes_max, held } => {
                let mib = bytes_max / (1024 * 1024);
                write!(
                    out,
                    "the component needed more memory than `MEMORY_LIMIT` allows ({mib} MiB){held}; raise it, or use another component"
                )
            }
            Self::TableElements(max) => write!(
                out,
                "the component needed a table of more than {max} entries (`TABLE_LIMIT`); raise it, or use another component"
            ),
            Self::RequestsPending(max) => {
                write!(
                    out,
                    "the component had more than {max} requests pending{FIXED}"
                )
            }
            Self::Handles(max) => write!(
                out,
                "the component held more than {max} resources of the host (requests, bodies, streams, pollables, files){FIXED}"
            ),
            Self::RandomCallBytes(max) => write!(
                out,
                "the component asked for more than {} of random numbers in one call{FIXED}",
                size(*max)
            ),
            Self::RandomBytes(max) => write!(
                out,
                "the component asked for more than {} of random numbers{FIXED}",
                size(*max)
            ),
            Self::Count(what, max) => {
                write!(
                    out,
                    "the component has more than {max} {what} (`INSTANCE_LIMIT`); raise it, or use another component"
                )
            }
        }
    }
}

impl std::error::Error for Exceeded {}
