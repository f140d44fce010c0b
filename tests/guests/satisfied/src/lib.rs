//! A component that imports every interface of the world `satisfied` and tries to make something of it: what it tries, the
//! setting `SOURCE_TRY` says. What the host makes of each is asserted in `tests/it/satisfied.rs`.
#![cfg(target_family = "wasm")]

mod bindings {
    #![expect(
        clippy::pedantic,
        reason = "generated; the documentation stands in wit/"
    )]
    wit_bindgen::generate!({
        inline: "
            package tests:guests;
            world satisfied {
                include tidegate:sync/connector@0.1.0;
                include tidegate:sync/satisfied@0.1.0;
            }
        ",
        path: "../../../wit",
        world: "tests:guests/satisfied",
        generate_all,
    });
}

use bindings::exports::tidegate::sync::job::{
    Description, Extent, Failure, Guest, Report, Request, Setting, Staging,
};
use bindings::wasi::cli::{
    environment, exit, stderr, stdin, stdout, terminal_stderr, terminal_stdin, terminal_stdout,
};
use bindings::wasi::filesystem::preopens;
use bindings::wasi::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use bindings::wasi::io::streams::{OutputStream, StreamError};
use bindings::wasi::random::{insecure, insecure_seed, random};
use bindings::wasi::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use bindings::wasi::sockets::{
    instance_network, ip_name_lookup, tcp_create_socket, udp_create_socket,
};

/// How `describe` ends stands in the component file itself: a test replaces the word after the colon.
static SWITCH: [u8; 24] = *b"satisfied-describe:said ";
const WORD_AT: usize = 19;

const MIB: u64 = 1024 * 1024;
const FLOOD_LINES: u32 = 200_000;

/// What it declares, with the defaults.
const SETTINGS: [(&str, &str); 7] = [
    ("SOURCE_API_URL", ""),
    ("SOURCE_TRY", ""),
    ("SOURCE_REGION", "eu"),
    ("REGION", ""),
    ("SOURCE_NOTE", ""),
    ("MAX_RETRIES", "3"),
    ("MAX_PAGES", "100"),
];

struct Satisfied;
bindings::export!(Satisfied with_types_in bindings);

impl Guest for Satisfied {
    fn describe() -> Description {
        // SAFETY: reads an initialized static. Volatile, so that the compiler cannot decide here what the file will say.
        #[expect(unsafe_code, reason = "a patched file must be seen; see above")]
        let switch = unsafe { std::ptr::read_volatile(&raw const SWITCH) };
        let word = &switch[WORD_AT..];
        if word.starts_with(b"exit") {
            exit::exit(Ok(()));
        }
        if word.starts_with(b"panic") {
            put(&stderr::get_stderr(), "the last words of describe\n");
            std::process::abort();
        }
        let mut settings = SETTINGS.map(declared).to_vec();
        if word.starts_with(b"keys") {
            let secrets = ["SOURCE_API_KEY", "API_TOKEN", "OUTPUT_DATABASE_PASSWORD"];
            settings.extend(secrets.map(|name| Setting {
                secret: true,
                ..declared((name, ""))
            }));
        }
        if word.starts_with(b"hosts") {
            let names = [
                "OUTPUT_DIR",
                "JOB_NAME",
                "OUTPUT_TABLE",
                "OUTPUT_DATABASE_URL",
                "MIN_RECORDS",
            ];
            settings.extend(names.map(|name| declared((name, ""))));
        }
        Description {
            name: "satisfied".to_owned(),
            version: "0.1.0".to_owned(),
            summary: "Tries what grants nothing".to_owned(),
            settings,
            stages: Staging::empty(),
        }
    }

    fn run(_: Request) -> Result<Report, Failure> {
        let all = environment::get_environment();
        let tried = all.iter().find(|(name, _)| name == "SOURCE_TRY");
        let line = match tried.map_or("", |(_, value)| value) {
            "exit-ok" => gone(exit::exit(Ok(()))),
            "exit-failed" => gone(exit::exit(Err(()))),
            "exit-7" => gone(exit::exit_with_code(7)),
            "random-at-once" => random::get_random_bytes(64 * MIB),
            "random-without-end" => loop {
                insecure::get_insecure_random_bytes(MIB);
            },
            "random-numbers-without-end" => loop {
                random::get_random_u64();
            },
            "flood-stdout" => flood(),
            "environment" => environment_as_records(),
            _ => all_of_it().into_bytes(),
        };
        Ok(staged(&line))
    }
}

