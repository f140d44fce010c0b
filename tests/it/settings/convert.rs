//! `convert`: the job file says what the env file says, but for secrets.

use std::path::Path;

use tidegate::outcome::Outcome;

use crate::tidy::text;
use crate::world::Job;

/// Without a setting of its own.
fn bare() -> Job {
    let names = [
        "SOURCE_API_URL",
        "SOURCE_API_KEY",
        "OUTPUT_DIR",
        "LOG_FORMAT",
        "RUN_DEADLINE",
        "RETRY_PAUSE",
    ];
    names.into_iter().fold(Job::new(), Job::unset)
}

/// The job file of this env file, in a file, and what was warned of.
fn converted(job: &Job, env_file: &str) -> (String, String) {
    let printed = job.tidegate(["convert", env_file]);
    printed.exits(0);
    let file = job.file("converted.toml", &printed.stdout);
    (file.display().to_string(), printed.stderr.clone())
}

/// Each setting with its value, and each problem, without where they come from.
fn effective(checked: &str) -> Vec<String> {
    let without_origin = |line: &str| {
        let line = line.split(" (/").next().unwrap_or_default();
        // That variable counts only where the job file names it.
        let line = line.split(" environment OTEL_").next().unwrap_or_default();
        let words = line.split_whitespace();
        let words =
            words.filter(|word| !word.contains("all.env:") && !word.contains("converted.toml:"));
        words.collect::<Vec<_>>().join(" ")
    };
    checked.lines().map(without_origin).collect()
}

/// What `check` shows for both, which is the same.
fn is_the_same(job: &Job, env_file: &str, job_file: &str) -> Vec<String> {
    let from_env = job.tidegate(["check", "--env-file", env_file]);
    let from_job = job.tidegate(["check", job_file]);
    let effective_env = effective(&from_env.stdout);
    assert_eq!(effective_env, effective(&from_job.stdout));
    assert_eq!(from_env.code, from_job.code);
    effective_env
}

#[test]
fn every_setting_is_converted_to_the_same() {
    let example = text(".env.example");
    let lines = example.lines().map(|line| line.trim_start_matches('#'));
    let names = |line: &str| {
        let name = line.split('=').next().unwrap_or_default().to_owned();
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
        (line.contains('=') && name.bytes().all(is_name)).then_some(name)
    };
    let settings: Vec<String> = lines
        .filter(|line| names(line).is_some())
        .map(str::to_owned)
        .collect();
    assert!(settings.len() > 70, "{settings:?}");
    let job = bare();
    let file = job
        .file("all.env", &settings.join("\n"))
        .display()
        .to_string();

    let (converted, warned) = converted(&job, &file);

    // The secrets come from where the job file says.
    let job = job
        .set("SOURCE_API_KEY", "a-secret-key")
        .set("SOURCE_CLIENT_SECRET", "a-client-secret")
        .set("SOURCE_REFRESH_TOKEN", "a-refresh-token")
        .set("SOURCE_TOKEN_KEY", "-----BEGIN PRIVATE KEY-----")
        .set("SOURCE_SECRET_HEADERS", "X-Second: a-second-key")
        .set("SOURCE_SECRET", "a-second-secret")
        .set("SOURCE_SIGNING_KEY", "a-signing-key")
        .set("OUTPUT_DATABASE_PASSWORD", "a-password")
        .set("ALERT_URL", "https://hooks.example.com/a-hook")
        .set("ALERT_KEY", "a-routing-key")
        .set("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a-header")
        .set("PING_URL", "https://hc.example.com/a-check");
    let shown = is_the_same(&job, &file, &converted);
    for setting in &settings {
        let name = names(setting).expect("a setting");
        assert!(shown.iter().any(|line| line.starts_with(&name)), "{name}");
    }
    let written = std::fs::read_to_string(&converted).expect("the job file");
    for secret in ["a-secret-key", "a-client-secret", "a-password"] {
        assert!(!written.contains(secret) && !warned.contains(secret));
    }
    assert_eq!(warned.lines().count(), 12, "{warned}");
    // Natural types.
    for line in [
        "max_retries = 3",
        "source_rate = 0.5",
        "primary_key = [\"/id\"]",
        "output_csv_bom = false",
        "output_mode = \"0640\"",
    ] {
        assert!(
            written.lines().any(|written| written == line),
            "{line}: {written}"
        );
    }
}

#[test]
fn every_setting_that_may_be_in_a_file_is_converted_by_its_file() {
    let schema = bare().tidegate(["describe", "--schema"]).stdout.clone();
    let (_, pattern) = schema.split_once("\"^(").expect("a pattern");
    let names: Vec<&str> = pattern
        .split_once(")$")
        .expect("its end")
        .0
        .split('|')
        .collect();
    assert!(names.len() > 30, "{names:?}");
    let job = bare();
    let value = job.file("value", "1").display().to_string();
    let lines: Vec<String> = names.iter().map(|name| format!("{name}={value}")).collect();
    let file = job.file("all.env", &lines.join("\n")).display().to_string();

    let (converted, warned) = converted(&job, &file);

    is_the_same(&job, &file, &converted);
    assert_eq!(warned, "");
    let written = std::fs::read_to_string(&converted).expect("the job file");
    for name in names {
        let line = format!("{} = \"{value}\"", name.to_lowercase());
        assert!(
            written.lines().any(|written| written == line),
            "{line}: {written}"
        );
    }
}

