//! Who we are to the server, who it is to us, and that no password is seen anywhere.

use std::path::Path;

use tidegate::outcome::Outcome;

use super::proxy::{Cut, Proxy};
use crate::world::postgres::{Database, PASSWORD, server};
use crate::world::{Job, Printed};

fn run(job: Job, url: &str) -> Printed {
    let job = job.set("OUTPUT_DATABASE_URL", url).page(200, "[{}]");
    let printed = { job }.start().ends_unchecked();
    for text in [&printed.stdout, &printed.stderr] {
        for form in [PASSWORD, "q8%2FZr%2B4w%207Xe%25e9", "wrong-pass"] {
            assert!(!text.contains(form), "{text}");
        }
    }
    printed
}

fn certificate(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/tls");
    folder.join(name).display().to_string()
}

fn refused(printed: &Printed, outcome: Outcome) -> &Printed {
    printed.exits(i32::from(outcome.exit_code()))
}

fn job(database: &Database) -> Job {
    database.takes(Job::new())
}

#[test]
fn who_may_not_come_in_is_told_as_whom_and_where_and_not_with_what() {
    let database = server().database();
    let (port, name) = (server().port, &database.name);
    let wrong = job(&database).set("OUTPUT_DATABASE_PASSWORD", "wrong-pass");
    refused(&run(wrong, &database.url(port)), Outcome::OutputUnusable)
        .stderr_has(&format!("postgres://etl@127.0.0.1:{port}/{name}"))
        .stderr_has("SQLSTATE 28P01");

    let nobody = format!("postgres://nobody@127.0.0.1:{port}/{name}");
    refused(&run(job(&database), &nobody), Outcome::OutputUnusable).stderr_has("28P01");

    let nowhere = format!("postgres://etl@127.0.0.1:{port}/nowhere");
    refused(&run(job(&database), &nowhere), Outcome::OutputUnusable).stderr_has("SQLSTATE 3D000");

    let none = job(&database).unset("OUTPUT_DATABASE_PASSWORD");
    refused(&run(none, &database.url(port)), Outcome::OutputUnusable)
        .stderr_has("OUTPUT_DATABASE_PASSWORD_FILE");
}

#[test]
fn a_role_without_rights_is_told_which() {
    let database = server().database();
    database
        .sql("REVOKE ALL ON SCHEMA public FROM PUBLIC; ALTER DATABASE postgres OWNER TO postgres");
    server().sql(
        "postgres",
        &format!("ALTER DATABASE {} OWNER TO postgres", database.name),
    );

    refused(
        &run(job(&database), &database.url(server().port)),
        Outcome::OutputUnusable,
    )
    .stderr_has("tidegate_state");
}

#[test]
fn nobody_there_is_for_the_next_run() {
    let database = server().database();

    refused(
        &run(job(&database), "postgres://etl@127.0.0.1:1/x"),
        Outcome::TryLater,
    )
    .stderr_has("127.0.0.1:1");
}

#[test]
fn the_password_comes_by_url_or_file_and_a_socket_needs_none() {
    let database = server().database();
    let (port, name) = (server().port, &database.name);
    let in_url = format!("postgres://etl:q8%2FZr%2B4w%207Xe%25e9@127.0.0.1:{port}/{name}");
    run(job(&database).unset("OUTPUT_DATABASE_PASSWORD"), &in_url).exits(0);

    let by_file = job(&database).unset("OUTPUT_DATABASE_PASSWORD");
    let file = by_file.file("password", &format!("{PASSWORD}\n"));
    run(
        by_file.set("OUTPUT_DATABASE_PASSWORD_FILE", &file.display().to_string()),
        &database.url(port),
    )
    .exits(0);

    let folder = server().folder().display();
    let socket = format!("postgres://etl@localhost:{port}/{name}?host={folder}");
    run(job(&database).unset("OUTPUT_DATABASE_PASSWORD"), &socket).exits(0);

    assert!(
        !database
            .sql("SELECT * FROM tidegate_state, orders")
            .contains(PASSWORD)
    );
}

#[test]
fn sslmode_is_what_libpq_makes_of_it() {
    let database = server().database();
    let port = server().port;
    let (ca, stranger) = (certificate("ca.pem"), certificate("stranger.pem"));
    let by_name = format!("postgres://etl@localhost:{port}/{}", database.name);
    let by_other_name = format!("postgres://etl@127.0.0.2:{port}/{}", database.name);
    for (url, query, code, text) in [
        (&by_name, "sslmode=disable".to_owned(), 0, ""),
        (&by_name, "sslmode=prefer".to_owned(), 0, ""),
        (&by_name, "sslmode=require".to_owned(), 0, ""),
        (&by_name, format!("sslmode=require&sslrootcert={ca}"), 0, ""),
        (
            &by_name,
            format!("sslmode=require&sslrootcert={stranger}"),
            73,
            "sslrootcert",
        ),
        (
            &by_name,
            format!("sslmode=verify-ca&sslrootcert={ca}"),
            0,
            "",
        ),
        (
            &by_name,
            format!("sslmode=verify-full&sslrootcert={ca}"),
            0,
            "",
        ),
        (
            &by_name,
            format!("sslmode=verify-full&sslrootcert={stranger}"),
            73,
            "nobody trusted here has signed it",
        ),
        (
            &by_name,
            "sslmode=verify-full&sslrootcert=/no/such.pem".to_owned(),
            78,
            "/no/such.pem",
        ),
        (
            &by_other_name,
            format!("sslmode=verify-full&sslrootcert={ca}"),
            75,
            "",
        ),
    ] {
        let printed = run(job(&database), &format!("{url}?{query}"));
        printed.exits(code).stderr_has(text);
    }
    let log = server().log();
    assert!(log.contains("SSL enabled"), "TLS was used");
}

#[test]
fn of_several_servers_the_first_that_takes_writes_is_used() {
    let database = server().database();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = closed.local_addr().unwrap().port();
    drop(closed);
    let url = format!(
        "postgres://etl@127.0.0.1:{nobody},localhost:{}/{}?target_session_attrs=read-write&sslmode=require\
         &channel_binding=require&application_name=nightly&options=-c%20lock_timeout%3D9s",
        server().port,
        database.name
    );

    run(job(&database), &url).exits(0);

    refused(
        &run(job(&database), &url.replace("read-write", "read-only")),
        Outcome::Settings,
    )
    .stderr_has("because a run writes");
}

#[test]
fn a_name_that_is_not_in_the_certificate_is_for_verify_ca_alone() {
    let database = server().database();
    let proxy = Proxy::start(Cut::Never);
    let ca = certificate("ca.pem");
    // The certificate has `localhost` and 127.0.0.1, and not this.
    let url = format!(
        "postgres://etl@localhost.localdomain:{}/{}",
        proxy.port(),
        database.name
    );
    if std::net::ToSocketAddrs::to_socket_addrs(&("localhost.localdomain", 1)).is_err() {
        return;
    }

    run(
        job(&database),
        &format!("{url}?sslmode=verify-ca&sslrootcert={ca}"),
    )
    .exits(0);
    refused(
        &run(
            job(&database),
            &format!("{url}?sslmode=verify-full&sslrootcert={ca}"),
        ),
        Outcome::OutputUnusable,
    )
    .stderr_has("another name")
    .stderr_has("verify-ca");
}
