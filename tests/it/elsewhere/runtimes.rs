//! How each runtime is called: with the lines and the scripts of `docs/component-elsewhere.md`, as they are there.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::docs::{block_after, text_of};

/// A runtime with the component ready in it.
pub struct Runtime {
    kind: Kind,
    /// The component, the scripts, and what is compiled.
    folder: TempDir,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `wasmtime run`.
    Wasmtime,
    /// `run.py` with the compiler of wasmtime.
    Cranelift,
    /// `run.py` with the interpreter of wasmtime.
    Pulley,
    /// `run.mjs`.
    Node,
}

impl Runtime {
    pub fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let component = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .arg("component")
            .output()
            .unwrap();
        std::fs::write(folder.path().join("rest.wasm"), component.stdout).unwrap();
        for name in ["run.py", "build.mjs", "run.mjs"] {
            std::fs::write(
                folder.path().join(name),
                block_after(&format!("\n`{name}`:\n")),
            )
            .unwrap();
        }
        let runtime = Self { kind, folder };
        if kind == Kind::Node {
            std::os::unix::fs::symlink(
                installed("jco/node_modules"),
                runtime.folder.path().join("node_modules"),
            )
            .unwrap();
            let built = runtime.program("node").arg("build.mjs").output().unwrap();
            assert!(built.status.success(), "{built:?}");
        }
        runtime
    }

    /// A run with these settings into this folder.
    pub fn run(&self, out: &Path, settings: &[(String, String)]) -> Command {
        let out = out.to_str().unwrap();
        let mut command = match self.kind {
            Kind::Wasmtime => {
                let line = "wasmtime run -S http -S inherit-network --dir ";
                assert!(text_of("docs/component-elsewhere.md").contains(line));
                let mut command = self.program("wasmtime");
                command.args(["run", "-S", "http", "-S", "inherit-network"]);
                command.args(["--dir", &format!("{out}::/")]);
                for (name, value) in settings {
                    command.args(["--env", &format!("{name}={value}")]);
                }
                command.arg("rest.wasm");
                return command;
            }
            Kind::Cranelift | Kind::Pulley => {
                let mut command = self.program("python3");
                command.args(["run.py", "rest.wasm", out]);
                if self.kind == Kind::Pulley {
                    command.arg("pulley64");
                }
                command
            }
            Kind::Node => {
                let mut command = self.program("node");
                command.args(["run.mjs", out]);
                command
            }
        };
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A program of what `tests/tools.sh` installed, in this folder and with nothing else in its environment.
    fn program(&self, name: &str) -> Command {
        let program = if name == "node" {
            let own = installed("node/bin/node");
            if own.exists() { own } else { name.into() }
        } else {
            installed("wasmtime/bin").join(name)
        };
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path());
        command
    }
}

/// A path below `target/`.
fn installed(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.unwrap().join("target").join(path)
}
