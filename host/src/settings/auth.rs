//! How we say who we are: `SOURCE_AUTH` with what belongs to it, and the client certificate.

use url::Url;

use crate::egress::{Auth, ClientFiles, OAuth2, SentIn};
use crate::secret::Secret;
use crate::settings::inputs::{Given, Problem};
use crate::settings::plan::Plan;

/// What means something with `SOURCE_AUTH=oauth2` alone.
const OAUTH2: [&str; 5] = [
    "SOURCE_TOKEN_URL",
    "SOURCE_CLIENT_ID",
    "SOURCE_CLIENT_SECRET",
    "SOURCE_SCOPE",
    "SOURCE_TOKEN_AUTH",
];

/// How requests to the source are authorized; not at all where that is said, or what is said cannot be used.
pub(super) fn auth(plan: &Plan, problems: &mut Vec<Problem>) -> Auth {
    let secret = plan.values.secret("SOURCE_API_KEY", problems);
    let scheme = plan.values.get("SOURCE_AUTH");
    let scheme_word = scheme
        .as_ref()
        .map_or("bearer", |given| given.value.as_str());
    if scheme_word == "oauth2" {
        if let Some((_, origin)) = secret {
            problems.push(Problem {
                setting: "SOURCE_API_KEY".to_owned(),
                message: "means nothing with SOURCE_AUTH=oauth2, which fetches a token: remove it"
                    .to_owned(),
                origin: Some(origin),
            });
        }
        return oauth2(plan, problems).map_or(Auth::None, Auth::OAuth2);
    }
    refuse_oauth2(plan, problems);
    let name = plan.values.get("SOURCE_AUTH_NAME").map(|given| given.value);
    let mut problem = |setting: &str, message: &str| {
        let (setting, origin) = (setting.to_owned(), scheme.clone().map(|given| given.origin));
        problems.push(Problem {
            setting,
            message: message.to_owned(),
            origin,
        });
        Auth::None
    };
    if let Some(name) = &name
        && http::HeaderName::from_bytes(name.as_bytes()).is_err()
    {
        return problem(
            "SOURCE_AUTH_NAME",
            "takes the name of a header or a query parameter",
        );
    }
    match (scheme_word, secret) {
        ("bearer" | "header" | "query" | "basic", None) => Auth::None,
        ("bearer", Some((secret, _))) => Auth::Bearer(secret),
        ("header", Some((secret, _))) => Auth::Header {
            name: name.unwrap_or_else(|| "X-API-Key".to_owned()),
            value: secret,
        },
        ("query", Some((secret, _))) => Auth::Query {
            name: name.unwrap_or_else(|| "api_key".to_owned()),
            value: secret,
        },
        ("basic", Some((secret, _))) if secret.expose().contains(':') => Auth::Basic(secret),
        ("basic", Some(_)) => problem(
            "SOURCE_API_KEY",
            "takes `user:password` with SOURCE_AUTH=basic; where a key is the user, `key:`",
        ),
        _ => problem(
            "SOURCE_AUTH",
            "takes `bearer`, `header`, `query`, `basic` or `oauth2`",
        ),
    }
}

/// Says of each setting of OAuth2 that it means nothing.
fn refuse_oauth2(plan: &Plan, problems: &mut Vec<Problem>) {
    for name in OAUTH2 {
        let file = format!("{name}_FILE");
        let given = plan.values.get(name).map(|given| given.origin);
        let secret = || {
            let secret = plan.values.secret(name, &mut Vec::new());
            secret.map(|(_, origin)| origin)
        };
        let is_secret = super::SECRETS.contains(&name);
        let given = given.or_else(|| is_secret.then(secret).flatten());
        if let Some(origin) = given {
            problems.push(Problem {
                setting: name.to_owned(),
                message: "means nothing without SOURCE_AUTH=oauth2: set that, or remove this"
                    .to_owned(),
                origin: Some(origin),
            });
        } else if is_secret && plan.values.get(&file).is_some() {
            problems.push(Problem::new(
                &file,
                "means nothing without SOURCE_AUTH=oauth2: set that, or remove this",
            ));
        }
    }
}

