//! Builds the component from `guest/` and leaves it where `run/setup.rs` embeds it from.
//!
//! It only detects: what is missing is installed by `guest/setup.sh`. `TIDEGATE_COMPONENT=<file>` embeds that file instead.

#[path = "build/wasm.rs"]
mod wasm;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

fn main() {
    if let Err(error) = embed() {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn embed() -> Result<()> {
    let host = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("OUT_DIR")?);
    let workspace = host.parent().context("the workspace above host/")?;

    for path in [
        "guest",
        "wit",
        "Cargo.toml",
        "Cargo.lock",
        "host/build",
        "host/build.rs",
    ] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    for name in ["TIDEGATE_COMPONENT", "TIDEGATE_WASM_STD"] {
        println!("cargo::rerun-if-env-changed={name}");
    }

    let component = match std::env::var_os("TIDEGATE_COMPONENT") {
        Some(file) => given(Path::new(&file))?,
        None => wasm::component(workspace, "tidegate-guest", &out.join("guest"))?,
    };
    std::fs::write(out.join("rest.wasm"), component).context("write the component")
}

fn given(file: &Path) -> Result<Vec<u8>> {
    println!("cargo::rerun-if-changed={}", file.display());
    std::fs::read(file).with_context(|| format!("read TIDEGATE_COMPONENT `{}`", file.display()))
}
