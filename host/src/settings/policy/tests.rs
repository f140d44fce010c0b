//! What a policy says, and what is wrong with one.

use std::time::Duration;

use super::*;
use crate::limits::Limits;
use crate::process::stop::Stop;

/// What `acme` may, and what is wrong with the policy.
fn read(text: &str) -> (Tenant, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, text).unwrap();
    let files = GivenFiles::new(Stop::unwatched(Duration::from_hours(1)), &Limits::default());
    let mut problems = Vec::new();
    let tenant = Tenant::read(&path, Some("acme"), &files, &mut problems);
    let shown = problems.iter().map(|problem| {
        let text = problem.to_string();
        text.replace(&format!("{}/", folder.path().display()), "")
    });
    (tenant, shown.collect())
}

fn problem(text: &str) -> String {
    let (tenant, problems) = read(text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(!tenant.is_usable());
    assert!(!tenant.components.built_in && tenant.origins.rules.is_empty());
    problems[0].clone()
}

#[test]
fn a_tenant_has_what_is_in_its_table_and_else_what_is_in_the_defaults() {
    let (tenant, problems) = read(
        "[defaults]\ncomponents = ['built-in']\ntables = ['x']\noutput_folders = ['/srv/{tenant}']\n\
         [defaults.limits]\nrun_deadline = '5m'\nmax_retries = 1\n\
         [tenant.acme]\ntables = ['{tenant}_*']\n[tenant.acme.limits]\nmax_retries = 2\n[tenant.other]\n",
    );

    assert_eq!(problems, [""; 0]);
    assert!(tenant.is_usable() && tenant.components.built_in && !tenant.private_networks);
    assert_eq!(tenant.tables, ["acme_*"]);
    assert_eq!(
        tenant.output_folders,
        Within::new([PathBuf::from("/srv/acme")])
    );
    assert_eq!(tenant.limits["MAX_RETRIES"], "2");
    assert_eq!(tenant.limits["RUN_DEADLINE"], "5m");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, told) in [
        ("[tenant.acme\n", "--policy is not TOML: "),
        (
            "[tenant.other]\n",
            "--policy has no `[tenant.acme]` (policy.toml:1)",
        ),
        (
            "[tenant.acme]\norigin = []\n",
            "--policy has `origin` in `tenant.acme`, which is not a key of a policy; did you mean `origins`? (policy.toml:2)",
        ),
        (
            "[tenant.acme]\n[tenant.other]\nfile = []\n",
            "did you mean `files`? (policy.toml:3)",
        ),
        (
            "[tenants.acme]\n[tenant.acme]\n",
            "--policy has `tenants`, and takes",
        ),
        (
            "[tenant.acme]\n[tenant.ACME]\n",
            "--policy has the name of a tenant",
        ),
        (
            "[tenant.acme]\norigins = 'https://a.example'\n",
            "`origins`, which takes a list",
        ),
        (
            "[tenant.acme]\norigins = [\n'https://*']\n",
            "--policy has an entry in `origins` that takes",
        ),
        (
            "[tenant.acme]\norigins = [{ origin = 'https://a.example', methods = ['PUT'] }]\n",
            "GET, HEAD and POST",
        ),
        (
            "[tenant.acme]\norigins = [{ origin = 'https://a.example', method = 'GET' }]\n",
            "takes `origin` and `methods`",
        ),
        (
            "[tenant.acme]\nfiles = ['srv']\n",
            "--policy has `srv` in `files`, which takes absolute paths",
        ),
        ("[tenant.acme]\nfiles = ['']\n", "takes a list of texts"),
        (
            "[tenant.acme]\nprivate_networks = 'yes'\n",
            "takes true or false",
        ),
        (
            "[tenant.acme]\ncomponents = ['builtin']\n",
            "takes `built-in`, a sha256",
        ),
        (
            "[tenant.acme]\ndatabases = ['postgres://a:hunter2@b/c']\n",
            "without a password",
        ),
        (
            "[tenant.acme]\nproxies = ['http://a:hunter2@b:1']\n",
            "has an entry in `proxies` that is not `http://host:port`, without user and password",
        ),
        (
            "[tenant.acme.limits]\nmin_records = 1\n",
            "--policy has `min_records` in `limits`",
        ),
        (
            "[tenant.acme.limits]\nrun_deadline = 'long'\n",
            "--policy has `run_deadline`, which takes",
        ),
        (
            "[tenant.acme.limits]\nmax_pages = 'many'\n",
            "--policy has `max_pages`, which takes a whole number from 1",
        ),
        (
            "[tenant.acme.limits]\nmax_page = 1\n",
            "did you mean `max_pages`?",
        ),
    ] {
        let found = problem(text);
        assert!(
            found.contains(told) && !found.contains("hunter2"),
            "{found}"
        );
        assert!(found.contains("(policy.toml:"), "{found}");
    }
}

