//! What a command prints because it was asked for it. Logs are `log`'s, which never fails a run.

use std::io::{ErrorKind, Write as _};

use crate::outcome::{Failure, OrFail as _, Outcome};

/// Prints all of `text`. `Err` (74): a part of it was not written. A reader that has gone, such as `head`, is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).or_fail(Outcome::IoFailed, || "cannot write to stdout")
        }
        _ => Ok(()),
    }
}
