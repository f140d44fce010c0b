//! A folder of jobs: `tidegate run FOLDER` and `tidegate health FOLDER`.

/// The jobs of a folder divided among several processes.
mod divided;
/// Jobs that share settings, and what they use once.
mod resources;
/// What is said once of several resources, and what is wrong with it.
mod said_once;

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::server::{Latch, Reply, Request};
use crate::world::{Job, Printed};

const TWO: &str = r#"[{"id":1},{"id":2}]"#;
/// Nothing that is waited for here takes longer.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A folder `jobs` with these jobs, `tenant/name`: each fetches the path of its name into a folder of its name in `out`.
fn fleet(jobs: &[&str]) -> Job {
    let fleet = Job::new().unset("SOURCE_API_URL").unset("OUTPUT_DIR");
    for job in jobs {
        with(&fleet, job, "");
    }
    fleet
}

/// The same with one job more, which has these further settings.
fn with(fleet: &Job, job: &str, more: &str) {
    let file = format!("jobs/{job}.env");
    let folder = fleet.beside(&file);
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    let output = fleet.beside("out").join(job).display().to_string();
    fleet.file(
        &file,
        &format!("SOURCE_API_URL={{server}}/{job}\nOUTPUT_DIR={output}\n{more}"),
    );
}

/// What readers of a job see.
fn published(fleet: &Job, job: &str) -> Option<String> {
    std::fs::read_to_string(fleet.beside("out").join(job).join("latest.json")).ok()
}

/// The lines of the log with this message.
fn lines(printed: &Printed, msg: &str) -> Vec<Value> {
    let lines = printed.stdout.lines();
    let parsed = lines.map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    parsed.filter(|line| line["msg"] == msg).collect()
}

/// Each job with its code, in the order of their ends.
fn codes(printed: &Printed) -> Vec<(String, u64)> {
    let ended = lines(printed, "job ended");
    let codes = ended.iter().map(|line| {
        let job = line["job"].as_str().expect("a name").to_owned();
        (job, line["exit_code"].as_u64().expect("a code"))
    });
    codes.collect()
}

fn sorted(mut codes: Vec<(String, u64)>) -> Vec<(String, u64)> {
    codes.sort();
    codes
}

fn expected(codes: &[(&str, u64)]) -> Vec<(String, u64)> {
    let codes = codes.iter();
    codes
        .map(|(job, code)| ((*job).to_owned(), *code))
        .collect()
}

/// The processes that this one started.
fn children(parent: u32) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let children = processes.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        let is_child = fields.split(' ').nth(1)?.parse() == Ok(parent);
        Pid::from_raw(pid).filter(|_| is_child)
    });
    children.collect()
}

