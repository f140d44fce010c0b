//! What to do after a source refused the credential: which one was sent, and where it came from, only the host knows.

use crate::egress::{Auth, Grant, Issuer};
use crate::run::setup::Job;
use crate::settings::catalogue::{
    CLIENT_CERT_FILE, SOURCE_API_KEY, SOURCE_CLIENT_SECRET, SOURCE_REFRESH_TOKEN, SOURCE_SECRET,
    SOURCE_SECRET_HEADERS, SOURCE_SIGNING_KEY,
};
use crate::settings::component_settings::HEADERS;

/// What was refused and what to check, with the origin of each setting: `no credential was sent: set SOURCE_API_KEY`.
pub fn advice(job: &Job) -> String {
    let inputs = &job.inputs;
    let named = |name: &str| {
        let origin = inputs.named(name).map(|given| given.origin.to_string());
        origin.map_or_else(|| name.to_owned(), |origin| format!("{name} ({origin})"))
    };
    match &job.host.auth {
        Auth::Fetched(issuer) => match &**issuer {
            Issuer::Login(_) => format!(
                "the source refused the session token; check SOURCE_LOGIN_SEND, and the rights of the user in {}",
                named(SOURCE_API_KEY.row.name)
            ),
            Issuer::OAuth2(oauth2) => {
                let of_grant = match oauth2.grant {
                    Grant::Client => SOURCE_CLIENT_SECRET.row.name,
                    Grant::Password(_) => SOURCE_API_KEY.row.name,
                    Grant::Refresh(_) => SOURCE_REFRESH_TOKEN.row.name,
                };
                format!(
                    "the source refused the access token; check {} and SOURCE_SCOPE",
                    named(of_grant)
                )
            }
        },
        Auth::Bearer(_) | Auth::Header { .. } | Auth::Query { .. } | Auth::Basic(_) => format!(
            "the source refused the credential; check {} and SOURCE_AUTH",
            named(SOURCE_API_KEY.row.name)
        ),
        Auth::Aws(_, scope) => format!(
            "the source refused the request; check the rights of the access key in {}, SOURCE_AWS_REGION (`{}`) and SOURCE_AWS_SERVICE (`{}`)",
            named(SOURCE_API_KEY.row.name),
            scope.region,
            scope.service
        ),
        Auth::None if job.host.besides.signing.is_some() => format!(
            "the source refused the signature; check {}, SOURCE_SIGNING_ALGORITHM and this machine's clock",
            named(SOURCE_SIGNING_KEY.row.name)
        ),
        Auth::None if job.host.client.is_some() => format!(
            "the source refused the client; check {}, or set SOURCE_API_KEY",
            named(CLIENT_CERT_FILE.row.name)
        ),
        Auth::None if job.host.secret.is_some() => format!(
            "the source refused the credential; check {}",
            named(SOURCE_SECRET.row.name)
        ),
        Auth::None if !job.host.besides.headers.is_empty() => format!(
            "the source refused the credential; check {}",
            named(SOURCE_SECRET_HEADERS.row.name)
        ),
        Auth::None if inputs.named(HEADERS).is_some() => format!(
            "no credential was sent besides {}: set SOURCE_API_KEY",
            named(HEADERS)
        ),
        Auth::None => "no credential was sent: set SOURCE_API_KEY".to_owned(),
    }
}