#[test]
fn odd_values_are_converted_to_the_letter() {
    let job = bare();
    let lines = "\
        TRANSFORM='{a: .\"x\\y\", b: \"#\"} # Ünï'\nALLOW_HOSTS=a.example , b.example\nPRIMARY_KEY=/a,/b\n\
        MAX_RETRIES=03\nALLOW_PRIVATE_NETWORKS=true\nSOURCE_PAGE_SIZE=1e2\nJOB_NAME=\"it's\"\nMAX_PAGES=\n\
        SOURCE_API_URL=https://api.example.com/{cursor}?a='1'\nOUTPUT_DATABASE_URL=sqlite:///tmp/x.db\n";
    let file = job.file("all.env", lines).display().to_string();

    let (converted, _) = converted(&job, &file);

    is_the_same(&job, &file, &converted);
}

#[test]
fn a_converted_job_goes_on_where_the_env_file_ended() {
    let job = bare().page(200, r#"[{"id":1,"updated":"2026-01-01T00:00:00Z"}]"#);
    let out = job.output().display().to_string();
    let lines = format!(
        "SOURCE_API_URL={{server}}/items\nSOURCE_CURSOR=/updated\nSOURCE_CURSOR_TO=since\nPRIMARY_KEY=/id\nOUTPUT_DIR={out}\nLOG_FORMAT=json\n"
    );
    let file = job.file("all.env", &lines).display().to_string();
    let (converted, _) = converted(&job, &file);
    let mut job = job.args(["--env-file", &file]);
    job.run().exits(Outcome::Published);

    let job = job
        .without_arg("--env-file")
        .without_arg(&file)
        .args([&converted]);
    let mut job = job.page(200, r#"[{"id":2,"updated":"2026-01-02T00:00:00Z"}]"#);
    let run = job.run();

    // A setting that shapes the records and differs by a letter would be 78.
    run.exits(Outcome::Published);
    assert!(run.requests[0].query("since").is_some());
    assert_eq!(job.view().records().len(), 2);
}

#[test]
fn a_password_in_a_database_url_is_not_copied() {
    let job = bare();
    let key = job.key.clone();
    let line =
        format!("OUTPUT_DATABASE_URL=postgres://etl:{key}@db.example.com/shop\nJOB_NAME=orders\n");
    let file = job.file("all.env", &line).display().to_string();

    let (converted, warned) = converted(&job, &file);

    let written = std::fs::read_to_string(converted).expect("the job file");
    assert!(
        written.contains("\noutput_database_url_env = \"OUTPUT_DATABASE_URL\"\n"),
        "{written}"
    );
    assert!(
        written.contains("all.env:1 has the secret itself"),
        "{written}"
    );
    assert!(!written.contains(&key) && !warned.contains(&key));
}

#[test]
fn what_has_a_secret_in_it_is_not_converted() {
    let job = bare();
    let key = job.key.clone();
    for line in [
        format!("SOURCE_API_URL=https://me:{key}@api.example.com/"),
        format!("SOURCE_API_KEY={key}\nSOURCE_API_URL=https://api.example.com/?key={key}"),
        format!("SOURCE_HEADERS='Authorization: Bearer {key}'"),
    ] {
        let file = job.file("all.env", &line).display().to_string();

        // What it prints is searched for the key.
        let printed = job.tidegate(["convert", &file]);

        printed.exits(78).stderr_has("all.env:");
        assert_eq!(printed.stdout, "");
    }
}

#[test]
fn what_is_no_setting_is_a_comment_and_78() {
    let job = bare();
    let file = job
        .file("all.env", "JOB_NAME=orders\nMAX_PAGE=5\n")
        .display()
        .to_string();
    let broken = job.file("broken.env", "JOB_NAME\n").display().to_string();

    let printed = job.tidegate(["convert", &file]);

    printed
        .exits(78)
        .stderr_has("MAX_PAGE is not a setting, and was left out");
    printed
        .stdout_has("job_name = \"orders\"")
        .stdout_has("all.env:2) is not a setting of this component: left out");
    // Its path is random, and may have any digit in it.
    let text = printed.stdout.replace(&file, "all.env");
    assert!(!text.contains('5'), "{text}");
    assert_eq!(job.tidegate(["convert", &broken]).exits(78).stdout, "");
    job.tidegate(["convert", "no.env"])
        .exits(78)
        .stderr_has("no.env");
}

#[test]
fn a_component_of_its_own_is_pinned() {
    let job = bare();
    let component = crate::world::guests::misbehaving();
    let file = job
        .file("all.env", "SOURCE_MISBEHAVIOUR=trap\n")
        .display()
        .to_string();

    let printed = job.tidegate([
        "convert",
        "--component",
        &component.display().to_string(),
        &file,
    ]);

    printed
        .exits(0)
        .stdout_has("source_misbehaviour = \"trap\"");
    let sha256 = sha256(component);
    printed.stdout_has(&format!(
        "[component]\npath = \"{}\"\nsha256 = \"{sha256}\"\n",
        component.display()
    ));
    let converted = job
        .file("converted.toml", &printed.stdout)
        .display()
        .to_string();
    job.tidegate(["check", &converted])
        .stdout_has("SOURCE_MISBEHAVIOUR");
}

fn sha256(path: &Path) -> String {
    let printed = std::process::Command::new("sha256sum")
        .arg(path)
        .output()
        .expect("sha256sum");
    let printed = String::from_utf8(printed.stdout).expect("text");
    printed.split(' ').next().expect("a digest").to_owned()
}
