//! Files of settings with a secret in them that every user of the machine may read.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::settings::catalogue;
use crate::settings::inputs::{Inputs, Origin};

/// For others: read.
const OTHERS_READ: u32 = 0o004;

/// Those files. One that cannot be looked at, such as a pipe, is none.
pub fn files(inputs: &Inputs) -> BTreeSet<PathBuf> {
    let secrets = catalogue::ALL.iter().filter(|row| row.is_secret());
    let given = secrets.filter_map(|row| {
        let given = inputs.get(row)?;
        row.is_secret_value(&given.value).then_some(given)
    });
    let paths = given.filter_map(|given| match &given.origin {
        Origin::EnvFile { path, .. } | Origin::JobFile { path, .. } => Some(path),
        _ => None,
    });
    let is_open = |path: &&PathBuf| {
        std::fs::metadata(path)
            .is_ok_and(|seen| seen.is_file() && seen.permissions().mode() & OTHERS_READ != 0)
    };
    paths.filter(is_open).cloned().collect()
}