/// What comes after `exit`, if anything does.
fn gone(after: ()) -> Vec<u8> {
    format!(r#"{{"id":1,"after_exit":"{after:?}"}}"#).into_bytes()
}

fn declared((name, default): (&str, &str)) -> Setting {
    Setting {
        name: name.to_owned(),
        doc: "Wanted".to_owned(),
        required: false,
        secret: false,
        shapes_records: false,
        stages: Staging::empty(),
        default: Some(default.to_owned()).filter(|default| !default.is_empty()),
        example: None,
    }
}

/// All that it was given, a line each.
fn environment_as_records() -> Vec<u8> {
    let all = environment::get_environment().into_iter();
    let lines = all.map(|(name, value)| format!(r#"{{"id":"{name}","value":"{value}"}}"#));
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

/// Tries everything once, and returns what came of it, as a record.
fn all_of_it() -> String {
    put(&stdout::get_stdout(), "warn: said on stdout\n");
    put(&stderr::get_stderr(), "warn: said on stderr\n");
    let stdin = match stdin::get_stdin().blocking_read(1) {
        Err(StreamError::Closed) => "at its end",
        Err(StreamError::LastOperationFailed(_)) => "failed",
        Ok(_) => "open",
    };
    let terminals = [
        terminal_stdin::get_terminal_stdin().is_some(),
        terminal_stdout::get_terminal_stdout().is_some(),
        terminal_stderr::get_terminal_stderr().is_some(),
    ];
    let bytes = random::get_random_bytes(32);
    let zeros = bytes.iter().filter(|byte| **byte == 0).count();
    let (one, other) = insecure_seed::insecure_seed();
    let mut numbers = vec![
        random::get_random_u64(),
        insecure::get_insecure_random_u64(),
        one,
        other,
    ];
    numbers.sort_unstable();
    numbers.dedup();
    format!(
        r#"{{"id":1,"stdin":"{stdin}","terminals":{terminals:?},"bytes":{},"mostly_zeros":{},"numbers":{},"tcp":"{}","udp":"{}","name":"{}"}}"#,
        bytes.len(),
        zeros > 16,
        numbers.len(),
        tcp(),
        udp(),
        name(),
    )
}

fn tcp() -> String {
    let socket = match tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4) {
        Err(code) => return code.name().to_owned(),
        Ok(socket) => socket,
    };
    let network = instance_network::instance_network();
    format!("{:?}", socket.start_connect(&network, loopback()))
}

fn udp() -> String {
    let socket = match udp_create_socket::create_udp_socket(IpAddressFamily::Ipv6) {
        Err(code) => return code.name().to_owned(),
        Ok(socket) => socket,
    };
    format!("{:?}", socket.stream(Some(loopback())).is_ok())
}

fn name() -> String {
    let network = instance_network::instance_network();
    match ip_name_lookup::resolve_addresses(&network, "localhost") {
        Err(code) => code.name().to_owned(),
        Ok(addresses) => format!("{:?}", addresses.resolve_next_address()),
    }
}

fn loopback() -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port: 9,
        address: (127, 0, 0, 1),
    })
}

fn flood() -> Vec<u8> {
    let stdout = stdout::get_stdout();
    for number in 0..FLOOD_LINES {
        put(&stdout, &format!("line {number} of a flood\n"));
    }
    br#"{"id":1}"#.to_vec()
}

fn put(stream: &OutputStream, text: &str) {
    let _ = stream.blocking_write_and_flush(text.as_bytes());
}

/// Stages these records, one a line.
fn staged(records: &[u8]) -> Report {
    let lines = records.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    let (folder, _) = preopens::get_directories().remove(0);
    let file = folder
        .open_at(
            PathFlags::empty(),
            "records.ndjson",
            OpenFlags::CREATE,
            DescriptorFlags::WRITE,
        )
        .expect("a file in the staging folder");
    let text = [records, b"\n"].concat();
    file.write(&text, 0).expect("lines in it");
    Report {
        extent: Extent::Everything,
        state: r#"{"v":1}"#.to_owned(),
        cursor: None,
        pages: 1,
        fetched: lines,
        staged: lines,
        deleted: 0,
        rejected: 0,
        more: false,
    }
}
