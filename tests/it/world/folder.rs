//! The output folder as readers see it, and the search for the credential in all of it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What readers see: the files they open, the generation that `current` names and the segments up to its number.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct View {
    /// The name of the current generation.
    pub generation: Option<String>,
    /// `latest.*`, everything under `current/` and every committed segment, by the name readers use.
    files: BTreeMap<String, Vec<u8>>,
}

impl View {
    /// What readers of this folder see now.
    pub fn of(output: &Path) -> Self {
        let target = std::fs::read_link(output.join("current")).ok();
        let generation =
            target.and_then(|target| Some(target.file_name()?.to_string_lossy().into_owned()));
        let latest = names(output)
            .into_iter()
            .filter(|name| name.starts_with("latest."));
        let current = names(&output.join("current"))
            .into_iter()
            .map(|name| format!("current/{name}"));
        let number = generation.as_deref().map_or("", number);
        let segments = names(&output.join("segments"))
            .into_iter()
            .filter(|name| self::number(name) <= number)
            .map(|name| format!("segments/{name}"));
        let files = latest
            .chain(current)
            .chain(segments)
            .filter_map(|name| Some((name.clone(), std::fs::read(output.join(&name)).ok()?)))
            .collect();
        Self { generation, files }
    }

    /// What readers see who look elsewhere.
    pub fn with(generation: String, files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        Self {
            generation: Some(generation),
            files: files.collect(),
        }
    }

    /// The text of a file, by the name readers use.
    pub fn file(&self, name: &str) -> Option<&str> {
        self.files
            .get(name)
            .map(|bytes| std::str::from_utf8(bytes).expect("what is published is UTF-8"))
    }

    /// The bytes of a file, by the name readers use.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// The records that readers see, in their order, each as its text: `latest.*`, or what stands beside a csv file.
    pub fn records(&self) -> Vec<String> {
        let text = self.file("current/records.ndjson").map(str::to_owned);
        let text = text.or_else(|| self.latest()).unwrap_or_default();
        let lines = match text.strip_prefix("[\n") {
            Some(array) => array.strip_suffix("]\n").expect("a whole array"),
            None => &text,
        };
        let lines = lines.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| line.strip_suffix(',').unwrap_or(line).to_owned())
            .collect()
    }

    /// The text of `latest.*`, whether it is compressed or not.
    pub fn latest(&self) -> Option<String> {
        let latest = self.files.keys().find(|name| name.starts_with("latest."))?;
        let bytes = &self.files[latest];
        let mut text = String::new();
        let is_gzip = Path::new(latest).extension() == Some(OsStr::new("gz"));
        if is_gzip {
            GzDecoder::new(&bytes[..])
                .read_to_string(&mut text)
                .expect("gzip");
            return Some(text);
        }
        self.file(latest).map(str::to_owned)
    }

    /// All committed segments, one after the other.
    pub fn appended(&self) -> String {
        let segments = self
            .files
            .keys()
            .filter(|name| name.starts_with("segments/"));
        segments.filter_map(|name| self.file(name)).collect()
    }

    /// The manifest is the one the generation's name promises, and every file is what the manifest says.
    pub fn is_whole(&self) {
        let name = self
            .generation
            .as_deref()
            .expect("a generation is published");
        let manifest = &self.files["current/manifest.json"];
        assert!(
            name.ends_with(&hex(manifest)[..16]),
            "`{name}` is not the generation of this manifest"
        );
        let manifest: Value = serde_json::from_slice(manifest).expect("the manifest is JSON");
        let files = manifest["files"]
            .as_object()
            .expect("the manifest lists files");
        if manifest["table"].is_string() {
            // Its rows were counted as they were read.
            return;
        }
        assert!(!files.is_empty(), "the manifest lists no file");
        for (name, listed) in files {
            let place = if name.starts_with("segments/") {
                name.clone()
            } else {
                format!("current/{name}")
            };
            let bytes = &self.files[&place];
            assert_eq!(listed["bytes"], bytes.len(), "{name}");
            assert_eq!(listed["sha256"], hex(bytes), "{name}");
            assert!(
                !name.starts_with("latest.") || self.files.get(name) == Some(bytes),
                "`{name}` at the top is not the one of the generation"
            );
        }
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "generation {:?}", self.generation)?;
        for (name, bytes) in &self.files {
            let text: String = String::from_utf8_lossy(bytes).chars().take(500).collect();
            writeln!(f, "{name}, {} bytes: {text}", bytes.len())?;
        }
        Ok(())
    }
}

/// The number at the beginning of a generation's name, or of a segment's.
fn number(name: &str) -> &str {
    name.get(..6).unwrap_or(name)
}

/// The names in a folder; none when there is no such folder.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// No file at any depth of this folder holds the credential, and none is named after it.
pub fn holds_nothing_of(key: &str, folder: &Path) {
    for name in names(folder) {
        let path = folder.join(&name);
        let Ok(metadata) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        let shown = if metadata.is_dir() {
            holds_nothing_of(key, &path);
            Vec::new()
        } else if metadata.is_file() {
            std::fs::read(&path).unwrap_or_default()
        } else {
            std::fs::read_link(&path)
                .unwrap_or_default()
                .into_os_string()
                .into_encoded_bytes()
        };
        assert_eq!(
            form_of(key, name.as_bytes()),
            None,
            "`{}` is named after the credential",
            path.display()
        );
        assert_eq!(
            form_of(key, &shown),
            None,
            "`{}` holds the credential",
            path.display()
        );
    }
}

/// The form in which the credential stands in these bytes, if it does.
pub fn form_of(key: &str, bytes: &[u8]) -> Option<&'static str> {
    let forms = [
        ("as it is", key.to_owned()),
        ("in base64", STANDARD_NO_PAD.encode(key)),
    ];
    let found = forms
        .into_iter()
        .find(|(_, form)| memchr::memmem::find(bytes, form.as_bytes()).is_some());
    found.map(|(name, _)| name)
}

/// The sha256 in hex.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |bits: u8| char::from_digit(u32::from(bits), 16).expect("four bits are one digit");
    let digest = Sha256::digest(bytes);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect()
}
