//! Zip files as programs write them, and as nobody should: piece by piece, as they come over a wire.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::*;

const TEXT: &[u8] = b"id,name\n1,a\n";

/// What comes of a zip file that comes in pieces of so many bytes, and how many bytes it passed over.
fn unzipped(zip: &[u8], piece_bytes: usize) -> Result<(Vec<u8>, u64), Unfit> {
    let (mut unzip, mut file, mut passed) = (Unzip::new(), Vec::new(), 0);
    for piece in zip.chunks(piece_bytes) {
        unzip.push(&Bytes::copy_from_slice(piece));
        loop {
            match unzip.step()? {
                Step::More => break,
                Step::Bytes(bytes) => file.extend_from_slice(&bytes),
                Step::Passed(bytes) => passed += bytes,
            }
        }
    }
    unzip.end()?;
    Ok((file, passed))
}

fn whole(zip: &[u8]) -> Result<Vec<u8>, Unfit> {
    unzipped(zip, 100_000).map(|(file, _)| file)
}

fn why(zip: &[u8]) -> String {
    match whole(zip) {
        Err(Unfit::Damaged(why) | Unfit::Refused(why)) => why,
        Ok(file) => panic!("{} bytes came of it", file.len()),
    }
}

/// One file to be put into a zip file.
#[derive(Clone, Copy)]
struct File<'f> {
    name: &'f str,
    text: &'f [u8],
    flags: u16,
    method: u16,
}

const DATA: File<'static> = File {
    name: "a.csv",
    text: TEXT,
    flags: 0,
    method: DEFLATED,
};
const FOLDER: File<'static> = File {
    name: "d/",
    text: b"",
    flags: 0,
    method: STORED,
};
const MAC: File<'static> = File {
    name: "__MACOSX/._a.csv",
    text: b"of a mac",
    ..DATA
};

/// A zip file of these, and where its central directory begins.
fn made(files: &[File<'_>]) -> (Vec<u8>, usize) {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for file in files {
        let offset = u32::try_from(zip.len()).unwrap();
        let mut crc = Crc::new();
        crc.update(file.text);
        let data = if file.method == DEFLATED {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(file.text).unwrap();
            encoder.finish().unwrap()
        } else {
            file.text.to_vec()
        };
        let lengths = [data.len(), file.text.len()].map(|len| u32::try_from(len).unwrap());
        let (crc, packed, unpacked) = (crc.sum(), lengths[0], lengths[1]);
        let name_bytes = u16::try_from(file.name.len()).unwrap();
        let numbers = |is_known: bool| {
            let shown = [crc, packed, unpacked].map(|number| if is_known { number } else { 0 });
            shown.map(u32::to_le_bytes).concat()
        };
        let begin = [20, file.flags, file.method, 0, 0]
            .map(u16::to_le_bytes)
            .concat();
        let is_known = file.flags & LENGTHS_BEHIND == 0;
        zip.extend(
            [
                FILE,
                &begin,
                &numbers(is_known),
                &name_bytes.to_le_bytes(),
                &[0, 0],
            ]
            .concat(),
        );
        zip.extend([file.name.as_bytes(), &data].concat());
        if !is_known {
            zip.extend([DESCRIPTOR, &numbers(true)].concat());
        }
        directory.extend([LISTED, &[20, 0], &begin, &numbers(true)].concat());
        directory.extend(
            [
                &name_bytes.to_le_bytes()[..],
                &[0; 12],
                &offset.to_le_bytes(),
            ]
            .concat(),
        );
        directory.extend(file.name.as_bytes());
    }
    let at = zip.len();
    let [offset, bytes] =
        [at, directory.len()].map(|len| u32::try_from(len).unwrap().to_le_bytes());
    let entries = u16::try_from(files.len()).unwrap().to_le_bytes();
    zip.extend(directory);
    zip.extend(
        [
            NOTHING,
            &[0; 4],
            &entries,
            &entries,
            &bytes,
            &offset,
            &[0, 0],
        ]
        .concat(),
    );
    (zip, at)
}