/// All that OAuth2 needs; every problem is told.
fn oauth2(plan: &Plan, problems: &mut Vec<Problem>) -> Option<OAuth2> {
    let mut read = |name: &str, example: &str| {
        let given = plan.values.get(name);
        if given.is_none() {
            problems.push(required(name, example));
        }
        given
    };
    let url = read("SOURCE_TOKEN_URL", "https://login.example.com/oauth2/token");
    let id = read("SOURCE_CLIENT_ID", "tidegate");
    let secret = client_secret(plan, problems);
    let scope = plan.values.get("SOURCE_SCOPE");
    let sent_in = plan.values.get("SOURCE_TOKEN_AUTH");

    let mut checked =
        |given: Option<Given>, is_right: fn(&str) -> bool, name: &str, takes: &str| {
            let given = given?;
            if !is_right(&given.value) {
                problems.push(Problem {
                    setting: name.to_owned(),
                    message: takes.to_owned(),
                    origin: Some(given.origin),
                });
                return None;
            }
            Some(given.value)
        };
    let has_scope = scope.is_some();
    let scope = checked(
        scope,
        is_scope,
        "SOURCE_SCOPE",
        "takes words of printable ASCII without `\"` and `\\`, separated by blanks",
    );
    let id = checked(
        id,
        |id| !id.chars().any(char::is_control),
        "SOURCE_CLIENT_ID",
        "has control characters in it",
    );
    let url = checked(
        url,
        |url| token_url(url).is_some(),
        "SOURCE_TOKEN_URL",
        "takes an http or https URL without a user and without `#`, such as `https://login.example.com/oauth2/token`",
    );
    let sent_in = match sent_in {
        None => Some(SentIn::Header),
        given => checked(
            given,
            |word| matches!(word, "basic" | "body"),
            "SOURCE_TOKEN_AUTH",
            "takes `basic` or `body`",
        )
        .map(|word| match word.as_str() {
            "body" => SentIn::Body,
            _ => SentIn::Header,
        }),
    };
    if has_scope && scope.is_none() {
        return None;
    }
    Some(OAuth2 {
        token_url: token_url(&url?)?,
        client_id: id?,
        client_secret: secret?,
        scope,
        sent_in: sent_in?,
    })
}

fn client_secret(plan: &Plan, problems: &mut Vec<Problem>) -> Option<Secret> {
    const NAME: &str = "SOURCE_CLIENT_SECRET";
    let problems_before = problems.len();
    let secret = plan.values.secret(NAME, problems);
    if secret.is_none() && problems.len() == problems_before {
        let file = format!("{NAME}_FILE=/etc/tidegate/client-secret");
        let mut problem = required(NAME, "");
        problem.message = format!("is required with SOURCE_AUTH=oauth2; say `{file}`");
        problems.push(problem);
    }
    secret.map(|(secret, _)| secret)
}

fn required(name: &str, example: &str) -> Problem {
    Problem::new(
        name,
        format!("is required with SOURCE_AUTH=oauth2; say `{name}={example}`"),
    )
}

fn token_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_usable = matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    is_usable.then_some(url)
}

/// RFC 6749, 3.3.
fn is_scope(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
}

/// The client certificate: both files or none, and somebody to show it to.
pub(super) fn client_files(
    plan: &Plan,
    source: Option<&Url>,
    auth: &Auth,
    problems: &mut Vec<Problem>,
) -> Option<ClientFiles> {
    let mut problem = |setting: &str, message: &str| {
        problems.push(Problem::new(setting, message));
        None
    };
    let (certificates, key) = match (&plan.client_cert_file, &plan.client_key_file) {
        (None, None) => return None,
        (Some(_), None) => {
            return problem(
                "CLIENT_KEY_FILE",
                "is required with CLIENT_CERT_FILE: the certificate's key",
            );
        }
        (None, Some(_)) => {
            return problem(
                "CLIENT_CERT_FILE",
                "is required with CLIENT_KEY_FILE: the certificate of that key",
            );
        }
        (Some(certificates), Some(key)) => (certificates.clone(), key.clone()),
    };
    let tokens = match auth {
        Auth::OAuth2(oauth2) => Some(&oauth2.token_url),
        _ => None,
    };
    if source.is_some()
        && source
            .into_iter()
            .chain(tokens)
            .all(|url| url.scheme() == "http")
    {
        return problem(
            "CLIENT_CERT_FILE",
            "means nothing over plain http: use https in SOURCE_API_URL, or remove it",
        );
    }
    Some(ClientFiles { certificates, key })
}
