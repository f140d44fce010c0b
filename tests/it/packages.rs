//! `host/packages`: what the packages are made of. Building them links the engine anew, and installing them takes root: `build.sh`
//! and `try.sh` there do.

use std::path::{Path, PathBuf};

use crate::world::Job;

/// The folder of the scripts.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packages")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

/// The files that go into the Debian package, as host/Cargo.toml names them.
fn assets() -> Vec<String> {
    let manifest = include_str!("../../host/Cargo.toml");
    let (_, deb) = manifest.split_once("[package.metadata.deb]").unwrap();
    let (_, list) = deb.split_once("assets = [").unwrap();
    let lines = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[\""));
    lines
        .map(|line| line.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_file_of_the_debian_package_is_there_or_is_made_by_the_script() {
    let script = text("build.sh");
    let assets = assets();
    assert!(assets.len() > 8, "{assets:?}");
    for asset in &assets {
        match asset.strip_prefix("../target/packages/files/") {
            Some(made) => {
                let name = made.split(['/', '.']).next().unwrap();
                assert!(script.contains(&format!("$out/files/{name}")), "{asset}");
            }
            None => assert!(folder().join("..").join(asset).is_file(), "{asset}"),
        }
    }
    for file in std::fs::read_dir(folder().join("debian")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let is_named = assets.contains(&format!("packages/debian/{name}"));
        assert!(
            is_named || ["postinst", "postrm"].contains(&&*name),
            "{name}"
        );
    }
}

#[test]
fn the_unit_runs_every_job_of_its_folder() {
    let job = Job::new()
        .unset("SOURCE_API_URL")
        .unset("OUTPUT_DIR")
        .page(200, r#"[{"id":1}]"#);
    std::fs::create_dir_all(job.beside("etc/jobs")).unwrap();
    let out = job.beside("out").display().to_string();
    job.file(
        "etc/jobs/orders.env",
        &format!("SOURCE_API_URL={{server}}/orders\nOUTPUT_DIR={out}\n"),
    );
    let unit = text("debian/tidegate@.service");
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let words = line.unwrap().strip_prefix("/usr/bin/tidegate ").unwrap();
    let etc = job.beside("etc").display().to_string();
    let words = words.replace("/etc/tidegate", &etc).replace("%I", "jobs");
    let words: Vec<&str> = words.split(' ').collect();

    job.tidegate_with(&words).exits(0);

    let published = std::fs::read_to_string(job.beside("out/latest.json")).unwrap();
    assert!(published.contains(r#""id":1"#), "{published}");
}
