//! Ten jobs on one machine, as the docs have them: a file that they share, one each, and two lines of crontab.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::server::{Reply, Request};
use crate::world::Job;

/// Its heading in the docs.
pub const HEADING: &str = "Ten jobs on one machine";

const NAMES: [&str; 10] = [
    "carts", "contacts", "coupons", "invoices", "orders", "parcels", "products", "refunds",
    "stores", "taxes",
];

/// A machine with the files of the docs on it; the folders of the machine are below the job's.
struct Machine {
    job: Job,
    crontab: String,
}

impl Machine {
    fn new() -> Self {
        let job = Job::new();
        let here = |text: &str| {
            let folder = job.beside("").display().to_string();
            ["/etc/sync", "/srv/sync", "/var/log"]
                .iter()
                .fold(text.to_owned(), |text, top| {
                    text.replace(top, &format!("{}{top}", folder.trim_end_matches('/')))
                })
        };
        for folder in ["etc/sync/jobs", "srv/sync", "var/log", "bin"] {
            fs::create_dir_all(job.beside(folder)).expect("make a folder");
        }
        let program = Path::new(env!("CARGO_BIN_EXE_tidegate"));
        std::os::unix::fs::symlink(program, job.beside("bin/tidegate")).expect("install tidegate");
        job.file("etc/sync/api.key", &job.key);
        job.file("etc/sync/all.env", &here(super::block(HEADING, 0)));
        let own = here(super::block(HEADING, 1)).replace("https://api.example.com", "{server}");
        for name in NAMES {
            job.file(
                &format!("etc/sync/jobs/{name}.env"),
                &own.replace("orders", name),
            );
        }
        let crontab = here(super::block(HEADING, 2));
        Self { job, crontab }
    }

    /// Runs the line of crontab that has this in it, as cron does: what comes back as output is mailed.
    fn cron(&self, line: &str) -> Output {
        let line = self
            .crontab
            .lines()
            .find(|text| text.contains(line))
            .expect("a line");
        // Five fields are when; cron itself has blanks between them.
        let command = line
            .split_whitespace()
            .skip(5)
            .collect::<Vec<_>>()
            .join(" ");
        let path = format!("{}:/usr/bin:/bin", self.job.beside("bin").display());
        Command::new("/bin/sh")
            .args(["-c", &command])
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.job.beside(""))
            .env("TIDEGATE_CACHE_DIR", crate::world::guests::cache())
            .current_dir(self.job.beside(""))
            .output()
            .expect("run a line of crontab")
    }

    fn latest(&self, name: &str) -> Value {
        let file = self.job.beside(&format!("srv/sync/{name}/latest.json"));
        let text = fs::read_to_string(file).expect("something is published");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Every job has its own path; all answers but this one's are good.
    fn serve(&self, gone: &'static str) {
        let key = self.job.key.clone();
        self.job
            .server
            .answer_with(move |request| answer(request, &key, gone));
    }
}

fn answer(request: &Request, key: &str, gone: &str) -> Reply {
    let name = request.path().trim_start_matches("/v1/");
    let status = match request.header("authorization") {
        Some(sent) if sent == format!("Bearer {key}") && name != gone => 200,
        Some(_) if name == gone => 410,
        _ => 401,
    };
    Reply::new(
        status,
        format!(r#"{{"items":[{{"id":"{name}","updated_at":"2026-11-20T12:00:00Z"}}]}}"#),
    )
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn cron_mails_what_failed_and_nothing_else() {
    let machine = Machine::new();

    machine.serve("");
    let good = (
        machine.cron("tidegate run"),
        machine.cron("tidegate health"),
    );
    machine.serve("parcels");
    let bad = (
        machine.cron("tidegate run"),
        machine.cron("tidegate health"),
    );

    for mail in [
        &good.0.stdout,
        &good.0.stderr,
        &good.1.stdout,
        &good.1.stderr,
    ] {
        assert_eq!(text(mail), "");
    }
    assert_eq!(
        NAMES.map(|name| machine.latest(name)[0]["id"] == name),
        [true; 10]
    );
    let mail = text(&bad.0.stderr);
    assert_eq!(
        (text(&bad.0.stdout), mail.lines().count()),
        ("", 1),
        "{mail}"
    );
    assert!(
        mail.contains("/v1/parcels") && mail.contains("410"),
        "{mail}"
    );
    let mail = text(&bad.1.stdout);
    assert_eq!(
        (text(&bad.1.stderr), mail.lines().count()),
        ("", 1),
        "{mail}"
    );
    assert!(mail.contains("/etc/sync/jobs/parcels.env: "), "{mail}");
    let log = fs::read_to_string(machine.job.beside("var/log/sync.log")).expect("a log");
    let of_job = |name: &str| {
        log.lines()
            .filter(|line| line.contains(&format!(r#""job":"{name}""#)))
            .count()
    };
    assert!(NAMES.map(of_job).iter().all(|lines| *lines >= 2), "{log}");
    assert!(!log.contains(&machine.job.key), "{log}");
}
