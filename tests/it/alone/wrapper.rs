//! The wrapper for cron in `docs/component-elsewhere.md`, as it is shown but for its paths.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::fs::{FlockOperation, flock};

use super::{TWO, TWO_LINES, run_in};
use crate::docs::block_after;
use crate::server::{Reply, Server};

fn executable(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Names the file with the arguments of the command that this binary stands in for.
const ARGUMENTS: &str = "TIDEGATE_TEST_WASMTIME";

/// The wrapper, in a folder of its own with all that it names.
struct Wrapper {
    folder: tempfile::TempDir,
}

impl Wrapper {
    /// Runs the component by what `command` is, in place of `wasmtime`.
    fn with(server: &Server, command: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let script = block_after("## Under cron");
        for part in [
            "https://api.example.com/v1/orders",
            "/srv/sync",
            "/etc/sync/",
            "/usr/local/share/tidegate",
        ] {
            assert!(script.contains(part), "the wrapper has {part}");
        }
        let script = script
            .replace("https://api.example.com/v1/orders", &server.origin())
            .replace("/srv/sync", &path("sync"))
            .replace("--dir /etc/sync:", &format!("--dir {}:", path("etc")))
            .replace("/usr/local/share/tidegate", &path("share"));
        for name in ["sync", "sync/orders", "etc", "share", "bin"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("etc/orders.key"), "open-sesame\n").unwrap();
        executable(&folder.path().join("orders.sh"), &script);
        executable(&folder.path().join("bin/wasmtime"), command);
        Self { folder }
    }

    /// The same, where `wasmtime` is the runtime of these tests.
    fn real(server: &Server) -> Self {
        let this = std::env::current_exe().unwrap();
        let command = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$0.args\"\n{ARGUMENTS}=\"$0.args\" exec {} --exact alone::wrapper::stands_in_for_wasmtime --nocapture >/dev/null\n",
            this.display()
        );
        Self::with(server, &command)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self) -> Output {
        let path = std::env::var("PATH").unwrap();
        Command::new(self.path("orders.sh"))
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .output()
            .unwrap()
    }

    /// It ends with this code, and with one line that has this in it; none where it is empty.
    #[track_caller]
    fn exits(&self, code: i32, text: &str) {
        let ended = self.run();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{stderr}");
        assert_eq!(
            stderr.lines().count(),
            usize::from(!text.is_empty()),
            "{stderr}"
        );
        assert!(stderr.contains(text), "{text}: {stderr}");
    }
}

/// No test by itself: the command `wasmtime run` of the others, with the runtime of this module.
#[test]
fn stands_in_for_wasmtime() {
    let Some(file) = std::env::var_os(ARGUMENTS) else {
        return;
    };
    let arguments = fs::read_to_string(file).unwrap();
    let mut arguments = arguments.lines();
    let (mut folders, mut environment) = (Vec::new(), Vec::new());
    assert_eq!(arguments.next(), Some("run"));
    while let Some(argument) = arguments.next() {
        match argument {
            "-S" => assert!(["http", "inherit-network"].contains(&arguments.next().unwrap())),
            "--dir" => folders.push(arguments.next().unwrap().split_once("::").unwrap()),
            "--env" => environment.push(arguments.next().unwrap().split_once('=').unwrap()),
            file => assert!(
                file.ends_with("/rest.wasm") && !file.starts_with('-'),
                "{file}"
            ),
        }
    }
    let folders: Vec<(&Path, &str)> = folders
        .iter()
        .map(|(host, name)| (Path::new(*host), *name))
        .collect();

    let ended = run_in(&folders, &environment);

    eprint!("{}", ended.log);
    std::process::exit(i32::from(!ended.ok));
}

#[test]
fn the_wrapper_says_nothing_when_the_run_worked() {
    let server = Server::start(|_| Reply::new(200, TWO));
    let wrapper = Wrapper::real(&server);

    wrapper.exits(0, "");

    let latest = fs::read_to_string(wrapper.path("sync/orders/latest.ndjson")).unwrap();
    assert_eq!(latest, TWO_LINES);
    assert_eq!(
        server.seen()[0].header("authorization"),
        Some("Bearer open-sesame")
    );
}

#[test]
fn the_wrapper_ends_with_the_code_of_the_last_line() {
    let server = Server::start(|_| Reply::new(401, ""));
    let wrapper = Wrapper::real(&server);

    wrapper.exits(77, "orders: exit 77: ");
    server.answer_with(|_| Reply::new(200, "{}"));
    wrapper.exits(76, "orders: exit 76: ");
    fs::remove_file(wrapper.path("etc/orders.key")).unwrap();
    wrapper.exits(78, "orders: exit 78: SOURCE_API_KEY");
}

#[test]
fn the_wrapper_takes_a_runtime_that_fails_for_no_success() {
    let server = Server::start(|_| Reply::new(200, TWO));

    let traps = "#!/bin/sh\necho 'page 1: 2 records' >&2\necho 'Error: wasm trap' >&2\nexit 134\n";
    Wrapper::with(&server, traps).exits(
        70,
        "orders: exit 70: the runtime ended with 134: Error: wasm trap",
    );
    let silent = "#!/bin/sh\nexit 0\n";
    Wrapper::with(&server, silent).exits(70, "orders: exit 70: the runtime ended with 0");
    let after = "#!/bin/sh\necho 'exit 0: wrote 1 record' >&2\nexit 1\n";
    Wrapper::with(&server, after).exits(70, "orders: exit 70: the runtime ended with 1");
    let stopped = "#!/bin/sh\nexit 124\n";
    Wrapper::with(&server, stopped).exits(75, "orders: exit 75: ");
}

#[test]
fn the_wrapper_runs_once_at_a_time() {
    let server = Server::start(|_| Reply::new(200, TWO));
    let wrapper = Wrapper::real(&server);
    let lock = fs::File::create(wrapper.path("sync/orders.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();

    wrapper.exits(75, "orders: exit 75: ");

    assert_eq!(server.seen().len(), 0);
    drop(lock);
    wrapper.exits(0, "");
}