fn zip(files: &[File<'_>]) -> Vec<u8> {
    made(files).0
}

#[test]
fn what_programs_write_is_read_in_pieces_of_any_length() {
    // By Info-ZIP into a pipe, by Java's jar, and by Python: with lengths of 64 bits, and with those into a pipe.
    let written = [
        concat!(
            "UEsDBC0ACAAIAIa+e10AAAAA//////////8BABQALQEAEAAAAAAAAAAAAAAAAAAAAAAAy0zRyUvMTeUy1EnkAgBQSwcI1FS5",
            "7g4AAAAAAAAADAAAAAAAAABQSwECHgMtAAgACACGvntd1FS57g4AAAAMAAAAAQAAAAAAAAABAAAAgBEAAAAALVBLBQYAAAAA",
            "AQABAC8AAABZAAAAAAA=",
        ),
        concat!(
            "UEsDBBQACAgIAG2+e10AAAAAAAAAAAAAAAAFAAQAYS5jc3b+ygAAy0zRyUvMTeUy1EnkAgBQSwcI1FS57g4AAAAMAAAAUEsB",
            "AhQAFAAICAgAbb57XdRUue4OAAAADAAAAAUABAAAAAAAAAAAAAAAAAAAAGEuY3N2/soAAFBLBQYAAAAAAQABADcAAABFAAAA",
            "AAA=",
        ),
        concat!(
            "UEsDBC0AAAAIAAAAIVzUVLnu//////////8FABQAYS5jc3YBABAADAAAAAAAAAAOAAAAAAAAAMtM0clLzE3lMtRJ5AIAUEsB",
            "Ai0DLQAAAAgAAAAhXNRUue4OAAAADAAAAAUAAAAAAAAAAAAAAIABAAAAAGEuY3N2UEsFBgAAAAABAAEAMwAAAEUAAAAAAA==",
        ),
        concat!(
            "UEsDBC0ACAAIAAAAIVwAAAAA//////////8FABQAYS5jc3YBABAAAAAAAAAAAAAAAAAAAAAAAMtM0clLzE3lMtRJ5AIAUEsH",
            "CNRUue4OAAAAAAAAAAwAAAAAAAAAUEsBAi0DLQAIAAgAAAAhXNRUue4OAAAADAAAAAUAAAAAAAAAAAAAAIABAAAAAGEuY3N2",
            "UEsFBgAAAAABAAEAMwAAAF0AAAAAAA==",
        ),
    ];
    let by_us = [
        zip(&[DATA]),
        zip(&[File {
            method: STORED,
            ..DATA
        }]),
        zip(&[File {
            flags: LENGTHS_BEHIND,
            ..DATA
        }]),
    ];
    let written = written.map(|text| STANDARD.decode(text).unwrap());

    for zip in written.iter().chain(&by_us) {
        for piece_bytes in [1, 7, 30, 1000] {
            assert_eq!(unzipped(zip, piece_bytes), Ok((TEXT.to_vec(), 0)));
        }
    }
}

#[test]
fn folders_and_what_macos_adds_are_passed_over_and_counted() {
    let zip = zip(&[FOLDER, DATA, MAC]);

    assert_eq!(unzipped(&zip, 10), Ok((TEXT.to_vec(), 8)));
}

#[test]
fn a_large_file_is_unpacked_in_parts() {
    let text = b"0123456789".repeat(100_000);
    for method in [STORED, DEFLATED] {
        let zip = zip(&[File {
            text: &text,
            method,
            ..DATA
        }]);

        assert!(whole(&zip).unwrap() == text);
    }
}

#[test]
fn a_zip_file_without_one_file_is_refused_with_the_names() {
    let other = File {
        name: "b\u{1b}.csv",
        ..DATA
    };

    assert_eq!(
        why(&zip(&[DATA, other])),
        "has several files in it, `a.csv` and `b\\u{1b}.csv`: one is read"
    );
    assert_eq!(
        why(&zip(&[])),
        "has no file in it (0 folders or files of macOS)"
    );
    assert_eq!(
        why(&zip(&[FOLDER, MAC])),
        "has no file in it (2 folders or files of macOS)"
    );
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let why = |file: File<'_>| why(&zip(&[file]));

    assert_eq!(
        why(File {
            flags: ENCRYPTED,
            ..DATA
        }),
        "is encrypted (`a.csv`)"
    );
    assert_eq!(
        why(File {
            flags: STRONGLY_ENCRYPTED,
            ..DATA
        }),
        "is encrypted (`a.csv`)"
    );
    assert!(why(File { method: 14, ..DATA }).starts_with("packs `a.csv` by method 14: "));
    let stored = File {
        flags: LENGTHS_BEHIND,
        method: STORED,
        ..DATA
    };
    assert!(why(stored).starts_with("stores `a.csv` without its length"));
}

#[test]
fn a_zip_file_cut_anywhere_or_with_more_behind_it_is_damaged() {
    for files in [
        &[DATA][..],
        &[
            FOLDER,
            File {
                flags: LENGTHS_BEHIND,
                ..DATA
            },
            MAC,
        ],
    ] {
        let zip = zip(files);
        for cut in 1..zip.len() {
            assert!(
                matches!(whole(&zip[..cut]), Err(Unfit::Damaged(_))),
                "cut at {cut}"
            );
        }
        let more = [&zip[..], b"\n"].concat();
        assert!(matches!(whole(&more), Err(Unfit::Damaged(_))));
    }
}

#[test]
fn a_flipped_bit_never_gives_other_bytes() {
    let (zip, _) = made(&[
        File {
            flags: LENGTHS_BEHIND,
            ..DATA
        },
        FOLDER,
    ]);
    for at in 0..zip.len() {
        let mut flipped = zip.clone();
        flipped[at] ^= 0x10;

        // Times, versions and attributes may change without harm.
        assert!(
            whole(&flipped).is_err() || whole(&flipped).unwrap() == TEXT,
            "at {at}"
        );
    }
}

#[test]
fn a_directory_that_disagrees_with_the_files_is_damaged() {
    let (zip, at) = made(&[DATA, FOLDER]);
    let changed = |from: usize, bytes: &[u8]| {
        let mut changed = zip.clone();
        changed[from..from + bytes.len()].copy_from_slice(bytes);
        why(&changed)
    };
    let disagrees = "its directory says something else than its files";

    assert_eq!(changed(at + 42, &[1]), disagrees, "the offset overlaps");
    assert_eq!(changed(at + 46, b"b"), disagrees, "the name");
    assert_eq!(changed(at + 16, &[0, 0]), disagrees, "the checksum");
    assert_eq!(changed(at + 24, &[200]), disagrees, "the length");
    assert_eq!(
        changed(zip.len() - 12, &[9]),
        disagrees,
        "the number of entries"
    );
    assert_eq!(changed(zip.len() - 6, &[9]), disagrees, "where it is");
    // One that has the file twice, and one that has it not at all.
    let (one, directory) = made(&[DATA]);
    let end = one.len() - END_BYTES;
    let listed = &one[directory..end];
    let twice = [&one[..end], listed, &one[end..]].concat();
    assert_eq!(why(&twice), disagrees);
    assert_eq!(why(&[&one[..directory], &one[end..]].concat()), disagrees);
}

#[test]
fn a_local_header_with_other_numbers_than_the_data_is_damaged() {
    let zip = zip(&[DATA]);
    for (at, what) in [(14, "checksum"), (18, "packed"), (22, "unpacked")] {
        let mut changed = zip.clone();
        changed[at] ^= 1;

        assert!(matches!(whole(&changed), Err(Unfit::Damaged(_))), "{what}");
    }
}

#[test]
fn a_number_of_64_bits_must_be_where_the_header_says() {
    let mut zip = zip(&[DATA]);
    zip[18..22].copy_from_slice(&[0xff; 4]);

    assert_eq!(why(&zip), "a length is in no field of its header");
}
