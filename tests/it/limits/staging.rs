//! The staging folder: what is granted of it works as other toolchains use it, and no more is granted or staged.

use serde_json::json;
use tidegate::outcome::Outcome;

use super::is_refused;
use crate::world::Job;

#[test]
fn files_work_as_other_toolchains_use_them() {
    let run = Job::misbehaving("use-files-as-others-do").run();

    run.exits(Outcome::Published).publishes(&json!([{"id": 1}]));
}

#[test]
fn folders_links_renames_and_removals_are_not_granted() {
    let run = Job::misbehaving("change-the-folder").run();

    run.exits(Outcome::Published).publishes(&json!([{"id": 1}]));
}

#[test]
fn no_way_to_write_stages_more_than_the_limit() {
    let ways = [
        "fill-by-write",
        "fill-by-size",
        "fill-by-stream",
        "fill-by-append",
        "fill-by-zeroes",
        "fill-by-splice",
        "fill-by-two-files",
        "fill-far-away",
        "stage-a-sparse-file",
    ];
    for way in ways {
        is_refused(way, Outcome::ComponentFailed, "staged more than 8 GiB");
    }
}

#[test]
fn the_limit_is_of_the_run_and_not_of_a_portion() {
    // Three portions of nearly half of it each.
    let run = Job::misbehaving("fill-in-portions")
        .set("WRITE_MODE", "upsert")
        .set("SOURCE_CHANGES", "yes")
        .set("PRIMARY_KEY", "/id")
        .run();

    run.exits(Outcome::ComponentFailed)
        .stderr_has("staged more than 8 GiB")
        .stderr_has("2 portions of this run published");
}

#[test]
fn what_is_there_in_the_end_is_published_whatever_was_read_before() {
    for way in ["stage-anew", "stage-over"] {
        for key in ["", "/id"] {
            let run = Job::misbehaving(way).set("PRIMARY_KEY", key).run();

            let records = json!([{"id": 1, "name": "eno"}, {"id": 2, "name": "owt"}]);
            run.exits(Outcome::Published).publishes(&records);
        }
    }
}

#[test]
fn what_was_cut_off_may_be_staged_again() {
    Job::misbehaving("fill-and-cut")
        .run()
        .exits(Outcome::Published);
}

#[test]
fn no_more_files_are_made_than_the_limit() {
    is_refused(
        "stage-many-files",
        Outcome::ComponentFailed,
        "made more than 40 files in `/out`",
    );
}

#[test]
fn nothing_is_written_after_a_component_returned() {
    let run = Job::misbehaving("write-and-return").run();

    run.exits(Outcome::Published).publishes(&json!([{"id": 9}]));
}

#[test]
fn clocks_show_milliseconds() {
    let run = Job::misbehaving("read-the-clocks").run();

    run.exits(Outcome::Published);
}
