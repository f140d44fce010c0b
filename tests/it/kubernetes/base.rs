//! The Kustomize base of `host/packages`, and the overlay in docs/packages.md.

use super::{is_locked_down, pods, read, valid};
use crate::docs::block_after;
use crate::packages::folder;
use crate::world::Job;

#[test]
fn the_base_is_a_manifest_and_an_overlay_finds_in_it_what_it_names() {
    let job = Job::new();
    let base = folder().join("kustomize");
    let overlay = block_after("An overlay gives it a name, a job and a time:");
    let [base_list, overlay] = [
        std::fs::read_to_string(base.join("kustomization.yaml")).unwrap(),
        overlay.to_owned(),
    ]
    .map(|text| {
        let file = job.file("kustomization.yaml", &text);
        read(&file).remove(0)
    });

    let manifests: Vec<_> = base_list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| base.join(name.as_str().unwrap()))
        .collect();
    assert_eq!(manifests.len(), 1);
    assert_eq!(valid(&manifests[0]), 1);
    let manifests = read(&manifests[0]);
    let pod = pods(&manifests)[0];
    is_locked_down(pod);
    let container = &pod["containers"][0];
    assert_eq!(overlay["images"][0]["name"], container["image"]);
    let [job_file, secrets] = [&pod["volumes"][0], &pod["volumes"][1]];
    assert_eq!(
        overlay["configMapGenerator"][0]["name"],
        job_file["configMap"]["name"]
    );
    assert_eq!(
        overlay["secretGenerator"][0]["name"],
        secrets["secret"]["secretName"]
    );
    let file = overlay["configMapGenerator"][0]["files"][0]
        .as_str()
        .unwrap();
    let (file, _) = file.split_once('=').unwrap();
    let mount = &container["volumeMounts"][0];
    assert_eq!(mount["name"], job_file["name"]);
    let named = format!("{}/{file}", mount["mountPath"].as_str().unwrap());
    assert_eq!(container["args"], serde_json::json!(["run", named]));
}
