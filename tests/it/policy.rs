//! `--policy`: what a tenant's job asks for and its operator does not allow is refused, before it is opened or asked for.

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::docs::block_after;
use crate::server::Reply;
use crate::world::{Job, guests};

mod interval;

/// A job of tenant `acme`, and the policy that allows what it asks for.
struct World {
    job: Job,
    policy: String,
}

/// `{server}`, `{out}` and `{dir}` (the job's own folder) are replaced.
const POLICY: &str = "\
[tenant.acme]
origins = [\"{server}/items\"]
components = [\"built-in\"]
output_folders = [\"{out}\"]
environment = [\"SOURCE_API_KEY\"]

[tenant.acme.limits]
retry_pause = \"2s\"
";

impl World {
    fn new() -> Self {
        Self {
            job: Job::new(),
            policy: POLICY.to_owned(),
        }
    }

    /// With this in place of that in the policy.
    fn but(mut self, what: &str, with: &str) -> Self {
        assert!(self.policy.contains(what), "{what}");
        self.policy = self.policy.replace(what, with);
        self
    }

    /// With this line in the tenant's table.
    fn and(self, line: &str) -> Self {
        let table = "[tenant.acme]\n";
        self.but(table, &format!("{table}{line}\n"))
    }

    fn job(mut self, change: impl FnOnce(Job) -> Job) -> Self {
        self.job = change(self.job);
        self
    }

    /// The job under the policy.
    fn ready(self) -> Job {
        let dir = self.job.beside("").display().to_string();
        let text = self
            .policy
            .replace("{out}", &format!("{dir}out"))
            .replace("{dir}", dir.trim_end_matches('/'));
        let file = self.job.file("policy.toml", &text).display().to_string();
        self.job.args(["--policy", &file, "--tenant", "acme"])
    }

    /// A run that the policy refuses, of which nothing was asked and nothing made.
    fn refuses(self, told: &[&str]) {
        let mut job = self.ready();
        let run = job.run();
        run.exits(Outcome::Settings).asked(0);
        for told in told.iter().chain(&["policy.toml` for tenant `acme`"]) {
            run.stderr_has(told);
        }
    }
}

#[test]
fn what_is_allowed_runs() {
    let mut job = World::new().ready().page(200, r#"[{"id":1}]"#);

    job.run()
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 1}]));
}

#[test]
fn an_origin_or_path_that_is_not_allowed_is_refused_before_it_is_asked() {
    let told = |what: &'static str| {
        [
            what,
            "`origins` (line 2) allows",
            "can allow it with `origins = [",
        ]
    };
    World::new()
        .job(|job| job.set("SOURCE_API_URL", "http://127.0.0.1:1/items"))
        .refuses(&told(
            "SOURCE_API_URL asks for `http://127.0.0.1:1/items`, refused by the policy",
        ));
    World::new()
        .job(|job| job.set("SOURCE_API_URL", "{server}/itemsx?key=hidden"))
        .refuses(&told("/itemsx`, refused"));
    World::new()
        .job(|job| job.set("ALLOW_HOSTS", "files.example.com"))
        .refuses(&told("ALLOW_HOSTS asks for `https://files.example.com`"));
    World::new()
        .job(|job| {
            job.unset("SOURCE_API_KEY")
                .set("SOURCE_AUTH", "oauth2")
                .set("SOURCE_TOKEN_URL", "{server}/token")
                .set("SOURCE_CLIENT_ID", "c")
                .set("SOURCE_CLIENT_SECRET", "a-client-secret")
        })
        .but("\"SOURCE_API_KEY\"", "\"SOURCE_*\"")
        .refuses(&told("SOURCE_TOKEN_URL asks for `"));
    World::new()
        .but("origins = [\"{server}/items\"]\n", "")
        .refuses(&[
            "`origins` is not in it",
            "with `origins = [\"http://127.0.0.1:",
        ]);
}

