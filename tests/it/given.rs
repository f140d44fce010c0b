//! Files that an operator names: pipes are read, devices and what others can write are refused, and nothing waits for ever.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use tidegate::outcome::Outcome;

use crate::world::{Job, guests, hex};

const ONE: &str = r#"[{"id":1}]"#;

/// Starts a run with what a script prints in descriptor 7.
fn piped(job: Job, prints: &str) -> Job {
    job.launched_by(&format!(
        "{{ {prints}; }} | {{ exec 7<&0 </dev/null; exec \"$@\"; }}"
    ))
}

/// A named pipe that nobody writes to.
fn silent(job: &Job) -> String {
    let path = job.beside("silent");
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    path.display().to_string()
}

fn let_all_write(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
}

/// A run with this setting ends before it asks for anything, and says this.
#[track_caller]
fn is_refused(job: Job, name: &str, value: &str, told: &str) {
    let run = job.set(name, value).run();

    run.exits(Outcome::Settings).asked(0).stderr_has(told);
}

#[test]
fn settings_may_come_through_a_pipe() {
    let job = Job::new()
        .args(["--env-file", "/proc/self/fd/7"])
        .page(200, ONE);

    let run = piped(job, "echo JOB_NAME=piped; sleep 0.1; echo MIN_RECORDS=1").run();

    assert_eq!(run.exits(Outcome::Published).summary()["job"], "piped");
}

#[test]
fn settings_may_come_from_standard_input() {
    let job = Job::new()
        .args(["--env-file", "/dev/stdin"])
        .page(200, ONE)
        .launched_by("echo JOB_NAME=piped | \"$@\"");
    let mut job = job;

    assert_eq!(
        job.run().exits(Outcome::Published).summary()["job"],
        "piped"
    );
}

#[test]
fn a_secret_may_come_through_a_pipe_and_is_read_once() {
    let job = Job::new()
        .unset("SOURCE_API_KEY")
        .set("SOURCE_API_KEY_FILE", "/dev/fd/7")
        .page(200, ONE);
    let (bearer, prints) = (format!("Bearer {}", job.key), format!("echo {}", job.key));

    let run = piped(job, &prints).run();

    run.exits(Outcome::Published);
    assert_eq!(
        run.requests[0].header("authorization"),
        Some(bearer.as_str())
    );
}

#[test]
fn a_pipe_that_nobody_writes_to_is_78() {
    let job = Job::new();
    let pipe = silent(&job);

    let run = job.args(["--env-file", &pipe]).run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("whose writer did not close it within 5 s");
}

#[test]
fn a_signal_ends_the_wait_for_a_pipe() {
    let job = Job::new().old(ONE);
    let pipe = silent(&job);
    let mut job = job.then(|job| job.args(["--env-file", &pipe]));

    let run = job.start().hears_signals().signalled(Signal::TERM).ends();
    let health = job.begin(["health", "--env-file", &pipe]);
    let health = health.hears_signals().signalled(Signal::INT).ends();

    run.exits(Outcome::Terminated).publishes_nothing();
    assert_eq!(run.last_run()["exit_code"], 143);
    health.exits(130);
}

#[test]
fn what_must_be_a_regular_file_is_no_pipe_and_no_device() {
    let job = Job::new();
    let pipe = silent(&job);
    for file in [pipe.as_str(), "/dev/zero", "/dev/null"] {
        let told = if file == pipe { "a pipe" } else { "a device" };
        let component = Job::new().args(["--component", file]).run();
        component.exits(Outcome::Settings).stderr_has(told);

        is_refused(Job::new(), "CA_FILE", file, told);
        let with_key = Job::new()
            .set("SOURCE_API_URL", "https://127.0.0.1:9/items")
            .set("CLIENT_CERT_FILE", file);
        is_refused(with_key, "CLIENT_KEY_FILE", file, told);
        let url = format!("postgres://u@127.0.0.1:9/d?sslmode=verify-full&sslrootcert={file}");
        is_refused(Job::new(), "OUTPUT_DATABASE_URL", &url, told);
    }
}

#[test]
fn a_device_or_a_folder_holds_no_settings_and_null_is_empty() {
    for (file, told) in [("/dev/zero", "it is a device"), ("/", "it is a folder")] {
        let run = Job::new().args(["--env-file", file]).run();

        run.exits(Outcome::Settings).stderr_has(told);
        let job = Job::new().unset("SOURCE_API_KEY");
        is_refused(job, "SOURCE_API_KEY_FILE", file, told);
        is_refused(Job::new(), "TRANSFORM_FILE", file, told);
    }

    Job::new()
        .args(["--env-file", "/dev/null"])
        .page(200, ONE)
        .run()
        .exits(Outcome::Published);
}

#[test]
fn a_secret_file_with_nothing_in_it_is_78_and_named() {
    for text in ["", "\n", " \t\n"] {
        let job = Job::new().unset("SOURCE_API_KEY");
        let file = job.file("api.key", text).display().to_string();

        is_refused(job, "SOURCE_API_KEY_FILE", &file, "api.key");
    }
}

#[test]
fn a_secret_of_nothing_but_white_space_is_78_wherever_it_is_given() {
    is_refused(
        Job::new(),
        "SOURCE_API_KEY",
        "  ",
        "SOURCE_API_KEY is empty, or only white space: give the secret, or unset it (environment)",
    );

    let job = Job::new().unset("SOURCE_API_KEY");
    std::fs::create_dir(job.beside("secrets")).unwrap();
    let folder = job.beside("secrets").display().to_string();
    job.file("secrets/SOURCE_API_KEY", " \n");
    is_refused(
        job,
        "CREDENTIALS_DIRECTORY",
        &folder,
        "secrets/SOURCE_API_KEY",
    );
}

#[test]
fn what_every_user_can_write_is_no_settings_file_and_no_secret() {
    let writable = |job: &Job, text: &str| -> PathBuf {
        let file = job.file("own", text);
        let_all_write(&file);
        file
    };

    let job = Job::new();
    let file = writable(&job, "MIN_RECORDS=1\n").display().to_string();
    let run = job.args(["--env-file", &file]).run();
    run.exits(Outcome::Settings).stderr_has("mode 0666");

    let job = Job::new().unset("SOURCE_API_KEY");
    let file = writable(&job, &job.key).display().to_string();
    is_refused(job, "SOURCE_API_KEY_FILE", &file, "mode 0666");

    for name in ["CA_FILE", "TRANSFORM_FILE", "OUTPUT_COLUMNS_FILE"] {
        let job = Job::new();
        let file = writable(&job, ".\n").display().to_string();
        is_refused(job, name, &file, "mode 0666");
    }
}

#[test]
fn a_component_that_every_user_can_write_is_78_unless_its_digest_is_given() {
    let copy = |job: &Job| {
        let file = job.beside("own.wasm");
        std::fs::copy(guests::misbehaving(), &file).unwrap();
        let_all_write(&file);
        file
    };
    let job = Job::new();
    let file = copy(&job);

    let run = job.component(&file).run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("every user can write to it");

    let job = Job::new();
    let file = copy(&job);
    let digest = hex(&std::fs::read(&file).unwrap());
    job.component(&file)
        .set("SOURCE_MISBEHAVIOUR", "none")
        .args(["--component-sha256", &digest])
        .run()
        .exits(Outcome::Published);
}
