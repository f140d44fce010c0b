//! Names that Kubernetes takes: labels of DNS (RFC 1123), as short as those of a CronJob have to be.

use std::collections::BTreeMap;
use std::path::Path;

use crate::commands::fleet::jobs::FleetJob;
use crate::limits::{
    KUBERNETES_INDEXED_NAME_BYTES_MAX, KUBERNETES_LABEL_BYTES_MAX, KUBERNETES_NAME_BYTES_MAX,
};

/// How much of a digest tells two names apart.
const DIGITS: usize = 8;

/// A name for each job, all of them different, and the same in every run of the same folder.
pub fn names(jobs: &[FleetJob]) -> Vec<String> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for job in jobs {
        *taken.entry(plain(job)).or_default() += 1;
    }
    let name = |job: &FleetJob| {
        let plain = plain(job);
        let is_exact = plain == job.label().replace('/', "-");
        if is_exact && plain.len() <= KUBERNETES_NAME_BYTES_MAX && taken[&plain] == 1 {
            return plain;
        }
        let digest = crate::hash::sha256(job.label().as_bytes());
        let room = KUBERNETES_NAME_BYTES_MAX - DIGITS - 1;
        let kept = plain[..plain.len().min(room)].trim_end_matches('-');
        let joint = if kept.is_empty() { "job" } else { kept };
        format!("{joint}-{}", &digest[..DIGITS])
    };
    jobs.iter().map(name).collect()
}

/// The name of the CronJob of a folder of jobs.
pub fn of_folder(folder: &Path) -> String {
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("tidegate-{}", only_of_labels(&folder));
    let kept = &name[..name.len().min(KUBERNETES_INDEXED_NAME_BYTES_MAX)];
    kept.trim_end_matches('-').to_owned()
}

/// The name of a job with nothing in it but what a label may have.
fn plain(job: &FleetJob) -> String {
    only_of_labels(&job.label()).trim_matches('-').to_owned()
}

fn only_of_labels(text: &str) -> String {
    let plain = text.chars().map(|c| match c {
        'a'..='z' | '0'..='9' => c,
        _ => '-',
    });
    plain.collect()
}

pub fn is_label(text: &str) -> bool {
    let is_known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=KUBERNETES_LABEL_BYTES_MAX).contains(&text.len())
        && text.bytes().all(is_known)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The minute of the hour at which a job begins where nothing was said: not all at once.
pub fn minute(name: &str) -> u8 {
    let digest = crate::hash::sha256(name.as_bytes());
    u8::from_str_radix(&digest[..2], 16).unwrap_or(0) % 60
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job(label: &str) -> FleetJob {
        let (tenant, name) = label.split_once('/').unwrap_or(("", label));
        FleetJob {
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            file: "x.env".into(),
            resource: None,
            shared: None,
            refused: None,
        }
    }

    fn names_of(labels: &[&str]) -> Vec<String> {
        let jobs: Vec<FleetJob> = labels.iter().map(|label| job(label)).collect();
        names(&jobs)
    }

    #[test]
    fn a_name_is_tenant_and_job() {
        assert_eq!(names_of(&["acme/orders", "own"]), ["acme-orders", "own"]);
    }

    #[test]
    fn what_would_be_one_name_is_two() {
        let names = names_of(&["a-b/c", "a/b-c", "a/b_c"]);

        assert!(
            names.iter().all(|name| name.starts_with("a-b-c-")),
            "{names:?}"
        );
        assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
    }

    #[test]
    fn the_name_of_a_folder_is_one_to_kubernetes() {
        let long = "x".repeat(200);
        let folders = ["/etc/sync/jobs/", "..", "/", "Jobs (old)", &*long];

        let names = folders.map(|folder| of_folder(Path::new(folder)));

        assert_eq!(names[0], "tidegate-jobs");
        assert_eq!(names[1], "tidegate");
        assert!(
            names
                .iter()
                .all(|name| is_label(name) && name.len() <= KUBERNETES_INDEXED_NAME_BYTES_MAX)
        );
    }

    proptest! {
        #[test]
        fn every_name_is_one_to_kubernetes(labels in proptest::collection::btree_set("[a-z0-9_-]{1,63}/[a-z0-9_-]{1,63}|[_-]{1,3}", 1..20)) {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();

            let mut names = names_of(&labels);

            for name in &names {
                prop_assert!(is_label(name) && name.len() <= KUBERNETES_NAME_BYTES_MAX, "{}", name);
            }
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), labels.len());
        }
    }
}
