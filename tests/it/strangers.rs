//! Folders that others can write to, files that are not ours, and removing among them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use tidegate::outcome::Outcome;

use crate::world::{Job, NOBODY, can_mount, is_root};

const ONE: &str = r#"[{"id":1}]"#;
const TWO: &str = r#"[{"id":1},{"id":2}]"#;

/// A job that has published once.
fn published() -> Job {
    let mut job = Job::new().page(200, ONE);
    job.run().exits(Outcome::Published);
    job
}

/// The folder of the current generation.
fn current(job: &Job) -> PathBuf {
    fs::canonicalize(job.output().join("current")).unwrap()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Runs the job, which must refuse a folder before it asks the source for anything and change nothing in it.
fn is_refused(mut job: Job, told: &[&str]) {
    let recorded = fs::read(job.output().join("last-run.json")).ok();
    let names = crate::world::names(&job.output());

    let run = job.run();

    run.exits(Outcome::OutputUnusable)
        .asked(0)
        .publishes_nothing();
    for text in told {
        run.stderr_has(text);
    }
    assert_eq!(crate::world::names(&job.output()), names);
    // Below a folder that is as it must be, the lock was taken and the end is written down.
    if mode(&job.output()) & 0o022 != 0 {
        let now = fs::read(job.output().join("last-run.json")).ok();
        assert_eq!(now, recorded);
    }
}

#[test]
fn a_folder_that_its_group_can_write_to_is_73_and_names_both_ways_on() {
    let job = published();
    chmod(&job.output(), 0o775);
    let path = job.output().display().to_string();

    is_refused(
        job,
        &[
            "can write to it (owner ",
            "mode 0775)",
            &format!(
                "`chmod g-w {path}`; or trust the group as this user: `chmod g+s {path}` and ALLOW_SHARED_OUTPUT=yes"
            ),
        ],
    );
}

#[test]
fn a_folder_that_everybody_can_write_to_is_73_shared_or_not() {
    let job = published().set("ALLOW_SHARED_OUTPUT", "yes");
    chmod(&job.output(), 0o2777);

    is_refused(job, &["every user can write to it", "`chmod go-w "]);
}

#[test]
fn a_folder_like_tmp_is_73_and_its_mode_is_left_alone() {
    let job = published();
    chmod(&job.output(), 0o1777);

    is_refused(job, &["use a folder of this job's own in it"]);
}

#[test]
fn generations_that_others_can_write_to_are_73_and_no_older_one_is_recommended() {
    for changed in ["generations", "current"] {
        let job = published();
        let folder = if changed == "current" {
            current(&job)
        } else {
            job.output().join(changed)
        };
        chmod(&folder, 0o775);

        is_refused(
            job,
            &[
                "host refused the folder `",
                &format!("`chmod g-w {}", folder.display()),
            ],
        );
    }
}

#[test]
fn segments_that_others_can_write_to_are_73() {
    let mut job = Job::new()
        .set("WRITE_MODE", "append")
        .set("OUTPUT_FORMAT", "ndjson")
        .page(200, ONE);
    job.run().exits(Outcome::Published);
    chmod(&job.output().join("segments"), 0o777);

    is_refused(job, &["segments`: every user can write to it"]);
}

#[test]
fn a_group_folder_is_used_where_that_is_allowed() {
    let mut job = published().set("ALLOW_SHARED_OUTPUT", "yes").page(200, TWO);
    chmod(&job.output(), 0o2775);
    chmod(&job.output().join("generations"), 0o2775);

    job.run().exits(Outcome::Published);

    chmod(&job.output(), 0o775);
    is_refused(job, &["`chmod g+s "]);
}

#[test]
fn folders_that_a_run_makes_are_closed_to_the_group_whatever_the_umask() {
    let mut job = Job::new()
        .page(200, ONE)
        .launched_by("umask 000; exec \"$@\"");
    job.run().exits(Outcome::Published);

    let folders = [
        job.output().parent().unwrap().to_owned(),
        job.output(),
        job.output().join("generations"),
        current(&job),
    ];
    for folder in &folders {
        assert_eq!(mode(folder), 0o755, "{}", folder.display());
    }
    // And so it is with a mode for files that lets the group write.
    let mut job = job.set("OUTPUT_MODE", "0660").page(200, TWO);
    job.run().exits(Outcome::Published);
    assert_eq!(mode(&current(&job)), 0o750);
}

#[test]
fn a_folder_of_another_user_is_73() {
    if !is_root() {
        return;
    }
    for changed in ["", "generations"] {
        let job = published();
        chown(job.output().join(changed), Some(NOBODY), None).unwrap();

        is_refused(
            job,
            &["it belongs to user 65534 (mode 0755), and this user is 0"],
        );
    }
}

#[test]
fn a_folder_above_that_others_can_write_to_is_a_warning() {
    let mut job = published().page(200, TWO);
    let above = job.output().parent().unwrap().to_owned();
    chmod(&above, 0o777);

    let run = job.run();

    run.exits(Outcome::Published);
    let warnings = run.events("another user can replace the output folder");
    assert_eq!(warnings.len(), 1);
    let told = warnings[0]["above"].as_str().unwrap();
    assert!(told.contains(&above.display().to_string()), "{told}");
    // As /tmp is: there, nobody renames what is another user's.
    chmod(&above, 0o1777);
    let mut job = job.page(200, TWO);
    let run = job.run();
    assert_eq!(
        run.events("another user can replace the output folder")
            .len(),
        0
    );
}

#[test]
fn a_lock_with_a_second_name_is_73_and_that_file_is_intact() {
    let mut job = published();
    let (lock, other) = (job.output().join(".lock"), job.beside("precious"));
    fs::write(&other, "precious").unwrap();
    fs::remove_file(&lock).unwrap();
    fs::hard_link(&other, &lock).unwrap();

    job.run()
        .exits(Outcome::OutputUnusable)
        .asked(0)
        .stderr_has(".lock`: it has 2 names (hard links)");

    assert_eq!(fs::read_to_string(other).unwrap(), "precious");
}

#[test]
fn a_lock_of_another_user_is_73_and_is_intact() {
    if !is_root() {
        return;
    }
    let mut job = published();
    let lock = job.output().join(".lock");
    fs::write(&lock, "theirs").unwrap();
    chown(&lock, Some(NOBODY), None).unwrap();

    job.run()
        .exits(Outcome::OutputUnusable)
        .asked(0)
        .stderr_has(".lock`: it belongs to user 65534");

    assert_eq!(fs::read_to_string(lock).unwrap(), "theirs");
}

#[test]
fn a_database_file_with_a_second_name_is_73_and_is_intact() {
    let mut job = Job::new().sqlite().set("PRIMARY_KEY", "/id").page(200, ONE);
    job.run().exits(Outcome::Published);
    let database = job.database().unwrap();
    fs::hard_link(&database, job.beside("second")).unwrap();

    job.run()
        .exits(Outcome::OutputUnusable)
        .asked(0)
        .publishes_nothing()
        .stderr_has("data.db`: it has 2 names (hard links)");
}

#[test]
fn what_is_no_file_in_the_place_of_a_journal_is_73_and_nobody_waits_for_it() {
    for ending in ["-journal", "-wal", "-shm"] {
        let mut job = Job::new().sqlite().set("PRIMARY_KEY", "/id").page(200, ONE);
        job.run().exits(Outcome::Published);
        let mut journal = job.database().unwrap().into_os_string();
        journal.push(ending);
        let journal = journal.into_string().unwrap();
        // Gone again when the run has ended: whoever looks at the database would wait for it, too.
        let script = format!(
            r#"rm -f '{journal}'; mkfifo '{journal}'; timeout -k 1 20 "$@"; ended=$?; rm '{journal}'; exit $ended"#
        );

        job.launched_by(&script)
            .run()
            .exits(Outcome::OutputUnusable)
            .asked(0)
            .publishes_nothing()
            .stderr_has(&format!("data.db{ending}`: it is not a regular file"));
    }
}

#[test]
fn a_database_whose_folder_others_can_write_to_is_73() {
    for mode in [0o775, 0o777, 0o1777] {
        let mut job = Job::new().sqlite().set("PRIMARY_KEY", "/id");
        let folder = job.beside("databases");
        fs::create_dir(&folder).unwrap();
        chmod(&folder, mode);
        let url = format!("sqlite://{}/data.db", folder.display());

        job = job.set("OUTPUT_DATABASE_URL", &url);

        job.run()
            .exits(Outcome::OutputUnusable)
            .asked(0)
            .stderr_has("can write to it (owner ");
        assert!(!folder.join("data.db").exists());
    }
}

#[test]
fn a_link_to_a_database_in_a_folder_that_others_can_write_to_is_73() {
    let mut job = Job::new().sqlite().set("PRIMARY_KEY", "/id").page(200, ONE);
    job.run().exits(Outcome::Published);
    let (database, open) = (job.database().unwrap(), job.beside("open"));
    fs::create_dir(&open).unwrap();
    fs::rename(&database, open.join("data.db")).unwrap();
    symlink(open.join("data.db"), &database).unwrap();
    chmod(&open, 0o777);

    job.run()
        .exits(Outcome::OutputUnusable)
        .asked(0)
        .stderr_has("every user can write to it");
}

#[test]
fn a_database_file_of_another_user_is_73() {
    if !is_root() {
        return;
    }
    let mut job = Job::new().sqlite().set("PRIMARY_KEY", "/id").page(200, ONE);
    job.run().exits(Outcome::Published);
    chown(job.database().unwrap(), Some(NOBODY), None).unwrap();

    job.run()
        .exits(Outcome::OutputUnusable)
        .asked(0)
        .publishes_nothing()
        .stderr_has("data.db`: it belongs to user 65534");
}

#[test]
fn what_stands_in_the_place_of_last_run_json_is_replaced_and_never_written_to() {
    for link in ["hard", "symbolic"] {
        let mut job = published().page(200, TWO);
        let (recorded, other) = (job.output().join("last-run.json"), job.beside("precious"));
        fs::write(&other, "precious").unwrap();
        fs::remove_file(&recorded).unwrap();
        if link == "hard" {
            fs::hard_link(&other, &recorded).unwrap();
        } else {
            symlink(&other, &recorded).unwrap();
        }

        job.run().exits(Outcome::Published);

        assert_eq!(fs::read_to_string(other).unwrap(), "precious", "{link}");
        assert!(fs::symlink_metadata(recorded).unwrap().is_file(), "{link}");
    }
}

#[test]
fn what_another_user_has_in_a_leftover_stays_with_a_warning_that_names_it() {
    if !is_root() {
        return;
    }
    let mut job = published().page(200, TWO);
    let leftover = job.output().join(".staging-old");
    fs::create_dir_all(leftover.join("in")).unwrap();
    fs::write(leftover.join("in/theirs"), "").unwrap();
    fs::write(leftover.join("in/ours"), "").unwrap();
    chown(leftover.join("in/theirs"), Some(NOBODY), None).unwrap();

    let run = job.start().ends_unchecked();

    run.exits(0);
    assert!(leftover.join("in/theirs").exists() && !leftover.join("in/ours").exists());
    run.stdout_has("leftover of a killed run not removed");
    run.stdout_has("`.staging-old/in/theirs` belongs to user 65534, and a run removes only what belongs to its own user");
}

#[test]
fn a_file_system_that_is_mounted_in_a_leftover_is_not_entered() {
    if !can_mount() {
        return eprintln!("not shown here: this machine lets nobody mount a tmpfs");
    }
    for mount in ["mount -t tmpfs none", "mount --bind 'PRECIOUS'"] {
        let job = published().page(200, TWO);
        let (precious, seen) = (job.beside("precious"), job.beside("seen"));
        fs::create_dir(&precious).unwrap();
        let inside = job.output().join(".staging-old/in");
        fs::create_dir_all(&inside).unwrap();
        let script = format!(
            "set -e; {mount} '{inside}'; touch '{inside}/kept'; set +e; \"$@\"; code=$?; ls '{inside}' > '{seen}'; exit $code",
            mount = mount.replace("PRECIOUS", &precious.display().to_string()),
            inside = inside.display(),
            seen = seen.display()
        );
        let mut job = job.launcher(&["unshare", "-Urm", "sh", "-c", &script, "sh"]);

        let run = job.start().ends_unchecked();

        run.exits(0)
            .stdout_has("another file system is mounted at `.staging-old/in`");
        assert_eq!(fs::read_to_string(seen).unwrap(), "kept\n", "{mount}");
    }
}

#[test]
fn a_folder_of_a_leftover_that_cannot_be_opened_stays_and_the_rest_goes() {
    let mut job = Job::ordinary().page(200, ONE);
    job.run().exits(Outcome::Published);
    job = job.page(200, TWO);
    let left = job.output().join(".staging-left");
    for name in ["a", "closed", "z"] {
        fs::create_dir_all(left.join(name)).unwrap();
        fs::write(left.join(name).join("file"), "").unwrap();
    }
    chmod(&left.join("closed"), 0);
    if is_root() {
        let given = std::process::Command::new("chown")
            .args(["-R", "65534"])
            .arg(&left)
            .status();
        assert!(given.unwrap().success());
    }

    let run = job.start().ends_unchecked();

    run.exits(0);
    assert_eq!(crate::world::names(&left), ["closed"]);
    chmod(&left.join("closed"), 0o700);
}
