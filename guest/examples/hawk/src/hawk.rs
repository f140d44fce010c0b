//! Hawk: signs a request in its `Authorization` header. The key is the host's, which never shows it.
//!
//! What is signed, and how it is sent: <https://github.com/mozilla/hawk/blob/main/API.md>, "Protocol Example". The answer's
//! own signature is not checked: TLS says who answers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::host::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use crate::host::detail;
use crate::host::job::Failure;

mod bindings {
    wit_bindgen::generate!({
        inline: "package example:hawk; world signing { import tidegate:sync/signer@0.1.0; }",
        path: "wit",
        world: "example:hawk/signing",
        generate_all,
    });
}

use bindings::tidegate::sync::signer::{Encoding, sign};

/// The value of `Authorization` for one GET of this URL by the user `id`. A server takes it once.
pub fn authorization(id: &str, url: &str) -> Result<String, Failure> {
    let (host, port, resource) = parts(url);
    let (time, nonce) = (wall_clock::now().seconds, nonce());
    // No hash of a body and no application data: there are none.
    let signed = format!("hawk.1.header\n{time}\n{nonce}\nGET\n{resource}\n{host}\n{port}\n\n\n");
    let mac = sign(signed.as_bytes(), Encoding::Base64).map_err(|refusal| {
        Failure::Denied(detail(format!("the host signs no request: {refusal:?}")))
    })?;
    Ok(format!(
        "Hawk id=\"{id}\", ts=\"{time}\", nonce=\"{nonce}\", mac=\"{mac}\""
    ))
}

/// Another one for each request.
fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{count:x}", monotonic_clock::now())
}

/// Host in lower case, port, and path with query, as they are sent.
fn parts(url: &str) -> (String, &str, String) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        // An IPv6 address has colons of its own, in brackets.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ if scheme == "http" => (authority, "80"),
        _ => (authority, "443"),
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    (host.to_ascii_lowercase(), port, format!("{slash}{path}"))
}