/// Waits until a process is gone, or only its number is left.
fn is_gone(pid: Pid) {
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let is_there = || {
        let stat = std::fs::read_to_string(&stat).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, fields)| !fields.starts_with('Z'))
    };
    let begun = Instant::now();
    while is_there() {
        assert!(begun.elapsed() < WAIT_MAX, "{stat} is still there");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn asked(fleet: &Job) -> Vec<String> {
    let seen = fleet.server.seen();
    seen.iter()
        .map(|request| request.path().to_owned())
        .collect()
}

#[test]
fn every_job_runs_once_and_the_code_is_the_worst() {
    let fleet = fleet(&["acme/orders", "acme/gone", "zoo/orders", "own"]).api(|request| {
        let status = if request.path() == "/acme/gone" {
            404
        } else {
            200
        };
        Reply::new(status, TWO)
    });
    with(
        &fleet,
        "zoo/busy",
        "MAX_RETRIES=0\nSOURCE_API_URL=http://127.0.0.1:1/\n",
    );
    fleet.file(
        "jobs/zoo/busy.env",
        "SOURCE_API_URL=http://127.0.0.1:1/\nMAX_RETRIES=0\nOUTPUT_DIR=out/busy\n",
    );

    let printed = fleet.tidegate(["run", "jobs", "--parallel", "2"]);

    printed.exits(69);
    let expected = expected(&[
        ("acme/gone", 69),
        ("acme/orders", 0),
        ("own", 0),
        ("zoo/busy", 75),
        ("zoo/orders", 0),
    ]);
    assert_eq!(sorted(codes(&printed)), expected);
    for job in ["acme/orders", "zoo/orders", "own"] {
        assert_eq!(
            published(&fleet, job).as_deref(),
            Some("[\n{\"id\":1},\n{\"id\":2}\n]\n")
        );
    }
    assert_eq!(asked(&fleet).len(), 4);
    // The lines of the runs are there, each with its job.
    assert_eq!(lines(&printed, "run finished").len(), 5);
    assert!(
        printed
            .stdout
            .lines()
            .all(|line| line.contains("fleet_job") || line.contains("fleet finished"))
    );
    let last = &lines(&printed, "fleet finished")[0];
    assert_eq!(
        (&last["jobs"], &last["failed"], &last["exit_code"]),
        (&5.into(), &2.into(), &69.into())
    );
    printed
        .stderr_has("tidegate: acme/gone: exit 69: `")
        .stderr_has("tidegate: exit 69: 2 of 5 jobs failed: ");
    assert_eq!(printed.stderr.lines().count(), 3);
}

#[test]
fn what_is_shared_counts_for_all_and_a_jobs_own_file_after_it() {
    let fleet = fleet(&["a", "b"]).api(|_| Reply::new(200, r#"{"items":[{"id":1}]}"#));
    with(&fleet, "b", "SOURCE_RECORDS=/none\n");
    fleet.file("shared.env", "SOURCE_RECORDS=/items\n");

    let printed = fleet.tidegate(["run", "jobs", "--env-file", "shared.env"]);

    assert_eq!(sorted(codes(&printed)), expected(&[("a", 0), ("b", 76)]));
    assert_eq!(
        published(&fleet, "a").as_deref(),
        Some("[\n{\"id\":1}\n]\n")
    );
}

#[test]
fn flags_of_a_run_count_for_every_job() {
    let fleet = fleet(&["a", "b"]).api(|_| Reply::new(200, TWO));

    let printed = fleet.tidegate(["run", "jobs", "--dry-run", "--output", "json"]);

    printed.exits(0);
    let ends: Vec<Value> = printed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(ends.len(), 3);
    assert_eq!(ends[0]["outcome"], "dry_run");
    assert_eq!(ends[2]["jobs"], 2);
    assert_eq!(published(&fleet, "a"), None);
}

#[test]
fn tenants_take_turns() {
    let fleet = fleet(&["a/1", "a/2", "a/3", "b/1", "c/1", "c/2"]).api(|_| Reply::new(200, TWO));

    fleet.tidegate(["run", "jobs", "--parallel", "1"]).exits(0);

    assert_eq!(
        asked(&fleet),
        ["/a/1", "/b/1", "/c/1", "/a/2", "/c/2", "/a/3"]
    );
}

#[test]
fn a_tenant_whose_jobs_hang_leaves_places_to_its_neighbours() {
    let (others, held) = (Latch::default(), Latch::default());
    let fleet = fleet(&["a/1", "a/2", "a/3", "b/1", "b/2", "b/3"]).api({
        let (others, held) = (others.clone(), held.clone());
        move |request: &Request| {
            match request.path() {
                // The last one of the neighbour lets the others go on.
                "/b/3" => held.open(),
                path if path.starts_with("/a") => held.pass(),
                _ => others.open(),
            }
            Reply::new(200, TWO)
        }
    });

    let printed = fleet.tidegate(["run", "jobs", "--parallel", "2"]);

    printed.exits(0);
    let order = asked(&fleet);
    let place = |path: &str| order.iter().position(|known| known == path).unwrap();
    assert!(place("/b/3") < place("/a/2"), "{order:?}");
    others.pass();
}

#[test]
fn a_signal_ends_every_job_and_frees_its_lock() {
    let fleet = fleet(&["a/1", "b/1", "b/2", "c/1"]).api(|_| Reply::silence());

    let begun = fleet.begin(["run", "jobs", "--parallel", "2"]);
    fleet.server.wait_for_requests(2);
    let jobs = children(begun.pid());
    let printed = begun.signalled(Signal::TERM).ends_with_many_lines();

    printed
        .exits(143)
        .stderr_has("tidegate: exit 143: stopped by SIGTERM; all started jobs have ended; ");
    assert_eq!(
        sorted(codes(&printed)),
        expected(&[("a/1", 143), ("b/1", 143)])
    );
    assert_eq!(lines(&printed, "fleet finished")[0]["not_started"], 2);
    assert!(!printed.stderr.contains("killed"), "{}", printed.stderr);
    assert_eq!(jobs.len(), 2);
    jobs.into_iter().for_each(is_gone);
    let again = fleet.api(|_| Reply::new(200, TWO));
    again.tidegate(["run", "jobs"]).exits(0);
}

#[test]
fn a_job_that_ignores_the_signal_is_killed() {
    let fleet = fleet(&["a/1"]).api(|_| Reply::silence());

    let begun = fleet.begin(["run", "jobs", "--grace", "1s"]);
    fleet.server.wait_for_requests(1);
    let jobs = children(begun.pid());
    kill_process(jobs[0], Signal::STOP).unwrap();
    let printed = begun.signalled(Signal::INT).ends_with_many_lines();

    printed
        .exits(130)
        .stderr_has("tidegate: a/1: exit 143: it was killed: it did not end within 1s of SIGTERM");
    jobs.into_iter().for_each(is_gone);
}

#[test]
fn a_job_that_takes_too_long_is_ended_and_one_that_crashes_is_70_and_neither_harms_a_neighbour() {
    let fleet = fleet(&["a/slow", "b/crash", "c/fine"]).api(|request| match request.path() {
        "/c/fine" => Reply::new(200, TWO),
        _ => Reply::silence(),
    });

    let begun = fleet.begin(["run", "jobs", "--parallel", "3", "--job-deadline", "3s"]);
    fleet.server.wait_for_requests(3);
    let crashing = children(begun.pid()).into_iter().find(|pid| {
        let path = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
        let words = std::fs::read_to_string(path).unwrap_or_default();
        words.contains("crash.env")
    });
    kill_process(crashing.unwrap(), Signal::ABORT).unwrap();
    let printed = begun.ends_with_many_lines();

    printed
        .exits(70)
        .stderr_has("tidegate: a/slow: exit 75: it took longer than `--job-deadline` allows (3s)")
        .stderr_has("tidegate: b/crash: exit 70: it was ended by signal 6");
    let expected = expected(&[("a/slow", 75), ("b/crash", 70), ("c/fine", 0)]);
    assert_eq!(sorted(codes(&printed)), expected);
    assert!(published(&fleet, "c/fine").is_some());
}

#[test]
fn no_job_outlives_its_fleet() {
    // Nothing else ends them in the time that is waited for.
    let fleet = fleet(&["a/1", "b/1"])
        .set("RUN_DEADLINE", "10m")
        .api(|_| Reply::silence());

    let begun = fleet.begin(["run", "jobs", "--parallel", "2"]);
    fleet.server.wait_for_requests(2);
    let jobs = children(begun.pid());
    let printed = begun.signalled(Signal::KILL).ends_with_many_lines();

    assert_eq!((printed.code, jobs.len()), (None, 2));
    jobs.into_iter().for_each(is_gone);
}

/// What a hostile component does, how long it may, and how its job ends.
const HOSTILE: [(&str, &str, u64); 4] = [
    ("flood-the-log", "1m", 0),
    ("loop", "1s", 70),
    ("trap", "1m", 70),
    ("eat-memory", "1m", 70),
];

#[test]
fn hostile_components_change_nothing_for_their_neighbours() {
    // `TIDEGATE_FLEET_JOBS=1000`: so many, of 100 tenants; a tenth of them is hostile.
    let count: usize = std::env::var("TIDEGATE_FLEET_JOBS").map_or(6, |count| {
        count.parse().expect("TIDEGATE_FLEET_JOBS is a number")
    });
    let hostile = HOSTILE.len().max(count / 10);
    let honest: Vec<String> = (hostile..count)
        .map(|nth| format!("honest-{}/{nth}", nth % 90))
        .collect();
    let names: Vec<&str> = honest.iter().map(String::as_str).collect();
    let fleet = fleet(&names).api(|_| Reply::new(200, TWO));
    let mut wanted: Vec<(String, u64)> = names.iter().map(|name| ((*name).to_owned(), 0)).collect();
    let component = crate::world::guests::misbehaving().display().to_string();
    for nth in 0..hostile {
        let (behaviour, cpu, code) = HOSTILE[nth % HOSTILE.len()];
        let job = format!("bad-{}/{behaviour}-{nth}", nth % 10);
        let output = fleet.beside("out").join(&job).display().to_string();
        let file = fleet.beside(&format!("jobs/{job}.toml"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        fleet.file(
            &format!("jobs/{job}.toml"),
            &format!(
                "component = {{ path = {component:?} }}\n[source]\nsource_misbehaviour = \"{behaviour}\"\n\
                 source_api_url = \"{{server}}/\"\n[output]\noutput_dir = {output:?}\n\
                 write_mode = \"replace\"\n[limits]\ncpu_limit = \"{cpu}\"\nmemory_limit = \"64MiB\"\n"
            ),
        );
        wanted.push((job, code));
    }

    let begun = Instant::now();
    let printed = fleet.begin(["run", "jobs"]).ends_with_many_lines();
    let took = begun.elapsed();

    printed.exits(70);
    assert_eq!(sorted(codes(&printed)), sorted(wanted));
    for job in &honest {
        assert_eq!(
            published(&fleet, job).as_deref(),
            Some("[\n{\"id\":1},\n{\"id\":2}\n]\n")
        );
    }
    // Past the test harness, which shows what is printed by failed tests only.
    let _ = writeln!(
        std::io::stderr(),
        "{} honest jobs published beside {hostile} hostile ones in {took:.1?}",
        honest.len()
    );
}

#[test]
fn a_name_that_is_none_is_78_and_the_others_run() {
    let fleet = fleet(&["a/fine", "a/Not-Fine", "B/x"]).api(|_| Reply::new(200, TWO));

    let printed = fleet.tidegate(["run", "jobs"]);

    printed.exits(78).stderr_has(
        "tidegate: a/Not-Fine: exit 78: `Not-Fine` cannot be the name of a tenant or a job",
    );
    let expected = expected(&[("B/x", 78), ("a/Not-Fine", 78), ("a/fine", 0)]);
    assert_eq!(sorted(codes(&printed)), expected);
    assert_eq!(asked(&fleet), ["/a/fine"]);
}

#[test]
fn a_folder_that_is_none_or_has_no_job_is_78_and_its_flags_need_one() {
    let job = Job::new();
    std::fs::create_dir(job.beside("empty")).unwrap();

    job.tidegate(["run", "none"]).exits(78);
    job.tidegate(["run", "empty"])
        .exits(78)
        .stderr_has("`empty` has no job");
    job.tidegate(["health", "empty"]).exits(78);
    job.tidegate(["run", "--parallel", "2"]).exits(64);
    job.tidegate(["run", "empty", "--parallel", "0"]).exits(64);
    job.tidegate(["run", "jobs", "--jitter", "soon"]).exits(64);
}

#[test]
fn on_a_terminal_it_is_a_table_of_80_columns() {
    let fleet = fleet(&["acme/orders", "zoo/gone"]).api(|request| {
        let status = if request.path() == "/zoo/gone" {
            404
        } else {
            200
        };
        Reply::new(status, TWO)
    });
    let long = format!("{0}/{0}", "x".repeat(63));
    with(&fleet, &long, "");
    let command = format!(
        "{} run jobs --parallel 1 2>errors",
        env!("CARGO_BIN_EXE_tidegate")
    );

    let shown = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TIDEGATE_CACHE_DIR", crate::world::guests::cache())
        .current_dir(fleet.beside(""))
        .output()
        .expect("script, of util-linux");

    let text = String::from_utf8(shown.stdout).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(shown.status.code(), Some(69), "{text}");
    let words = |line: &str| {
        line.split_whitespace()
            .take(4)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(lines[0]), ["JOB", "CODE", "OUTCOME", "RECORDS"]);
    assert_eq!(words(lines[1]), ["acme/orders", "0", "published", "2"]);
    assert!(
        lines[3].starts_with("zoo/gone  ") && lines[3].contains(" 69  source_refused"),
        "{text}"
    );
    assert!(
        lines[5].starts_with("3 jobs in ")
            && lines[5].ends_with(": 2 well, 1 failed, 0 not started"),
        "{text}"
    );
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn health_of_a_folder_is_one_table_with_one_code() {
    let fleet = fleet(&["a/fresh", "a/gone"]).api(|request| {
        let status = if request.path() == "/a/gone" {
            404
        } else {
            200
        };
        Reply::new(status, TWO)
    });
    fleet.tidegate(["run", "jobs"]).exits(69);
    with(&fleet, "b/never", "");

    let table = fleet.tidegate(["health", "jobs"]);
    let of_b = fleet.tidegate(["health", "jobs/b"]);
    let json = fleet.tidegate(["health", "jobs", "--output", "json"]);
    let aged = fleet.tidegate(["health", "jobs/b", "--max-age", "soon"]);

    table.exits(1);
    let rows: Vec<Vec<&str>> = table
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["JOB", "HEALTH", "AGE", "RECORDS", "WHY"]);
    assert_eq!(rows[1][..2], ["a/fresh", "fresh"]);
    assert_eq!(rows[1][3], "2");
    assert_eq!(rows[2][..4], ["a/gone", "stale", "-", "-"]);
    assert_eq!(rows[3][..2], ["b/never", "unknown"]);
    assert_eq!(rows[5].join(" "), "1 of 3 jobs fresh");
    assert!(
        table.stdout.lines().all(|line| line.chars().count() <= 80),
        "{}",
        table.stdout
    );
    of_b.exits(2);
    aged.exits(64);
    let json: Vec<Value> = json
        .exits(1)
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json[1]["status"], "stale");
    assert_eq!(json[1]["report"]["last_run"]["exit_code"], 69);
}
