//! Records without keys: whether they are, byte for byte, those of the last commit.

use sha2::{Digest as _, Sha256};

use crate::hash::hex;
use crate::outcome::Failure;
use crate::process::stop::Check;
use crate::records::changes::{check_at, line_failure};
use crate::settings::columns::Column;
use crate::sink::manifest::FileRecord;
use crate::staging::lines::Lines;
use crate::staging::read;

/// The bytes of records without keys, and the columns that are made of them.
pub fn digest(
    mut lines: Lines<'_>,
    columns: &[Column],
    check: Check<'_>,
) -> Result<FileRecord, Failure> {
    let mut hash = Sha256::new();
    let (mut bytes, mut records) = (0, 0_u64);
    for column in columns {
        hash.update(column.to_string());
        hash.update("\n");
    }
    loop {
        let line = lines.next_line();
        let Some(line) = line.map_err(|error| line_failure(read::RECORDS, error))? else {
            break;
        };
        check_at(check, records, line.len())?;
        hash.update(line);
        hash.update("\n");
        bytes += line.len() as u64 + 1;
        records += 1;
    }
    Ok(FileRecord {
        bytes,
        sha256: hex(&hash.finalize()),
        records,
    })
}
