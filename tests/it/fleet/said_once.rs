//! What several resources share is written once: in the other tables of a job file, or in `_shared.env`.

use serde_json::Value;

use super::{TWO, codes, expected, sorted};
use crate::server::Reply;
use crate::world::Job;

/// A job without the usual settings.
fn bare() -> Job {
    Job::new()
        .unset("SOURCE_API_URL")
        .unset("SOURCE_API_KEY")
        .unset("OUTPUT_DIR")
}

const SHOP: &str = "\
[source]
source_api_url = \"{server}/none\"
source_records = \"/items\"
source_api_key_file = \"none.key\"

[output]
output_dir = \"{dir}/out\"
primary_key = [\"/id\"]

[resources.orders]
source_api_url = \"{server}/orders\"
source_api_key_env = \"ORDERS_KEY\"

[resources.customers]
source_api_url = \"{server}/customers\"
source_records = \"/customers\"
output_dir = \"{dir}/people\"
job_name = \"people\"
source_api_key_env = \"ORDERS_KEY\"
";

/// A job file with two resources, whose source answers both.
fn shop(text: &str) -> Job {
    let job = bare();
    let dir = job.beside("").display().to_string();
    job.file(
        "shop.toml",
        &text.replace("{dir}", dir.trim_end_matches('/')),
    );
    let key = job.key.clone();
    job.set("ORDERS_KEY", &key)
        .api(|request| match request.path() {
            "/orders" => Reply::new(200, r#"{"items":[{"id":1}]}"#),
            _ => Reply::new(200, r#"{"customers":[{"id":2}]}"#),
        })
}

fn read(job: &Job, file: &str) -> String {
    std::fs::read_to_string(job.beside(file)).unwrap_or_default()
}

#[test]
fn a_resource_overrides_what_is_shared_and_has_a_folder_of_its_own() {
    let job = shop(SHOP);

    let printed = job.tidegate(["run", "shop.toml"]);

    printed.exits(0);
    assert_eq!(read(&job, "out/orders/latest.json"), "[\n{\"id\":1}\n]\n");
    assert_eq!(read(&job, "people/latest.json"), "[\n{\"id\":2}\n]\n");
    let names = ["out/orders", "people"].map(|folder| {
        let last: Value =
            serde_json::from_str(&read(&job, &format!("{folder}/last-run.json"))).unwrap();
        last["job"].clone()
    });
    assert_eq!(names, ["shop_orders", "people"]);
    let keyed = format!("Bearer {}", job.key);
    let seen = job.server.seen();
    assert!(
        seen.iter()
            .all(|request| request.header("authorization") == Some(&*keyed))
    );
}

#[test]
fn two_resources_of_one_folder_do_not_replace_each_others_set() {
    let job = shop(&SHOP.replace("{dir}/people", "{dir}/out/orders"));

    let printed = job.tidegate(["run", "shop.toml"]);

    printed.exits(78);
    let mut ended: Vec<u64> = codes(&printed).into_iter().map(|(_, code)| code).collect();
    ended.sort_unstable();
    assert_eq!(ended, [0, 78]);
    printed.stderr_has("which runs beside it: each would replace the other's set");
}

#[test]
fn one_resource_runs_alone() {
    let job = shop(SHOP);

    let printed = job.tidegate(["run", "shop.toml", "--resource", "orders"]);

    printed.exits(0);
    assert_eq!(read(&job, "out/orders/latest.json"), "[\n{\"id\":1}\n]\n");
    assert_eq!(job.server.seen().len(), 1);
}

#[test]
fn what_is_given_for_all_is_told_apart_by_the_name_of_the_resource() {
    let job = shop(SHOP);
    let out = job.beside("all").display().to_string();

    let printed = job.tidegate([
        "run",
        "shop.toml",
        "--resource",
        "orders",
        "--set",
        &format!("OUTPUT_DIR={out}"),
        "--set",
        "JOB_NAME=shop",
    ]);

    printed.exits(0);
    let last: Value = serde_json::from_str(&read(&job, "all/orders/last-run.json")).unwrap();
    assert_eq!(last["job"], "shop_orders");
}

#[test]
fn in_a_database_each_has_a_table_of_its_own() {
    let text = SHOP
        .replace(
            "output_dir = \"{dir}/out\"",
            "output_database_url = \"sqlite://{dir}/shop.db\"",
        )
        .replace("output_dir = \"{dir}/people\"\njob_name = \"people\"\n", "");
    let job = shop(&text);

    job.tidegate(["run", "shop.toml", "--parallel", "1"])
        .exits(0);

    let tables = crate::world::rows(
        &job.beside("shop.db"),
        "SELECT name FROM sqlite_master WHERE name LIKE 'shop%' ORDER BY name",
    );
    assert_eq!(tables, ["shop_customers", "shop_orders"]);
}

#[test]
fn check_looks_at_each_resource() {
    let job = shop(SHOP);

    let printed = job.tidegate(["check", "shop.toml"]);

    printed
        .exits(0)
        .stdout_has("[resources.orders]\n")
        .stdout_has("[resources.customers]\n")
        .stdout_has("out/orders")
        .stdout_has("shop.toml:11");
    assert_eq!(printed.stdout.matches("no problem found").count(), 2);
}

#[test]
fn a_key_that_is_unknown_or_in_a_table_is_78_for_its_resource_alone() {
    let wrong = "source_recrods = \"/customers\"\n[resources.customers.gates]\nmin_records = 1\n";
    let job = shop(&SHOP.replace("source_records = \"/customers\"\n", wrong));

    let printed = job.tidegate(["run", "shop.toml"]);

    printed.exits(78);
    let wanted = expected(&[("shop_customers", 78), ("shop_orders", 0)]);
    assert_eq!(sorted(codes(&printed)), wanted);
    let checked = job.tidegate(["check", "shop.toml", "--resource", "customers"]);
    checked
        .exits(78)
        .stdout_has("source_recrods is not a key; did you mean `source_records` in `[source]`? (shop.toml:16)")
        .stdout_has("has a table `gates` in the resource `customers`: write the keys of a resource directly below `[resources.customers]` (shop.toml:17)");
    job.tidegate(["check", "shop.toml"])
        .exits(78)
        .stderr_has("not all of the 2 resources can run: customers 78");
}

#[test]
fn a_resource_that_is_none_is_78_and_says_what_was_meant() {
    let job = shop(SHOP);

    job.tidegate(["run", "shop.toml", "--resource", "oders"])
        .exits(78)
        .stderr_has("has no resource `oders`; did you mean `orders`?");
    job.tidegate(["preview", "shop.toml"])
        .exits(78)
        .stderr_has("has several resources, and this is done for one: choose it with `--resource` (`orders`, `customers`)");
    job.file("empty.toml", "[resources]\n");
    job.tidegate(["run", "empty.toml"])
        .exits(78)
        .stderr_has("has no resource in `resources`");
    job.file("misnamed.toml", "[resources.\"A b\"]\n");
    job.tidegate(["run", "misnamed.toml"])
        .exits(78)
        .stderr_has("`A b` cannot be the name of a resource");
    job.file("plain.toml", "[source]\n");
    job.tidegate(["run", "plain.toml", "--resource", "orders"])
        .exits(78)
        .stderr_has("has no resources: leave out `--resource`");
    std::fs::create_dir(job.beside("jobs")).unwrap();
    job.tidegate(["run", "jobs", "--resource", "orders"])
        .exits(64)
        .stderr_has("`--resource` is for a job file");
    assert_eq!(job.server.seen().len(), 0);
}

#[test]
fn health_and_manifests_are_one_for_each_resource() {
    let job = shop(SHOP);
    job.tidegate(["run", "shop.toml", "--resource", "orders"])
        .exits(0);

    let health = job.tidegate(["health", "shop.toml"]);
    let one = job.tidegate(["health", "shop.toml", "--resource", "orders"]);
    job.file("pods.toml", &SHOP.replace("{dir}", "/srv/sync"));
    let manifests = job.tidegate(["kubernetes", "pods.toml", "--output", "json"]);

    job.tidegate(["runs", "shop.toml"])
        .exits(0)
        .stdout_has("shop_orders:\n")
        .stdout_has("shop_customers:\n");
    job.tidegate(["runs", "shop.toml", "--resource", "orders"])
        .exits(0)
        .stdout_has("published");
    job.tidegate(["diff", "shop.toml"])
        .exits(78)
        .stderr_has("choose it with `--resource`");
    // Of one generation there is nothing to compare yet.
    let diff = job.tidegate(["diff", "shop.toml", "--resource", "orders"]);
    assert!(!diff.stderr.contains("--resource"), "{}", diff.stderr);
    health
        .exits(2)
        .stdout_has("shop_orders")
        .stdout_has("1 of 2 jobs fresh");
    one.exits(0);
    manifests
        .exits(0)
        .stdout_has("pods-orders")
        .stdout_has(
            "{server}/orders"
                .replace("{server}", &job.server.origin())
                .as_str(),
        )
        .stdout_has("pods-customers");
}

#[test]
fn env_files_of_a_folder_share_what_is_in_one_of_them() {
    let job = bare();
    std::fs::create_dir_all(job.beside("jobs/acme")).unwrap();
    let out = job.beside("out").display().to_string();
    let shared = format!(
        "OUTPUT_DIR={out}\nSOURCE_RECORDS=/items\nSOURCE_API_KEY={}\n",
        job.key
    );
    job.file("jobs/acme/_shared.env", &shared);
    job.file("jobs/acme/orders.env", "SOURCE_API_URL={server}/orders\n");
    job.file(
        "jobs/acme/people.env",
        "SOURCE_API_URL={server}/people\nSOURCE_RECORDS=/people\n",
    );
    job.file(
        "jobs/own.env",
        &format!("SOURCE_API_URL={{server}}/own\nOUTPUT_DIR={out}/own\n"),
    );
    let job = job.api(|request| match request.path() {
        "/orders" => Reply::new(200, r#"{"items":[{"id":1}]}"#),
        "/people" => Reply::new(200, r#"{"people":[{"id":2}]}"#),
        _ => Reply::new(200, TWO),
    });

    let printed = job.tidegate(["run", "jobs", "--parallel", "2", "--per-tenant", "1"]);

    printed.exits(0);
    let wanted = expected(&[("acme/orders", 0), ("acme/people", 0), ("own", 0)]);
    assert_eq!(sorted(codes(&printed)), wanted);
    assert_eq!(read(&job, "out/orders/latest.json"), "[\n{\"id\":1}\n]\n");
    assert_eq!(read(&job, "out/people/latest.json"), "[\n{\"id\":2}\n]\n");
    // The two that share their settings came over one connection, one after the other.
    let seen = job.server.seen();
    let connections = |path: &str| {
        seen.iter()
            .find(|one| one.path() == path)
            .map(|one| one.connection)
    };
    assert_eq!(connections("/orders"), connections("/people"));
    assert_ne!(connections("/orders"), connections("/own"));
    let alone = job.tidegate([
        "check",
        "--env-file",
        "jobs/acme/_shared.env",
        "--env-file",
        "jobs/acme/orders.env",
    ]);
    alone.exits(0).stdout_has("out/orders");
    let health = job.tidegate(["health", "jobs"]);
    health.exits(0).stdout_has("3 of 3 jobs fresh");
}

#[test]
fn a_shared_file_that_leads_out_of_its_folder_refuses_the_jobs_there() {
    let job = bare();
    std::fs::create_dir_all(job.beside("jobs/acme")).unwrap();
    std::fs::create_dir_all(job.beside("jobs/zoo")).unwrap();
    let key = job.key.clone();
    job.file("jobs/zoo/_shared.env", &format!("SOURCE_API_KEY={key}\n"));
    std::os::unix::fs::symlink("../zoo/_shared.env", job.beside("jobs/acme/_shared.env")).unwrap();
    job.file(
        "jobs/acme/orders.env",
        "SOURCE_API_URL={server}/orders\nOUTPUT_DIR=out\n",
    );

    let printed = job.tidegate(["run", "jobs"]);

    printed.exits(78).stderr_has(
        "acme/orders: exit 78: it is a link that leads out of the folder of its tenant",
    );
    assert_eq!(job.server.seen().len(), 0);
}

#[test]
fn a_policy_holds_for_each_resource() {
    let job = shop(SHOP);
    let dir = job.beside("");
    let dir = dir.display().to_string();
    let dir = dir.trim_end_matches('/');
    job.file(
        "policy.toml",
        &format!(
            "[tenant.acme]\norigins = [\"{{server}}/orders\"]\ncomponents = [\"built-in\"]\noutput_folders = [\"{dir}/out\"]\nenvironment = [\"ORDERS_KEY\"]\n"
        ),
    );

    let printed = job.tidegate([
        "run",
        "shop.toml",
        "--policy",
        "policy.toml",
        "--tenant",
        "acme",
    ]);

    printed.exits(78);
    let wanted = expected(&[("shop_customers", 78), ("shop_orders", 0)]);
    assert_eq!(sorted(codes(&printed)), wanted);
    assert_eq!(read(&job, "people/latest.json"), "");
}
