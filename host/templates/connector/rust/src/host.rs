//! What the host gives: settings, the folder `/out`, the log. Nothing here knows your API.

pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "connector",
        generate_all,
        pub_export_macro: true,
    });
}

use bindings::wasi::cli::{environment::get_environment, stderr::get_stderr};
use bindings::wasi::filesystem::preopens::get_directories;
use bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags,
};

/// `host::export!(Connector)` makes a type the component's `job`.
pub use bindings::export;
pub use bindings::exports::tidegate::sync::job;
pub use bindings::wasi::{
    clocks::{monotonic_clock, wall_clock},
    http, io,
};

/// The value of a declared setting, if it has one.
pub fn setting(name: &str) -> Option<String> {
    let given = get_environment().into_iter().find(|(key, _)| key == name);
    given
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty())
}

/// One line of the run's log. A line that begins with `warn: ` is a warning.
pub fn log(line: &str) {
    let line = format!("{}\n", line.replace(['\r', '\n'], " "));
    for part in line.as_bytes().chunks(4096) {
        let _ = get_stderr().blocking_write_and_flush(part);
    }
}

/// Without this, the text of a panic would be lost: on this target a panic only stops the component.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| log(&format!("warn: {panic}"))));
}

/// Why a run failed: lower case, no full stop, no secret.
pub fn detail(message: impl ToString) -> job::Detail {
    job::Detail {
        message: message.to_string(),
        status: None,
        retry_after_seconds: None,
    }
}

/// `/out/records.ndjson`, written one page at a time.
pub struct Records {
    file: Descriptor,
    written: u64,
    page: Vec<u8>,
    /// How many records were added.
    pub count: u64,
}

impl Records {
    pub fn create() -> Result<Self, job::Failure> {
        let folders = get_directories();
        let (out, _) = folders.first().ok_or_else(|| failed(ErrorCode::NoEntry))?;
        let (flags, write) = (
            OpenFlags::CREATE | OpenFlags::TRUNCATE,
            DescriptorFlags::WRITE,
        );
        let file = out.open_at(PathFlags::empty(), "records.ndjson", flags, write);
        Ok(Self {
            file: file.map_err(failed)?,
            written: 0,
            page: Vec::new(),
            count: 0,
        })
    }

    /// Adds one JSON object. Its line ends are white space, as a string of JSON has none; a line holds one record.
    pub fn add(&mut self, record: &str) {
        let bytes = record.bytes();
        self.page.extend(bytes.map(|byte| {
            if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                byte
            }
        }));
        self.page.push(b'\n');
        self.count += 1;
    }

    /// Writes what was added since the last time.
    pub fn write(&mut self) -> Result<(), job::Failure> {
        let mut rest = self.page.as_slice();
        while !rest.is_empty() {
            let done = self.file.write(rest, self.written);
            let done = done.map_err(failed)?;
            self.written += done;
            rest = &rest[usize::try_from(done).unwrap_or(rest.len())..];
        }
        self.page.clear();
        Ok(())
    }
}

fn failed(why: ErrorCode) -> job::Failure {
    job::Failure::Output(detail(format!(
        "cannot write records.ndjson: {}",
        why.message()
    )))
}
