//! `min_interval`: however often a tenant's job is started, it runs no more often than its operator says.

use super::*;
use crate::world::Begun;

fn world() -> World {
    let world = World::new().and("min_interval = \"1h\"").but(
        "[tenant.acme]\n",
        "state_folder = \"{dir}/state\"\n\n[tenant.acme]\n",
    );
    make(&world.job);
    world
}

fn make(job: &Job) {
    std::fs::create_dir(job.beside("state")).unwrap();
}

/// With another time for when the last run began.
fn began(job: &Job, at: &str) {
    let file = job.beside("state/acme/began.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut began: serde_json::Value = serde_json::from_str(&text).unwrap();
    for beginning in began.as_object_mut().unwrap().values_mut() {
        beginning["at"] = at.into();
    }
    std::fs::write(&file, began.to_string()).unwrap();
}

#[test]
fn a_run_within_the_interval_is_75_and_nothing_is_asked() {
    let mut job = world().ready().api(|_| Reply::new(200, r#"[{"id":1}]"#));
    let policy = job.beside("policy.toml").display().to_string();
    let under = ["--policy", &policy, "--tenant", "acme"];
    let check = |job: &Job| {
        let words = [&["check"], &under[..]].concat();
        let words: [&str; 5] = words.try_into().expect("five words");
        job.tidegate(words)
    };
    check(&job)
        .exits(0)
        .stdout_has("a run every 1h")
        .stdout_has(" now\n");
    job.run().exits(Outcome::Published).asked(1);

    let early = job.run();

    early.exits(Outcome::TryLater).asked(0);
    early
        .stderr_has("this run is too early, and nothing was fetched")
        .stderr_has("policy.toml` for tenant `acme` allows one every 1h (`min_interval`, line 4)")
        .stderr_has("run it again from 20");
    assert_eq!(early.last_run()["outcome"], "published");
    check(&job).exits(0).stdout_has(" from 20");
    let words = [&["health"], &under[..]].concat();
    let words: [&str; 5] = words.try_into().expect("five words");
    job.tidegate(words).exits(0);

    began(&job, "2020-01-01T00:00:00Z");
    job.run().exits(Outcome::NothingNew).asked(1);
    began(&job, "2099-01-01T00:00:00Z");
    job.run().exits(Outcome::TryLater).asked(0);
    // A run without publishing asks as much as any.
    let mut dry = job.args(["--dry-run"]);
    dry.run().exits(Outcome::TryLater).asked(0);
}

#[test]
fn of_starts_at_once_one_runs() {
    let job = world().ready().api(|_| Reply::new(200, r#"[{"id":1}]"#));
    let policy = job.beside("policy.toml").display().to_string();
    let begun: Vec<_> = (0..5)
        .map(|_| job.begin(["run", "--policy", &policy, "--tenant", "acme"]))
        .collect();

    let ended: Vec<_> = begun.into_iter().map(Begun::ends).collect();

    let count = |code: i32| ended.iter().filter(|run| run.code == Some(code)).count();
    assert_eq!((count(0), count(75)), (1, 4), "{ended:?}");
    let early = ended.iter().filter(|run| run.stderr.contains("too early"));
    assert_eq!(early.count(), 4, "{ended:?}");
}

#[test]
fn without_the_folder_for_its_state_nothing_runs() {
    use std::os::unix::fs::PermissionsExt as _;
    let refused = |world: World, told: &str| world.refuses(&[told, "`min_interval` (line 4)"]);

    let missing = world();
    std::fs::remove_dir(missing.job.beside("state")).unwrap();
    refused(
        missing,
        "does not exist: make it as the user that runs this, with `mkdir -m 700 ",
    );
    let open = world();
    let all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(open.job.beside("state"), all).unwrap();
    refused(open, "can be changed by others");
    let job = world().ready();
    std::fs::remove_dir(job.beside("state")).unwrap();
    let policy = job.beside("policy.toml").display().to_string();
    job.tidegate(["check", "--policy", &policy, "--tenant", "acme"])
        .exits(78)
        .stdout_has("--policy cannot be applied: the policy `")
        .stdout_has("mkdir -m 700");
}

#[test]
fn a_name_in_a_tenant_s_file_makes_no_other_job_of_it() {
    let world = World::new().job(|job| job.unset("SOURCE_API_URL").unset("OUTPUT_DIR"));
    make(&world.job);
    let out = world.job.beside("out").display().to_string();
    let text = format!(
        "[source]\nsource_api_url = \"{{server}}/items\"\n[output]\noutput_dir = \"{out}/NAME\"\n"
    );
    let job = world
        .and("min_interval = \"1h\"")
        .but(
            "[tenant.acme]\n",
            "state_folder = \"{dir}/state\"\n\n[tenant.acme]\n",
        )
        .ready()
        .api(|_| Reply::new(200, r#"[{"id":1}]"#));
    let (jobs, policy) = (job.beside("jobs"), job.beside("policy.toml"));
    let (jobs, policy) = (jobs.display().to_string(), policy.display().to_string());
    std::fs::create_dir_all(job.beside("jobs/acme")).unwrap();
    let run = |name: &str| {
        job.file("jobs/acme/orders.toml", &text.replace("NAME", name));
        job.tidegate(["run", &jobs, "--policy", &policy])
    };

    run("orders").exits(0);

    run("other").exits(75).stderr_has("too early");
    assert!(!job.beside("out/other").exists());
}

#[test]
fn resources_of_a_file_begin_together_and_a_new_one_makes_no_other_job() {
    // OUTPUT_DIR is of the environment: the operator gives it.
    let job = world().ready().unset("SOURCE_API_URL");
    let job = job.api(|_| Reply::new(200, r#"[{"id":1}]"#));
    let text = |names: &[&str]| {
        let one = |name: &&str| {
            format!("[resources.{name}]\nsource_api_url = \"{{server}}/items/{name}\"\n")
        };
        names.iter().map(one).collect::<String>()
    };
    let policy = job.beside("policy.toml").display().to_string();
    let run = |words: &[&str]| {
        let under = ["--policy", &policy, "--tenant", "acme"];
        job.tidegate_with(&[&["run", "shop.toml"], words, &under[..]].concat())
    };
    job.file("shop.toml", &text(&["a", "b", "c"]));

    run(&["--parallel", "2"]).exits(0);
    job.file("shop.toml", &text(&["x", "y"]));
    run(&["--parallel", "2"])
        .exits(75)
        .stderr_has("shop_x: exit 75")
        .stderr_has("shop_y: exit 75");
    run(&["--resource", "x"]).exits(75).stderr_has("too early");

    assert_eq!(job.server.seen().len(), 3);
}
