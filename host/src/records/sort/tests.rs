//! The law of the sort: the last version of each key, in order, whatever fits into memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Version = (Vec<u8>, Option<Vec<u8>>);

fn in_order(versions: &[Version], buffer_bytes: usize, runs: usize) -> (Vec<Version>, usize) {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::open(temp.path()).unwrap().unwrap();
    let limits = Limits {
        sort_buffer_bytes: buffer_bytes,
        sort_runs: runs,
        ..Limits::default()
    };
    let mut sorter = Sorter::new(&folder, &limits);
    for (key, record) in versions {
        sorter.push(key, record.as_deref()).unwrap();
    }
    let spilled = sorter.runs.len();
    let mut result = sorter.finish().unwrap();
    assert!(folder.names(|_| true).unwrap().len() <= runs.max(2));
    let (mut all, mut change) = (Vec::new(), Change::default());
    while result.next(&mut change).unwrap() {
        all.push((
            change.key.clone(),
            (!change.deleted).then(|| change.record.clone()),
        ));
    }
    (all, spilled)
}

#[test]
fn many_small_files_are_merged_in_several_passes() {
    let versions: Vec<Version> = (0..1_000_u32)
        .map(|n| {
            (
                (n * 7_919 % 500).to_be_bytes().to_vec(),
                Some(n.to_be_bytes().to_vec()),
            )
        })
        .collect();
    let model: BTreeMap<_, _> = versions.iter().cloned().collect();

    let (sorted, spilled) = in_order(&versions, 200, 3);

    assert!(spilled > 9, "{spilled}");
    assert_eq!(sorted, model.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_record_larger_than_the_buffer_passes() {
    let versions = [
        (b"b".to_vec(), Some(vec![b'x'; 10_000])),
        (b"a".to_vec(), None),
        (b"b".to_vec(), Some(vec![b'y'; 9_000])),
    ];

    let (sorted, _) = in_order(&versions, 100, 2);

    assert_eq!(
        sorted,
        [
            (b"a".to_vec(), None),
            (b"b".to_vec(), Some(vec![b'y'; 9_000]))
        ]
    );
}

proptest! {
    #[test]
    fn the_last_version_of_each_key_stands_in_order(
        versions in prop::collection::vec(
            (prop::collection::vec(0_u8..3, 1..12), prop::option::of(prop::collection::vec(any::<u8>(), 0..9))), 0..60),
        buffer_bytes in 1_usize..600,
        runs in 0_usize..5,
    ) {
        let model: BTreeMap<_, _> = versions.iter().cloned().collect();

        let (sorted, _) = in_order(&versions, buffer_bytes, runs);

        prop_assert_eq!(sorted, model.into_iter().collect::<Vec<_>>());
    }
}