#[test]
fn a_star_ends_a_pattern() {
    let patterns = ["orders".to_owned(), "acme_*".to_owned()];

    assert!(is_among("orders", &patterns) && is_among("acme_x", &patterns));
    assert!(!is_among("orders2", &patterns) && !is_among("acm", &patterns));
}

#[test]
fn a_database_is_one_of_its_servers_as_its_user_and_no_less_proven() {
    let url = |text: &str| match DatabaseUrl::parse(text) {
        Ok(DatabaseUrl::Postgres(address)) => address,
        other => panic!("{other:?}"),
    };
    let allowed = url("postgres://etl@db.example.com/shop?sslmode=require");

    assert!(
        url("postgres://etl:x@db.example.com:5432/shop?sslmode=verify-full").is_within(&allowed)
    );
    for other in [
        "postgres://etl@db.example.com/shop?sslmode=disable",
        "postgres://etl@db.example.com/other?sslmode=require",
        "postgres://root@db.example.com/shop?sslmode=require",
        "postgres://etl@db.example.com:5433/shop?sslmode=require",
        "postgres://etl@evil.example.com/shop?sslmode=require",
        "postgres://etl@db.example.com,evil.example.com/shop?sslmode=require",
        "postgres://etl@db.example.com/shop?sslmode=require&host=evil.example.com",
    ] {
        assert!(!url(other).is_within(&allowed), "{other}");
    }
}

#[test]
fn budgets_lower_the_limits_of_a_run_and_raise_none() {
    let (tenant, problems) = read(
        "[tenant.acme]\n[tenant.acme.budgets]\nrequests = 5\nresponse_bytes = '1MiB'\n\
         staged_bytes = '100GiB'\n[defaults.budgets]\nrequests = 7\nconnections = 2\nrequests_per_second = 0.5\n",
    );
    let (mut limits, mut shown) = (Limits::default(), Vec::new());

    tenant.budgets.lower(&mut limits, &mut shown);

    assert_eq!(problems, [""; 0]);
    assert_eq!((limits.requests, limits.requests_open), (5, 2));
    assert_eq!(limits.run_decoded_bytes, 1024 * 1024);
    assert_eq!(limits.staged_bytes, Limits::default().staged_bytes);
    assert_eq!(limits.request_pause, Duration::from_secs(2));
    assert_eq!(shown.len(), 5);
}

#[test]
fn the_least_time_between_runs_needs_a_folder_that_no_job_writes_to() {
    let policy = |top: &str, out: &str| {
        format!(
            "{top}\n[defaults]\nmin_interval = '1h'\n[tenant.acme]\nmin_interval = '5m'\noutput_folders = ['{out}']\n"
        )
    };
    let (tenant, problems) = read(&policy("state_folder = '/var/lib/x'", "/srv/out"));

    assert_eq!(problems, [""; 0]);
    let interval = tenant.min_interval().unwrap();
    assert_eq!(interval.least, Duration::from_mins(5));
    assert_eq!(
        (interval.line, interval.state_folder),
        (5, Path::new("/var/lib/x"))
    );
    for (top, out, told) in [
        ("", "/srv", "(policy.toml:5)"),
        (
            "",
            "/srv",
            "add `state_folder = \"/var/lib/tidegate\"` above",
        ),
        (
            "state_folder = 'x'",
            "/srv",
            "takes an absolute path (policy.toml:1)",
        ),
        (
            "state_folder = '/srv/x'",
            "/srv",
            "`output_folders` (`/srv`) lets a tenant write",
        ),
        ("state_folder = '/srv'", "/srv/x", "lets a tenant write"),
        ("state_folder = '/srv'", "/srv", "lets a tenant write"),
    ] {
        let found = problem(&policy(top, out));
        assert!(found.contains(told), "{found}");
    }
    for value in ["5", "'5'", "'0s'"] {
        let found = problem(&format!("[tenant.acme]\nmin_interval = {value}\n"));
        assert!(
            found.contains("has `min_interval`, which takes") && found.contains("policy.toml:2"),
            "{found}"
        );
    }
    let found = problem("[tenant.acme]\nstate_folder = '/x'\n");
    assert!(found.contains("not a key of a policy"), "{found}");
}

#[test]
fn a_budget_that_is_unknown_or_nothing_is_named_with_its_line() {
    for (line, told) in [
        ("request = 1", "requests"),
        ("requests = 0", "takes a whole number from 1"),
        ("requests = '1'", "takes a whole number from 1"),
        (
            "requests_per_second = 0",
            "takes a number from 0.001 to 1000",
        ),
        ("staged_bytes = 'much'", "takes a size from 1"),
    ] {
        let told_of = problem(&format!("[tenant.acme.budgets]\n{line}\n"));

        assert!(
            told_of.contains(told) && told_of.contains("policy.toml:2"),
            "{told_of}"
        );
    }
}
