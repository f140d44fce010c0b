//! TLS, with the certificates of `tests/data/tls`.

use tidegate::outcome::Outcome::{ProtocolBroken, Published, TryLater};

use super::fault::Effect::{Harmless, Passes, Stalls, Stays};
use super::fault::{Fault, answer, connection};
use super::hold;
use crate::server::{Door, Reply, tls_file};
use crate::world::Job;

/// A fatal alert: `protocol_version`.
const ALERT_VERSION: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];
/// A fatal alert: `internal_error`.
const ALERT_INTERNAL: &[u8] = &[0x15, 3, 3, 0, 2, 2, 80];

#[test]
fn a_bad_certificate_is_76_at_once_and_a_bad_link_is_tried_again() {
    hold(faults().into_iter().map(Fault::over_tls).collect());
}

#[test]
fn whom_other_programs_trust_by_the_environment_is_not_trusted() {
    let ca = tls_file("ca.pem").display().to_string();
    let asked = |setting: &str| {
        let mut job = Job::new()
            .set("SOURCE_API_URL", "{server}/items")
            .set(setting, &ca)
            .set("MAX_RETRIES", "0")
            .api(|_| Reply::new(200, "[]"));
        job.server.receive_with(|| Door::Tls("server.pem"));
        job.server.names_itself_https();
        job.run()
    };

    asked("CA_FILE").exits(Published);
    let run = asked("SSL_CERT_FILE");

    run.exits(ProtocolBroken).asked(0).stderr_has("CA_FILE");
    let warnings = format!("{:?}", run.warnings());
    assert!(
        warnings.contains("environment variable ignored") && warnings.contains("SSL_CERT_FILE"),
        "{warnings}"
    );
}

fn faults() -> Vec<Fault> {
    let shows = |name: &str, certificate, says| {
        connection(name, Stays(ProtocolBroken), move || Door::Tls(certificate)).says(says)
    };
    vec![
        shows("expired", "expired.pem", "expired"),
        shows("for another host", "other-name.pem", "another name"),
        shows("self-signed", "self-signed.pem", "CA_FILE"),
        shows("of an unknown authority", "stranger.pem", "CA_FILE"),
        connection(
            "TLS 1.0 only, said by an alert",
            Stays(ProtocolBroken),
            || Door::Says(ALERT_VERSION.to_vec()),
        )
        .says("TLS 1.2 or 1.3"),
        connection(
            "TLS 1.0 only, said by a hello",
            Stays(ProtocolBroken),
            || Door::Says(hello_of_tls_1_0()),
        )
        .says("TLS"),
        connection("an alert of a server in trouble", Passes(TryLater), || {
            Door::Says(ALERT_INTERNAL.to_vec())
        }),
        connection("plain HTTP on the TLS port", Stays(ProtocolBroken), || {
            Door::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())
        })
        .says("not TLS"),
        connection("a handshake that stalls", Stalls, || Door::Silent),
        connection("closed in the handshake", Passes(TryLater), || Door::Closed),
        connection("reset in the handshake", Passes(TryLater), || Door::Reset),
        answer(
            "closed without close_notify in the body",
            Passes(ProtocolBroken),
            |page| page.reply().cut_after(20).without_close_notify(),
        ),
        answer(
            "closed with close_notify in the body",
            Passes(ProtocolBroken),
            |page| page.reply().cut_after(20),
        ),
        answer("reset in the body", Passes(ProtocolBroken), |page| {
            page.reply().reset_after(20)
        }),
        answer(
            "no length, whole, closed without close_notify",
            Passes(ProtocolBroken),
            |page| page.reply().unframed().without_close_notify(),
        ),
        answer(
            "no length, whole, closed with close_notify",
            Harmless,
            |page| page.reply().unframed(),
        ),
        answer(
            "a length, whole, closed without close_notify",
            Harmless,
            |page| page.reply().without_close_notify(),
        ),
    ]
}

/// A `ServerHello` that agrees on TLS 1.0 and `TLS_RSA_WITH_AES_128_CBC_SHA`.
fn hello_of_tls_1_0() -> Vec<u8> {
    let mut hello = vec![3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    let length = u8::try_from(hello.len()).expect("a short hello");
    let mut record = vec![0x16, 3, 1, 0, length + 4, 2, 0, 0, length];
    record.extend(hello);
    record
}
