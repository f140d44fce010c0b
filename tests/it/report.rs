//! `tidegate report` and STATUS_PAGE: a table, a page of HTML, and what becomes of a page that cannot be written.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::docs::block_after;
use crate::server::Reply;
use crate::world::{Job, postgres};

const TWO: &str =
    r#"[{"id":1,"updated":"2026-11-01T00:00:00Z"},{"id":2,"updated":"2026-11-02T00:00:00Z"}]"#;
/// What a source may put into the text of an error.
const HOSTILE: &str =
    "</style><script>alert(1)</script><img src=x onerror='alert(2)'>\u{202e}&amp;\"";

/// What is read of a page, and that it is as every page is: see `report/page.py`.
fn text_of(page: &str) -> String {
    let mut child = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/it/report/page.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start python3");
    let mut stdin = child.stdin.take().expect("its stdin");
    stdin
        .write_all(page.as_bytes())
        .expect("hand over the page");
    drop(stdin);
    let read = child.wait_with_output().expect("read the page");
    let wrong = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{wrong}\n{page}");
    String::from_utf8(read.stdout).expect("text")
}

fn page_at(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A job after two runs: published, failed.
fn fails(job: Job) -> Job {
    let mut job = job.page(200, TWO);
    job.run().printed.exits(0);
    let mut job = job.then(|job| job.page(404, "{}"));
    job.run().printed.exits(69);
    job
}

/// A folder `jobs` of these, each of which publishes into a folder of its name in `out`.
fn folder(jobs: &[(&str, &str)]) -> Job {
    let fleet = Job::new().unset("SOURCE_API_URL").unset("OUTPUT_DIR");
    for (job, more) in jobs {
        let file = format!("jobs/{job}.env");
        fs::create_dir_all(fleet.beside(&file).parent().unwrap()).unwrap();
        let output = fleet.beside("out").join(job).display().to_string();
        let text = format!("SOURCE_API_URL={{server}}/{job}\nOUTPUT_DIR={output}\n{more}");
        fleet.file(&file, &text);
    }
    fleet.api(|request| match request.path() {
        path if path.ends_with("bad") => Reply::new(404, r#"{"error":"no such path"}"#),
        _ => Reply::new(200, TWO),
    })
}

fn facts(printed: &str) -> Vec<Value> {
    let lines = printed.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a job is JSON"))
        .collect()
}

#[test]
fn one_job_is_a_table_json_and_a_page() {
    let job = fails(Job::upsert());

    let table = job.tidegate(["report"]);
    let json = job.tidegate(["report", "--output", "json"]);
    let page = job.tidegate(["report", "--html", "-"]);

    let table = &table.exits(0).stdout;
    assert!(table.is_ascii(), "{table}");
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );
    for text in [
        "failing since ",
        "exit 69, the source refused the request",
        "answered 404",
        "1 of 2 runs failed",
        "as of 20",
    ] {
        let words: Vec<&str> = table.split_whitespace().collect();
        assert!(words.join(" ").contains(text), "no `{text}`: {table}");
    }
    let facts = &facts(&json.exits(0).stdout)[0];
    assert_eq!(
        (&facts["status"], &facts["generation"]["records"]),
        (&"stale".into(), &2.into())
    );
    assert_eq!(
        (&facts["runs"][0]["exit_code"], &facts["runs"][1]["records"]),
        (&69.into(), &2.into())
    );
    let text = text_of(&page.exits(0).stdout);
    for said in [
        "failing",
        "answered 404",
        "the source refused the request",
        "Failing since",
    ] {
        assert!(text.contains(said), "no `{said}`: {text}");
    }
    let title = "<title>orders: failing · tidegate</title>";
    assert!(page.stdout.contains(title), "{}", page.stdout);
}

#[test]
fn a_job_in_a_database_is_reported_too() {
    for job in [
        Job::upsert().sqlite(),
        Job::upsert().postgres(postgres::server().database()),
    ] {
        let job = fails(job);

        let json = job.tidegate(["report", "--output", "json"]);

        let facts = &facts(&json.exits(0).stdout)[0];
        assert_eq!(facts["runs"].as_array().unwrap().len(), 2, "{facts}");
        assert_eq!(
            (&facts["job"], &facts["generation"]["records"]),
            (&"orders".into(), &2.into())
        );
    }
}

#[test]
fn a_folder_is_one_report_with_what_fails_first() {
    let fleet = folder(&[
        ("acme/bad", ""),
        ("acme/good", ""),
        ("none", "MAX_AGE=soon\n"),
        ("own", ""),
    ]);
    fleet.tidegate(["run", "jobs"]).exits(78);

    let table = fleet.tidegate(["report", "jobs"]);
    let page = fleet.tidegate(["report", "jobs", "--html", "status.html"]);

    // Nothing is known of the one whose settings are wrong.
    let jobs: Vec<&str> = table.exits(78).stdout.lines().skip(1).take(4).collect();
    let jobs: Vec<Vec<&str>> = jobs
        .iter()
        .map(|line| line.split_whitespace().take(3).collect())
        .collect();
    assert_eq!(
        jobs,
        [
            ["acme/bad", "failing", "69"],
            ["none", "error", "78"],
            ["acme/good", "fresh", "0"],
            ["own", "fresh", "0"],
        ]
    );
    assert!(
        table.stdout.contains("exit 78: MAX_AGE"),
        "{}",
        table.stdout
    );
    page.exits(78);
    let page = page_at(&fleet.beside("status.html"));
    let text = text_of(&page);
    assert!(
        page.contains("<title>1 failing, 1 error of 4 jobs · tidegate</title>"),
        "{page}"
    );
    assert!(
        text.contains("no such path") && text.contains("MAX_AGE"),
        "{text}"
    );
}

#[test]
fn what_a_source_says_is_text_on_the_page() {
    let body = serde_json::json!({ "why": format!("{HOSTILE}{}", "x".repeat(10_000)) });
    let mut job = Job::new()
        .set("SOURCE_ERROR", ".why")
        .set("JOB_NAME", "a<b>&\"c")
        .reply(Reply::new(200, body.to_string()));
    job.run();

    let page = job.tidegate(["report", "--html", "-"]);

    let page = &page.exits(0).stdout;
    let text = text_of(page);
    assert!(
        text.contains("</style><script>alert(1)</script><img src=x"),
        "{text}"
    );
    assert!(text.contains("\\u{202e}&amp;"), "{text}");
    assert!(text.contains("a<b>&\"c"), "{text}");
    assert!(
        !page.contains('\u{202e}') && page.len() < 50_000,
        "{} bytes",
        page.len()
    );
}

#[test]
fn each_run_writes_the_page_of_its_job() {
    let page = |job: &Job| page_at(&job.beside("status.html"));
    let mut job = Job::upsert()
        .set("STATUS_PAGE", "status.html")
        .page(200, TWO);
    job.run().printed.exits(0);
    let first = page(&job);
    let mut job = job.then(|job| job.page(404, "{}"));

    job.run().printed.exits(69);

    assert!(
        first.contains("<title>orders: fresh · tidegate</title>"),
        "{first}"
    );
    let second = page(&job);
    assert!(
        second.contains("<title>orders: failing · tidegate</title>"),
        "{second}"
    );
    assert!(text_of(&second).contains("answered 404"));
    // A trial leaves it as it is.
    let mut job = job.then(|job| job.page(200, TWO).args(["--dry-run"]));
    job.run().printed.exits(0);
    assert_eq!(page(&job), second);
}

#[test]
fn a_page_that_cannot_be_written_is_a_warning() {
    type Make = fn(&Path);
    let places: [(&str, &str, Make); 4] = [
        ("mine.html", "no page of tidegate's", |path| {
            fs::write(path, "<p>mine</p>").unwrap();
        }),
        ("link.html", "it is a link", |path| {
            symlink("elsewhere", path).unwrap();
        }),
        ("nowhere/status.html", "its folder does not exist", |_| ()),
        ("open/status.html", "every user can write to it", |path| {
            let folder = path.parent().unwrap();
            fs::create_dir(folder).unwrap();
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        }),
    ];
    for (name, why, make) in places {
        let mut job = Job::new().set("STATUS_PAGE", name).page(200, TWO);
        fs::write(job.beside("elsewhere"), "theirs").unwrap();
        let path = job.beside(name);
        make(&path);
        let before = fs::read_to_string(&path).ok();

        let run = job.run();

        run.printed.exits(0);
        let warnings = run.warnings();
        let told = warnings
            .iter()
            .find(|line| line["msg"] == "status page not written");
        let told = told.unwrap_or_else(|| panic!("{name}: {warnings:?}"));
        assert!(told["error"].as_str().unwrap().contains(why), "{told}");
        assert_eq!(fs::read_to_string(&path).ok(), before, "{name}");
    }
}

#[test]
fn a_page_has_the_ending_of_one() {
    let mut job = Job::new().set("STATUS_PAGE", "accounts");
    let accounts = job.file("accounts", "theirs");

    let run = job.run();

    run.printed.exits(78);
    run.stderr_has("STATUS_PAGE");
    run.stderr_has("ends in `.html`");
    assert_eq!(fs::read_to_string(accounts).unwrap(), "theirs");
}

#[test]
fn a_file_that_is_no_page_is_not_replaced_by_hand_either() {
    let job = Job::new();
    let mine = job.file("mine.html", "mine");

    job.tidegate(["report", "--html", "mine.html"])
        .exits(73)
        .stderr_has("no page of tidegate's");

    assert_eq!(fs::read_to_string(mine).unwrap(), "mine");
    job.tidegate(["report", "--html", "a.html", "--output", "json"])
        .exits(64);
}

#[test]
fn a_folder_writes_one_page_for_all_jobs_that_name_it() {
    let all = "STATUS_PAGE=all.html\n";
    let fleet = folder(&[
        ("bad", all),
        ("good", all),
        ("own", "STATUS_PAGE=own.html\n"),
        ("none", ""),
    ]);

    fleet.tidegate(["run", "jobs"]).exits(69);

    let (all, own) = (
        page_at(&fleet.beside("all.html")),
        page_at(&fleet.beside("own.html")),
    );
    assert!(
        all.contains("<title>1 failing of 2 jobs · tidegate</title>"),
        "{all}"
    );
    assert!(
        own.contains("<title>own: fresh · tidegate</title>"),
        "{own}"
    );
    text_of(&all);
}

#[test]
fn what_is_given_to_all_jobs_of_a_folder_is_one_page() {
    let fleet = folder(&[("bad", ""), ("good", "")]).set("STATUS_PAGE", "status.html");
    // Those that share settings run in one process.
    fleet.file("jobs/_shared.env", "");

    fleet.tidegate(["run", "jobs"]).exits(69);

    let page = page_at(&fleet.beside("status.html"));
    assert!(
        page.contains("<title>1 failing of 2 jobs · tidegate</title>"),
        "{page}"
    );
}

#[test]
fn runs_that_write_the_same_page_at_once_leave_one_that_is_whole() {
    let fleet = folder(&[("a", ""), ("b", ""), ("c", "")]).set("STATUS_PAGE", "status.html");
    fleet.tidegate(["run", "jobs"]).exits(0);

    let files = ["jobs/a.env", "jobs/b.env", "jobs/c.env"];
    let all: Vec<_> = (0..4)
        .flat_map(|_| files)
        .map(|file| fleet.begin(["run", "--env-file", file]))
        .collect();
    drop(
        all.into_iter()
            .map(crate::world::Begun::ends)
            .collect::<Vec<_>>(),
    );

    let page = page_at(&fleet.beside("status.html"));
    text_of(&page);
    let names = fs::read_dir(fleet.beside("")).unwrap().flatten();
    let left: Vec<_> = names
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(".status-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_policy_says_where_a_page_may_be() {
    let job = Job::new();
    let dir = job.beside("").display().to_string();
    let policy = |pages: &str| {
        format!(
            "[tenant.acme]\norigins = [\"{{server}}/items\"]\ncomponents = [\"built-in\"]\noutput_folders = [\"{dir}out\"]\nenvironment = [\"SOURCE_API_KEY\"]\n{pages}"
        )
    };
    job.file("none.toml", &policy(""));
    job.file(
        "pages.toml",
        &policy(&format!("status_pages = [\"{dir}pages\"]\n")),
    );
    fs::create_dir(job.beside("pages")).unwrap();
    let under = |job: Job, policy: &str, page: &str| {
        let page = format!("{dir}{page}");
        let policy = format!("{dir}{policy}");
        job.set("STATUS_PAGE", &page)
            .args(["--policy", &policy, "--tenant", "acme"])
    };

    let mut job = under(job, "none.toml", "pages/status.html");
    let refused = job.run();
    refused.asked(0).printed.exits(78);
    refused
        .stderr_has("`status_pages` is not in it")
        .stderr_has("status_pages = [");
    let without = |job: Job, policy: &str| {
        job.without_arg("--policy")
            .without_arg(&format!("{dir}{policy}"))
            .without_arg("--tenant")
            .without_arg("acme")
    };
    let mut job = under(without(job, "none.toml"), "pages.toml", "elsewhere.html");
    job.run().printed.exits(78);
    let mut job = under(
        without(job, "pages.toml"),
        "pages.toml",
        "pages/status.html",
    )
    .page(200, TWO);
    job.run().printed.exits(0);

    text_of(&page_at(&job.beside("pages/status.html")));
}

#[test]
fn the_table_of_the_docs_is_what_is_printed() {
    let block = block_after("<!-- the table of a report -->");
    let head = block.lines().next().unwrap();

    let job = fails(Job::upsert());
    let table = job.tidegate(["report"]);

    assert_eq!(table.stdout.lines().next().unwrap(), head);
}