#[test]
fn a_request_beyond_the_prefix_or_by_another_method_is_77_and_not_sent() {
    for (change, told) in [
        // The next page leads out.
        (
            Box::new(|job: Job| job.set("SOURCE_PAGINATION", "link"))
                as Box<dyn FnOnce(Job) -> Job>,
            "refuses GET of `",
        ),
        (
            Box::new(|job: Job| job.set("SOURCE_BODY", "{}")),
            "refuses POST of `",
        ),
    ] {
        let rule = "{ origin = \"{server}/items\", methods = [\"GET\"] }";
        let world = World::new().but("\"{server}/items\"", rule).job(change);
        let link = "</other>; rel=\"next\"";
        let job = world.ready();
        let mut job = job.api(move |_| Reply::new(200, r#"[{"id":1}]"#).header("Link", link));

        let run = job.run();

        run.exits(Outcome::Denied).stderr_has(told);
        run.stderr_has("policy.toml` for tenant `acme`")
            .stderr_has("its `origins` allow `http://127.0.0.1:");
        assert!(
            run.requests
                .iter()
                .all(|request| request.path() == "/items")
        );
    }
}

#[test]
fn a_program_is_started_only_if_the_whole_command_is_listed() {
    let by_command = |job: Job| {
        job.unset("SOURCE_API_KEY")
            .set("SOURCE_API_KEY_COMMAND", "/bin/echo a key")
    };

    World::new().job(by_command).refuses(&[
        "SOURCE_API_KEY_COMMAND asks for `/bin/echo a key`, refused",
        "with `commands = [\"/bin/echo a key\"]`",
    ]);
    World::new()
        .job(by_command)
        .and("commands = [\"/bin/echo a\"]")
        .refuses(&["allows /bin/echo a"]);
    let mut listed = World::new()
        .job(by_command)
        .and("commands = ['/bin/echo  a \"key\"']")
        .ready()
        .page(200, "[]");
    listed.run().exits(Outcome::Published);
    World::new()
        .job(by_command)
        .job(|job| job.set("COMMAND_ENVIRONMENT", "OTHER"))
        .and("commands = [\"/bin/echo a key\"]")
        .refuses(&["COMMAND_ENVIRONMENT asks for `environment OTHER`"]);
}

#[test]
fn a_file_of_a_refresh_token_is_rewritten_only_where_that_is_granted() {
    let refreshed = |job: Job| {
        let file = job
            .file("refresh-token", "a-refresh-token")
            .display()
            .to_string();
        job.unset("SOURCE_API_KEY")
            .set("SOURCE_AUTH", "oauth2")
            .set("SOURCE_TOKEN_URL", "{server}/items/token")
            .set("SOURCE_CLIENT_ID", "c")
            .set("SOURCE_REFRESH_TOKEN_FILE", &file)
    };
    let world = || {
        World::new()
            .and("secret_files = [\"{dir}\"]")
            .job(refreshed)
    };

    world().refuses(&[
        "SOURCE_REFRESH_TOKEN asks for `",
        "`rewritten_files` is not in it",
    ]);
    let mut granted = world()
        .and("rewritten_files = [\"{dir}\"]")
        .ready()
        .page(
            200,
            r#"{"access_token":"an-access-token","refresh_token":"the-next"}"#,
        )
        .page(200, "[]");
    granted.run().exits(Outcome::Published);
}

#[test]
fn private_networks_and_limits_are_the_policy_s() {
    World::new()
        .job(|job| job.set("ALLOW_PRIVATE_NETWORKS", "yes"))
        .refuses(&[
            "ALLOW_PRIVATE_NETWORKS asks for `yes`",
            "with `private_networks = true` in `[tenant.acme]`",
        ]);
    for (name, value) in [
        ("RUN_DEADLINE", "16m"),
        ("CPU_LIMIT", "6m"),
        ("COMPILE_CPU_LIMIT", "121s"),
        ("MEMORY_LIMIT", "257MiB"),
        ("DESCRIBE_MEMORY_LIMIT", "65MiB"),
        ("TABLE_LIMIT", "32769"),
        ("INSTANCE_LIMIT", "129"),
        ("SOURCE_TIMEOUT", "61s"),
        ("MAX_RESPONSE_BYTES", "65MiB"),
        ("MAX_RECORD_BYTES", "33MiB"),
        ("MAX_RETRIES", "4"),
        ("RETRY_PAUSE", "3s"),
        ("KEEP_GENERATIONS", "4"),
        ("KEEP_FOR", "2m"),
        ("OUTPUT_HISTORY_FOR", "91d"),
    ] {
        World::new()
            .job(|job| job.set(name, value))
            .refuses(&[&format!("{name} asks for `{value}`, refused")]);
    }
    World::new()
        .but("retry_pause = \"2s\"", "run_deadline = \"30s\"")
        .refuses(&[
            "RUN_DEADLINE asks for `60s`",
            "`run_deadline` (line 8) allows at most 30s",
        ]);
    let mut more = World::new()
        .but("retry_pause", "max_retries = 9\nretry_pause")
        .job(|job| job.set("MAX_RETRIES", "9"))
        .ready()
        .page(200, "[]");
    more.run().exits(Outcome::Published);
}

#[test]
fn the_most_pages_of_a_component_are_the_policy_s() {
    let world = || World::new().but("retry_pause", "max_pages = 2\nretry_pause");
    for value in ["3", "1e0"] {
        world().job(|job| job.set("MAX_PAGES", value)).refuses(&[
            &format!("MAX_PAGES asks for `{value}`, refused"),
            &format!("with `limits.max_pages = {value}`"),
        ]);
    }
    let job = world().ready();
    let policy = job.beside("policy.toml").display().to_string();
    let checked = job.tidegate(["check", "--policy", &policy, "--tenant", "acme"]);
    let mut lines = checked.stdout.lines();
    let row = lines.rfind(|line| line.starts_with("MAX_PAGES"));
    let row: Vec<_> = row.unwrap_or_default().split_whitespace().collect();
    assert_eq!(row, ["MAX_PAGES", "10000", "at", "most", "2", "2"]);

    // What nobody asked for is no more, either.
    let world = World::new().but("retry_pause", "max_pages = 1\nretry_pause");
    let paged = world
        .job(|job| job.set("SOURCE_PAGINATION", "page"))
        .ready();
    let run = paged.api(|_| Reply::new(200, r#"[{"id":1}]"#)).run();

    run.exits(Outcome::ProtocolBroken).asked(1);
    run.stderr_has("MAX_PAGES is 1");
}

#[test]
fn a_default_above_the_limit_is_lowered_for_the_component_too() {
    let world = World::new().but("retry_pause", "max_retries = 1\nretry_pause");
    let mut job = world.ready().page(503, "").page(503, "");

    let run = job.run();

    run.exits(Outcome::TryLater).asked(2);
}

/// It gets the default: what is in the environment is the host's alone.
#[test]
fn a_default_is_lowered_also_where_the_component_is_not_granted_what_was_given() {
    let component = guests::flawed().display().to_string();
    let world = World::new()
        .but("\"built-in\"", &format!("\"{component}\""))
        .but("retry_pause", "max_retries = 1\nretry_pause");
    let mut job = world
        .job(|job| job.component(guests::flawed()))
        .job(|job| job.set("WRITE_MODE", "upsert").set("PRIMARY_KEY", "/id"))
        .job(|job| job.set("MAX_RETRIES", "1"))
        .job(|job| job.set("ALLOW_ENVIRONMENT", "SOURCE_API_URL"))
        .ready()
        .page(503, "")
        .page(503, "");

    let run = job.run();

    run.exits(Outcome::TryLater).asked(2);
}

#[test]
fn an_output_folder_elsewhere_is_refused_and_left_as_it_is() {
    let world = World::new();
    let other = world.job.beside("elsewhere");
    std::fs::create_dir(&other).unwrap();
    let link = world.job.beside("out");
    std::fs::create_dir(&link).unwrap();
    std::os::unix::fs::symlink(&other, link.join("link")).unwrap();
    let to = |job: Job, path: &std::path::Path| job.set("OUTPUT_DIR", &path.display().to_string());

    let world = world.job(|job| to(job, &other));
    let mut job = world.ready();
    let run = job.run();
    run.exits(Outcome::Settings)
        .stderr_has("OUTPUT_DIR asks for `")
        .stderr_has("`output_folders` (line 4) allows");
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0);
    let policy = job.beside("policy.toml").display().to_string();
    job.tidegate(["health", "--policy", &policy, "--tenant", "acme"])
        .exits(78)
        .stderr_has("OUTPUT_DIR asks for `");
    let mut job = to(job, &link.join("link/orders"));
    job.run()
        .exits(Outcome::Settings)
        .stderr_has("it is a link that leads out of");
    let mut job = job.unset("OUTPUT_DIR");
    job.run()
        .exits(Outcome::Settings)
        .stderr_has("OUTPUT_DIR asks for `/data/sync`");
    let database = format!("sqlite://{}/x.db", other.display());
    let mut job = job
        .set("OUTPUT_DATABASE_URL", &database)
        .set("JOB_NAME", "orders");
    job.run()
        .exits(Outcome::Settings)
        .stderr_has("OUTPUT_DATABASE_URL asks for `");
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0);
}

#[test]
fn a_table_is_one_of_the_policy_s() {
    let world = World::new()
        .job(Job::sqlite)
        .job(|job| job.set("OUTPUT_TABLE", "orders"));
    world.refuses(&[
        "OUTPUT_TABLE asks for `orders`",
        "with `tables = [\"orders\"]`",
    ]);

    World::new()
        .job(|job| {
            job.sqlite()
                .set("PRIMARY_KEY", "/id")
                .set("OUTPUT_HISTORY", "yes")
        })
        .and("tables = [\"orders\"]")
        .refuses(&["OUTPUT_HISTORY asks for `orders_history`"]);

    let world = World::new().job(Job::sqlite);
    let mut job = world
        .and("tables = [\"or*\"]")
        .ready()
        .page(200, r#"[{"id":1}]"#);
    job.run().exits(Outcome::Published);
}

#[test]
fn a_database_server_is_one_of_the_policy_s() {
    let asked = "postgres://etl@127.0.0.1:1/shop";
    World::new()
        .and("databases = [\"postgres://etl@127.0.0.1:1/other\"]\ntables = [\"*\"]")
        .job(|job| {
            job.set("OUTPUT_DATABASE_URL", asked)
                .set("JOB_NAME", "orders")
        })
        .but("\"SOURCE_API_KEY\"", "\"*\"")
        .refuses(&[
            "OUTPUT_DATABASE_URL asks for `postgres://etl@127.0.0.1:1/shop`",
            "`databases` (line 2) allows",
        ]);
    World::new()
        .and("databases = [\"postgres://etl@127.0.0.1:1/shop\"]\ntables = [\"*\"]")
        .job(|job| {
            let url = format!("{asked}?sslmode=verify-ca&sslrootcert=/etc/hostname");
            job.set("OUTPUT_DATABASE_URL", &url)
                .set("JOB_NAME", "orders")
        })
        .refuses(&["OUTPUT_DATABASE_URL asks for `/etc/hostname`"]);
}

#[test]
fn a_secret_is_in_a_file_or_a_variable_of_the_policy_and_no_other_is_opened() {
    let keys = |world: &World| {
        let own = world.job.beside("keys");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("key"), &world.job.key).unwrap();
        own
    };
    let world = World::new();
    keys(&world);
    // Whoever opened it would wait for its writer.
    let pipe = world.job.beside("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let world = world.job(|job| {
        job.unset("SOURCE_API_KEY")
            .set("SOURCE_API_KEY_FILE", &pipe.display().to_string())
    });
    world.and("secret_files = [\"{dir}/keys\"]").refuses(&[
        "SOURCE_API_KEY asks for `",
        "`secret_files` (line 2) allows",
        "it is not below",
    ]);

    World::new()
        .but("\"SOURCE_API_KEY\"", "\"OTHER\"")
        .refuses(&[
            "SOURCE_API_KEY asks for `environment SOURCE_API_KEY`",
            "with `environment = [\"SOURCE_API_KEY\"]`",
        ]);
    let world = World::new();
    let own_again = keys(&world).join("key").display().to_string();
    let world = world.job(|job| {
        job.unset("SOURCE_API_KEY")
            .set("SOURCE_API_KEY_FILE", &own_again)
    });
    let mut job = world
        .and("secret_files = [\"{dir}/keys\"]")
        .ready()
        .page(200, "[]");
    let run = job.run();
    run.exits(Outcome::Published);
    assert_eq!(
        run.requests[0].header("authorization"),
        Some(format!("Bearer {}", job.key).as_str())
    );
}

#[test]
fn a_job_file_names_no_variable_and_no_file_beyond_the_policy() {
    let world = World::new().but("{server}/items", "https://127.0.0.1:1/items");
    let text = "[source]\nsource_api_key_env = \"AWS_SECRET_ACCESS_KEY\"\ntransform_file = \"/etc/hostname\"\nsource_schema = \"/etc/hostname\"\n\
                [auth]\nclient_cert_file = \"/etc/hostname\"\nclient_key_file = \"/etc/hostname\"\n[network]\nca_file = \"/etc/hostname\"\nallow_private_networks = true\n\
                [output]\noutput_columns_file = \"/etc/hostname\"\noutput_format = \"csv\"\n";
    let file = world.job.file("orders.toml", text).display().to_string();
    let job = world
        .job(|job| {
            job.unset("SOURCE_API_KEY")
                .set("AWS_SECRET_ACCESS_KEY", "do-not-touch-this")
                .set("SOURCE_API_URL", "https://127.0.0.1:1/items")
        })
        .ready();
    let policy = job.beside("policy.toml").display().to_string();

    let checked = job.tidegate(["check", &file, "--policy", &policy, "--tenant", "acme"]);

    checked.exits(78);
    for told in [
        "SOURCE_API_KEY asks for `environment AWS_SECRET_ACCESS_KEY`, refused",
        "orders.toml:2)",
        "TRANSFORM asks for `/etc/hostname`, refused",
        "SOURCE_SCHEMA asks for `/etc/hostname`",
        "CLIENT_CERT_FILE asks for `/etc/hostname`",
        "CLIENT_KEY_FILE asks for `/etc/hostname`",
        "CA_FILE asks for `/etc/hostname`",
        "OUTPUT_COLUMNS asks for `/etc/hostname`",
        "`files` is not in it",
    ] {
        checked.stdout_has(told);
    }
    assert!(!checked.stdout.contains("do-not-touch"));
}

#[test]
fn a_component_is_in_a_folder_or_listed_by_its_digest() {
    let path = guests::minimal().display().to_string();
    let of = |world: World| world.job(|job| job.args(["--component", &path]));
    let folder = guests::minimal().parent().unwrap().display().to_string();
    let sha256 = {
        let printed = std::process::Command::new("sha256sum")
            .arg(&path)
            .output()
            .expect("sha256sum");
        String::from_utf8_lossy(&printed.stdout)[..64].to_owned()
    };

    of(World::new()).refuses(&[
        "the component asks for `",
        "`components` (line 3) allows built-in",
        "a component elsewhere is given with its sha256",
    ]);
    World::new().but("\"built-in\"", "\"/srv\"").refuses(&[
        "the component asks for `built-in`",
        "with `components = [\"built-in\"]`",
    ]);
    // A digest that is listed, and a path that is nobody's.
    of(World::new()
        .but("built-in", &sha256)
        .job(|job| job.args(["--component-sha256", &sha256])))
    .refuses(&["its path has to be below a folder of `files`"]);
    for policy in [
        World::new().but("built-in", &folder),
        World::new()
            .but("built-in", &sha256)
            .and(&format!("files = [\"{folder}\"]"))
            .job(|job| job.args(["--component-sha256", &sha256])),
    ] {
        let job = of(policy).ready();
        let policy = job.beside("policy.toml").display().to_string();
        let mut words = vec![
            "check".to_owned(),
            "--component".to_owned(),
            path.clone(),
            "--policy".to_owned(),
            policy,
        ];
        words.extend([
            "--tenant".to_owned(),
            "acme".to_owned(),
            "--component-sha256".to_owned(),
            sha256.clone(),
        ]);
        let words: [String; 9] = words.try_into().expect("nine words");
        let checked = job.tidegate(words.each_ref().map(String::as_str));
        assert!(
            !checked.stdout.contains("refused") && !checked.stderr.contains("refused"),
            "{}{}",
            checked.stdout,
            checked.stderr
        );
        checked.stdout_has("component");
    }
}

#[test]
fn a_component_reads_no_variable_that_the_policy_does_not_name() {
    World::new()
        .but("\"built-in\"", "\"/\"")
        .job(|job| job.set("ALLOW_ENVIRONMENT", "AWS_REGION"))
        .refuses(&["ALLOW_ENVIRONMENT asks for `environment AWS_REGION`"]);
}

#[test]
fn check_prints_what_is_asked_allowed_and_got() {
    let world = World::new().job(|job| job.set("MAX_RETRIES", "9"));
    let job = world.ready();
    let policy = job.beside("policy.toml").display().to_string();

    let checked = job.tidegate(["check", "--policy", &policy, "--tenant", "acme"]);

    checked
        .exits(78)
        .stdout_has(&format!("the policy `{policy}` for tenant `acme`:"));
    let row = |name: &str, word: &str| {
        let mut lines = checked
            .stdout
            .lines()
            .skip_while(|line| !line.ends_with(" got"));
        let line = lines.find(|line| line.starts_with(name) && line.contains(word));
        line.unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(row("MAX_RETRIES", ""), "MAX_RETRIES 9 at most 3 refused");
    assert_eq!(row("RUN_DEADLINE", ""), "RUN_DEADLINE 60s at most 15m 60s");
    assert_eq!(row("component", ""), "component built-in built-in built-in");
    let none = World::new().but("\"built-in\"", "\"/srv\"").ready();
    let policy = none.beside("policy.toml").display().to_string();
    let refused = none.tidegate(["check", "--policy", &policy, "--tenant", "acme"]);
    let line = refused
        .stdout
        .lines()
        .find(|line| line.starts_with("component "));
    assert!(
        line.is_some_and(|line| line.ends_with(" refused")),
        "{line:?}"
    );
    assert!(row("SOURCE_API_URL", "").ends_with("/items"));
    assert!(row("SOURCE_API_KEY", "environment").ends_with("environment SOURCE_API_KEY"));
}

#[test]
fn a_policy_that_cannot_be_trusted_or_read_stops_everything() {
    use std::os::unix::fs::PermissionsExt as _;
    let started = |world: World, told: &str| {
        // Whoever looked for it would say that it is not there.
        let mut job = world
            .job(|job| job.args(["--env-file", "no-such.env"]))
            .ready();
        if told.contains("mode") {
            let policy = job.beside("policy.toml");
            std::fs::set_permissions(policy, std::fs::Permissions::from_mode(0o622)).unwrap();
        }
        let run = job.run();
        run.exits(Outcome::Settings).asked(0);
        run.stderr_has("--policy ").stderr_has(told);
        assert!(!run.stderr.contains("no-such.env"), "{}", run.stderr);
    };

    started(World::new(), "mode 0622");
    started(
        World::new().but("origins", "origin"),
        "did you mean `origins`? (",
    );
    started(
        World::new()
            .but("[tenant.acme]", "[tenant.other]")
            .but("[tenant.acme.limits]", "[tenant.other.limits]"),
        "has no `[tenant.acme]`",
    );
    let job = Job::new();
    job.tidegate(["run", "--policy", "no.toml", "--tenant", "acme"])
        .exits(78)
        .stderr_has("`no.toml` was not used");
    job.tidegate(["health", "--policy", "no.toml", "--tenant", "acme"])
        .exits(78)
        .stderr_has("`no.toml` was not used");
    job.tidegate(["run", "--policy", "no.toml"])
        .exits(78)
        .stderr_has("--policy needs `--tenant NAME`");
    job.tidegate(["run", "--tenant", "acme"]).exits(64);
    job.tidegate(["run", "--policy", "no.toml", "--tenant", "../x"])
        .exits(64);
}

#[test]
fn the_environment_names_policy_and_tenant_where_the_command_line_does_not() {
    let world = World::new().but("origins = [\"{server}/items\"]\n", "");
    let mut ready = world.ready();
    for word in ["--policy", "--tenant", "acme"] {
        ready = ready.without_arg(word);
    }
    let policy = ready.beside("policy.toml").display().to_string();
    let mut job = ready
        .without_arg(&policy)
        .set("TIDEGATE_POLICY", &policy)
        .set("TIDEGATE_TENANT", "acme");

    let run = job.run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("policy.toml` for tenant `acme`: `origins` is not in it");
    job.tidegate(["check", "--tenant", "zoo"])
        .exits(78)
        .stderr_has("has no `[tenant.zoo]`");
    let alone = job.unset("TIDEGATE_POLICY");
    alone
        .tidegate(["run"])
        .exits(64)
        .stderr_has("a tenant has a policy");
}

#[test]
fn the_policy_of_the_page_is_one() {
    let job = Job::new();
    std::fs::create_dir(job.beside("state")).unwrap();
    let state = job.beside("state").display().to_string();
    let policy = block_after("## An example").replace("/var/lib/tidegate", &state);
    let policy = job.file("policy.toml", &policy);
    let policy = policy.display().to_string();

    for tenant in ["acme", "globex"] {
        let checked = job.tidegate(["check", "--policy", &policy, "--tenant", tenant]);

        checked
            .exits(78)
            .stdout_has(&format!("policy.toml` for tenant `{tenant}`:"));
        assert!(!checked.stdout.contains("--policy"), "{}", checked.stdout);
    }
}

#[test]
fn in_a_folder_of_jobs_each_folder_is_the_tenant_of_its_name() {
    let job = Job::new().unset("SOURCE_API_URL").unset("OUTPUT_DIR");
    for tenant in ["acme", "zoo"] {
        let folder = job.beside("jobs").join(tenant);
        std::fs::create_dir_all(&folder).unwrap();
        let out = job.beside("out").join(tenant).display().to_string();
        let text = format!(
            "[source]\nsource_api_url = \"{{server}}/items\"\n[output]\noutput_dir = \"{out}\"\n"
        );
        job.file(&format!("jobs/{tenant}/orders.toml"), &text);
    }
    job.file("jobs/own.env", "SOURCE_API_URL={server}/items\n");
    let policy = POLICY
        .replace("{out}", &job.beside("out").display().to_string())
        .replace("[tenant.acme]", "[tenant.zoo]\n[tenant.acme]");
    let policy = job.file("policy.toml", &policy).display().to_string();
    let job = job.api(|_| Reply::new(200, r#"[{"id":1}]"#));
    let ran = |more: &[&str]| {
        let jobs = job.beside("jobs").display().to_string();
        let given = ["run", &jobs, "--policy", &policy, "--set", "LOG_LEVEL=info"];
        let words = [&given[..], more].concat();
        let words: [&str; 8] = words.try_into().expect("eight words");
        let printed = job.tidegate(words);
        printed.exits(78);
        let codes = printed
            .stdout
            .lines()
            .filter(|line| line.contains("job ended"));
        let codes = codes.map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            format!("{} {}", line["job"].as_str().unwrap(), line["exit_code"])
        });
        let mut codes: Vec<String> = codes.collect();
        codes.sort();
        codes
    };

    let without = ran(&["--parallel", "2"]);
    let with = ran(&["--tenant", "acme"]);

    // Whose the file is that is in no folder is not known, or said.
    assert_eq!(without, ["acme/orders 0", "own 78", "zoo/orders 78"]);
    assert_eq!(with, ["acme/orders 0", "own 78", "zoo/orders 78"]);
    job.tidegate(["kubernetes", "jobs", "--policy", &policy])
        .exits(64)
        .stderr_has("--policy is not carried into a manifest");
    let health = job.beside("jobs").display().to_string();
    let printed = job.tidegate(["health", &health, "--policy", &policy]);
    printed.exits(78);
}

#[test]
fn a_budget_ends_the_run_that_has_used_it_up() {
    for (budget, outcome, told) in [
        (
            "requests = 1",
            Outcome::ProtocolBroken,
            "used up its requests, 1 (`requests` in `budgets` of the policy `",
        ),
        (
            "response_bytes = 30",
            Outcome::ProtocolBroken,
            "used up its response_bytes, 30 (`response_bytes` in `budgets` of the policy `",
        ),
        (
            "staged_bytes = 10",
            Outcome::ComponentFailed,
            "staged more than 10 bytes in one run (`staged_bytes`)",
        ),
    ] {
        let mut job = World::new()
            .but(
                "[tenant.acme.limits]",
                &format!("[tenant.acme.budgets]\n{budget}\n\n[tenant.acme.limits]"),
            )
            .job(|job| {
                job.set("SOURCE_PAGINATION", "page")
                    .reply(Reply::new(200, r#"[{"id":1},{"id":2}]"#))
                    .reply(Reply::new(200, r#"[{"id":3},{"id":4}]"#))
                    .reply(Reply::new(200, "[]"))
            })
            .ready();

        let run = job.start().ends_unchecked();

        assert_eq!(
            run.code,
            Some(outcome.exit_code().into()),
            "{budget}: {run:?}"
        );
        assert!(run.stderr.contains(told), "{budget}: {run:?}");
    }
}

#[test]
fn a_job_has_a_proxy_that_is_listed_and_no_other() {
    let with_proxy = |job: Job| job.set("OUTBOUND_PROXY", "http://10.1.2.3:3128");
    World::new().job(with_proxy).refuses(&[
        "OUTBOUND_PROXY asks for `http://10.1.2.3:3128`, refused by the policy",
        "`proxies` is not in it",
        "can allow it with `proxies = [\"http://10.1.2.3:3128\"]`",
    ]);
    World::new()
        .and("proxies = [\"http://10.1.2.3:3129\"]")
        .job(with_proxy)
        .refuses(&["`proxies` (line 2) allows http://10.1.2.3:3129"]);
}

#[test]
fn a_listed_proxy_is_used() {
    // The job's own server plays the proxy.
    let through = |job: Job| {
        let port = job
            .server
            .origin()
            .rsplit_once(':')
            .expect("a port")
            .1
            .to_owned();
        job.set("OUTBOUND_PROXY", &format!("http://localhost:{port}"))
            .set("SOURCE_API_URL", "http://source.example/items")
            .page(200, r#"[{"id":1}]"#)
    };
    let world = World::new().job(through);
    let origin = world.job.server.origin();
    let port = origin.rsplit_once(':').expect("a port").1;
    let line = format!("proxies = [\"http://localhost:{port}\"]");
    let mut job = world
        .but("{server}/items", "http://source.example/items")
        .and(&line)
        .ready();

    let checked = job.tidegate(["check"]);
    checked.exits(0).stdout_has("OUTBOUND_PROXY");
    job.run()
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 1}]));
    let asked = &job.server.seen()[0];
    assert_eq!(asked.target, "http://source.example/items");
}
