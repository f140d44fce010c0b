//! The password is nowhere: not in an argument, not in a child's environment, not in a file, not in what is printed; however it
//! was given, while a run works and after it, and also when the server refuses it.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem;

use crate::server::{Latch, Reply};
use crate::world::postgres::{Database, PASSWORD, server};
use crate::world::{Job, Printed};

/// One that the server refuses.
const WRONG: &str = "n0/t+the 0ne%at.all";
const WAYS: [Way; 4] = [Way::Variable, Way::File, Way::Credentials, Way::Url];

/// How it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// OUTPUT_DATABASE_PASSWORD.
    Variable,
    /// OUTPUT_DATABASE_PASSWORD_FILE.
    File,
    /// `$CREDENTIALS_DIRECTORY/OUTPUT_DATABASE_PASSWORD`.
    Credentials,
    /// Within the URL in OUTPUT_DATABASE_URL_FILE.
    Url,
}

fn escaped(text: &str) -> String {
    let escape = |byte: u8| format!("%{byte:02X}");
    text.bytes().map(escape).collect()
}

/// A job that is given this password this way, and has a temporary folder of its own.
fn job(database: &Database, way: Way, password: &str) -> Job {
    let job = Job::upsert().postgres(database.clone());
    let temporary = job.beside("tmp");
    fs::create_dir(&temporary).unwrap();
    let job = job.set("TMPDIR", &temporary.display().to_string());
    let file = |name: &str, text: &str| {
        let path = job.file(name, &format!("{text}\n"));
        path.display().to_string()
    };
    match way {
        Way::Variable => job.set("OUTPUT_DATABASE_PASSWORD", password),
        Way::File => {
            let file = file("password", password);
            job.unset("OUTPUT_DATABASE_PASSWORD")
                .set("OUTPUT_DATABASE_PASSWORD_FILE", &file)
        }
        Way::Credentials => {
            fs::create_dir(job.beside("credentials")).unwrap();
            file("credentials/OUTPUT_DATABASE_PASSWORD", password);
            let folder = job.beside("credentials").display().to_string();
            job.unset("OUTPUT_DATABASE_PASSWORD")
                .set("CREDENTIALS_DIRECTORY", &folder)
        }
        Way::Url => {
            let url = database.url(server().port);
            let with = url.replace("etl@", &format!("etl:{}@", escaped(password)));
            let file = file("url", &with);
            job.unset("OUTPUT_DATABASE_PASSWORD")
                .unset("OUTPUT_DATABASE_URL")
                .set("OUTPUT_DATABASE_URL_FILE", &file)
        }
    }
}

fn shows(password: &str, bytes: &[u8]) -> bool {
    let forms = [
        password.to_owned(),
        escaped(password),
        STANDARD_NO_PAD.encode(password),
    ];
    forms
        .iter()
        .any(|form| memmem::find(bytes, form.as_bytes()).is_some())
}

fn no_file_shows(password: &str, folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        assert!(!shows(password, path.as_os_str().as_encoded_bytes()));
        if path.is_dir() {
            no_file_shows(password, &path);
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            assert!(!shows(password, &bytes), "{}", path.display());
        }
    }
}

fn nothing_shows(password: &str, job: &Job) {
    no_file_shows(password, &job.output());
    no_file_shows(password, &job.beside("tmp"));
}

fn nothing_printed_shows(password: &str, printed: &Printed) {
    for text in [&printed.stdout, &printed.stderr] {
        assert!(!shows(password, text.as_bytes()), "{text}");
    }
}

fn of_process(pid: u32, what: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default()
}

/// The processes that this one began, and those that they did.
fn descendants(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter();
    let children = tasks.flatten().flatten().flat_map(|task| {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let pids = children.split_whitespace().map(str::parse);
        pids.map_while(Result::ok).collect::<Vec<u32>>()
    });
    children
        .flat_map(|child| [vec![child], descendants(child)].concat())
        .collect()
}

#[test]
fn while_a_run_works_no_argument_no_child_and_no_file_shows_it_and_neither_does_what_is_left() {
    for (way, format) in WAYS.into_iter().zip(["text", "json"].into_iter().cycle()) {
        let database = server().database();
        let latch = Latch::default();
        let held = latch.clone();
        let mut job = job(&database, way, PASSWORD)
            .set("LOG_FORMAT", format)
            .api(move |_| {
                held.pass();
                Reply::new(200, r#"[{"id":1,"updated":1}]"#)
            });

        let running = job.start().has_asked(1);

        let pid = running.pid();
        let arguments = of_process(pid, "cmdline");
        assert!(memmem::find(&arguments, b"tidegate\0run").is_some());
        assert!(!shows(PASSWORD, &arguments), "{way:?}");
        // The search finds it where it was put.
        let environment = of_process(pid, "environ");
        assert_eq!(shows(PASSWORD, &environment), way == Way::Variable);
        for child in descendants(pid) {
            for what in ["cmdline", "environ"] {
                assert!(!shows(PASSWORD, &of_process(child, what)), "{way:?}");
            }
        }
        nothing_shows(PASSWORD, running.job());
        latch.open();
        let printed = running.ends_unchecked();
        printed.exits(0);
        nothing_printed_shows(PASSWORD, &printed);
        nothing_shows(PASSWORD, &job);
        let rows = database.sql("SELECT * FROM tidegate_state, orders, tidegate_runs");
        assert!(!shows(PASSWORD, rows.as_bytes()), "{rows}");
    }
}

#[test]
fn one_that_the_server_refuses_is_not_shown_either() {
    let database = server().database();
    for way in WAYS {
        for format in ["text", "json"] {
            let mut job = job(&database, way, WRONG).set("LOG_FORMAT", format);

            let printed = job.start().ends_unchecked();

            printed.exits(73).stderr_has("SQLSTATE 28P01");
            nothing_printed_shows(WRONG, &printed);
            nothing_shows(WRONG, &job);
            for command in ["check", "health"] {
                nothing_printed_shows(WRONG, &job.tidegate([command]));
            }
        }
    }
}

#[test]
fn what_the_server_says_with_it_in_it_is_shown_without() {
    for way in WAYS {
        let database = server().database();
        let page = r#"[{"id":1,"updated":1}]"#;
        let mut job = job(&database, way, PASSWORD)
            .page(200, page)
            .page(200, page);
        job.start().ends_unchecked().exits(0);
        database.sql(&format!(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not with {}'; END $$; \
             CREATE TRIGGER no BEFORE UPDATE ON tidegate_state FOR EACH ROW EXECUTE FUNCTION no()",
            PASSWORD.replace('%', "%%")
        ));

        let printed = job.start().ends_unchecked();

        printed.exits(65).stderr_has("not with REDACTED");
        let recorded = database.sql("SELECT * FROM tidegate_runs WHERE exit_code = 65");
        assert!(recorded.contains("not with REDACTED"), "{recorded}");
        assert!(!shows(PASSWORD, recorded.as_bytes()), "{recorded}");
        nothing_printed_shows(PASSWORD, &printed);
        nothing_shows(PASSWORD, &job);
    }
}
