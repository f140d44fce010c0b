use super::*;

fn folder() -> (tempfile::TempDir, Folder) {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::open(temp.path()).unwrap().unwrap();
    (temp, folder)
}

#[test]
fn missing_parents_are_made() {
    let (temp, _) = folder();

    let made =
        Folder::open_or_create(&temp.path().join("a/b"), Some(0o640), Writers::Nobody).unwrap();

    assert_eq!(made.stat().unwrap().st_mode & 0o7777, 0o750);
}

#[test]
fn a_file_in_the_way_is_73_and_names_the_setting() {
    let (temp, _) = folder();
    std::fs::write(temp.path().join("a"), "").unwrap();

    let failure =
        Folder::open_or_create(&temp.path().join("a/b"), None, Writers::Nobody).unwrap_err();

    assert_eq!(failure.outcome, Outcome::OutputUnusable);
    assert!(failure.message.contains("Not a directory"), "{failure}");
}

#[test]
fn a_link_is_not_followed() {
    let (temp, folder) = folder();
    std::os::unix::fs::symlink("/etc/passwd", temp.path().join("file")).unwrap();
    std::os::unix::fs::symlink("/etc", temp.path().join("folder")).unwrap();

    assert!(
        folder
            .file("file")
            .unwrap_err()
            .message
            .contains("it is a link")
    );
    assert!(folder.folder("folder").is_err());
}

#[test]
fn a_fifo_is_refused_without_waiting() {
    let (_temp, folder) = folder();
    rustix::fs::mknodat(
        &folder,
        "fifo",
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();

    let failure = folder.file("fifo").unwrap_err();

    assert!(failure.message.contains("not a regular file"), "{failure}");
}

#[test]
fn a_full_disk_is_74_and_a_forbidden_folder_73() {
    let full: Result<(), Failure> = Err(Errno::NOSPC).doing(|| "write");
    let forbidden: Result<(), Failure> = Err(Errno::ACCESS).doing(|| "write");

    assert_eq!(full.unwrap_err().outcome, Outcome::IoFailed);
    assert_eq!(forbidden.unwrap_err().outcome, Outcome::OutputUnusable);
}
