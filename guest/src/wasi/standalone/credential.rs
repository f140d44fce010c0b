//! The credential, added to requests to the source; and no request to anybody whom nobody named.

use url::{Origin, Url};

use super::get;
use crate::failure::{Problem, quoted};
use crate::ports::{Answer, Http, Request, SendError};

/// A half of `user:password` that is shorter is no secret, and hiding it would spoil every text that it occurs in.
const HALF_BYTES_MIN: usize = 4;
/// A shorter password stands there only because there must be one: the user is the secret then.
const PASSWORD_BYTES_MIN: usize = 8;

/// How the source learns who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// `SOURCE_API_KEY`; `None`: no request has a credential.
    key: Option<String>,
    sent: Sent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Header { name: String, value: String },
    Query { name: String, value: String },
}

/// Adds the credential to requests to the origin of `SOURCE_API_URL`, and refuses those to an origin that nobody allowed.
pub struct Authorized<H> {
    inner: H,
    credential: Credential,
    source: Origin,
    allowed: Vec<Origin>,
}

impl Credential {
    /// Reads `SOURCE_API_KEY`, `SOURCE_AUTH` and `SOURCE_AUTH_NAME`. `Err` says which is wrong.
    pub fn read(env: &[(String, String)]) -> Result<Self, Problem> {
        const KEY: &str = "SOURCE_API_KEY";
        const AUTH: &str = "SOURCE_AUTH";
        let auth = get(env, AUTH).unwrap_or("bearer");
        if matches!(auth, "oauth2" | "login") {
            let message = format!(
                "`{auth}` needs `tidegate run`, which fetches the token; here, give one as SOURCE_API_KEY with SOURCE_AUTH `bearer`"
            );
            return Err(Problem::new(AUTH, message));
        }
        if auth == "aws-sigv4" {
            let message = "`aws-sigv4` needs `tidegate run`, which signs the requests";
            return Err(Problem::new(AUTH, message));
        }
        for name in ["SOURCE_API_URL", "SOURCE_BODY", "SOURCE_EXPORT_BODY"] {
            if get(env, name).is_some_and(|text| text.contains("{secret}")) {
                let message = "has `{secret}`, which needs `tidegate run`";
                return Err(Problem::new(name, message));
            }
        }
        let key = get(env, KEY).map(|key| key.trim_end_matches(['\r', '\n']));
        if key.is_some_and(|key| key.trim().is_empty()) {
            let message = "is empty, or only white space: give the secret, or unset it";
            return Err(Problem::new(KEY, message));
        }
        if key.is_some_and(|key| {
            auth != "basic" && auth != "query" && key.chars().any(char::is_control)
        }) {
            let message = "has a control character in it, which no header can carry: is it more than one line?";
            return Err(Problem::new(KEY, message));
        }
        if auth == "basic" && key.is_some_and(|key| !key.contains(':')) {
            return Err(Problem::new(
                KEY,
                "takes `user:password` with SOURCE_AUTH `basic`",
            ));
        }
        let header = |name: &str, value: String| Sent::Header {
            name: name.to_owned(),
            value,
        };
        let value = key.unwrap_or_default();
        let name = |default| get(env, "SOURCE_AUTH_NAME").unwrap_or(default);
        let sent = match auth {
            "bearer" => header("authorization", format!("Bearer {value}")),
            "basic" => header(
                "authorization",
                format!("Basic {}", base64(value.as_bytes())),
            ),
            "header" => header(name("X-API-Key"), value.to_owned()),
            "query" => Sent::Query {
                name: name("api_key").to_owned(),
                value: value.to_owned(),
            },
            other => {
                let message = format!("{} is not supported here", quoted(other));
                return Err(Problem::new(AUTH, message));
            }
        };
        Ok(Self {
            key: key.map(str::to_owned),
            sent,
        })
    }

    /// The texts that nobody is to see: the key, and of `user:password` the password, or the user where there is none.
    pub fn secrets(&self) -> Vec<&str> {
        let Some(key) = self.key.as_deref() else {
            return Vec::new();
        };
        let is_basic =
            matches!(&self.sent, Sent::Header { value, .. } if value.starts_with("Basic "));
        let (user, password) = key.split_once(':').filter(|_| is_basic).unwrap_or_default();
        let user = Some(user).filter(|_| password.len() < PASSWORD_BYTES_MIN);
        let halves = user.into_iter().chain([password]);
        let halves = halves.filter(|half| half.len() >= HALF_BYTES_MIN);
        std::iter::once(key).chain(halves).collect()
    }

    /// What to do after the source refused the credential.
    pub fn advice(&self) -> &'static str {
        match self.key {
            None => "no credential was sent: set SOURCE_API_KEY",
            Some(_) => "the source refused the credential; check SOURCE_API_KEY and SOURCE_AUTH",
        }
    }

    fn add_to(&self, request: &mut Request) {
        match &self.sent {
            _ if self.key.is_none() => {}
            Sent::Header { name, value } => request.headers.push((name.clone(), value.clone())),
            Sent::Query { name, value } => {
                if let Ok(mut url) = Url::parse(&request.url) {
                    url.query_pairs_mut().append_pair(name, value);
                    request.url = url.into();
                }
            }
        }
    }
}

impl<H> Authorized<H> {
    /// The credential goes to `source`, and requests go there and to those `allowed`.
    pub fn new(inner: H, credential: Credential, source: Origin, allowed: Vec<Origin>) -> Self {
        Self {
            inner,
            credential,
            source,
            allowed,
        }
    }

    /// The request as it is sent. `Err`: it leads to somebody whom nobody named.
    fn authorized(&self, request: &Request) -> Result<Request, SendError> {
        let origin = Url::parse(&request.url).map(|url| url.origin());
        let mut request = request.clone();
        match origin {
            Ok(origin) if origin == self.source => self.credential.add_to(&mut request),
            Ok(origin) if self.allowed.contains(&origin) => {}
            _ => {
                return Err(SendError::Denied(
                    "it is not at the origin of SOURCE_API_URL; to allow that, add its origin to ALLOW_HOSTS"
                        .to_owned(),
                ));
            }
        }
        Ok(request)
    }
}

impl<H: Http> Http for Authorized<H> {
    fn begin(&mut self, request: &Request) {
        if let Ok(request) = self.authorized(request) {
            self.inner.begin(&request);
        }
    }

    fn forget(&mut self) {
        self.inner.forget();
    }

    fn send(&mut self, request: &Request, body_bytes_max: usize) -> Result<Answer, SendError> {
        let request = self.authorized(request)?;
        self.inner.send(&request, body_bytes_max)
    }
}

/// RFC 4648 base64 with padding, for basic authentication (RFC 7617).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            if at <= group.len() {
                let index = (bits >> (18 - 6 * at)) & 63;
                out.push(char::from(ALPHABET[index as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Method;

    struct Seen(Vec<Request>);

    impl Http for Seen {
        fn begin(&mut self, request: &Request) {
            self.0.push(request.clone());
        }

        fn send(&mut self, request: &Request, _: usize) -> Result<Answer, SendError> {
            self.0.push(request.clone());
            Err(SendError::Broken("seen".to_owned()))
        }
    }

    fn owned(env: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        env.iter().map(owned).collect()
    }

    fn authorized(env: &[(&str, &str)]) -> Authorized<Seen> {
        let credential = Credential::read(&owned(env)).unwrap();
        let origin = |url: &str| Url::parse(url).unwrap().origin();
        Authorized::new(
            Seen(Vec::new()),
            credential,
            origin(env[0].1),
            vec![origin("https://files.example.com")],
        )
    }

    fn sent(env: &[(&str, &str)], url: &str) -> Request {
        let mut http = authorized(env);
        let request = Request {
            method: Method::Get,
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
        };
        let _ = http.send(&request, 1);
        http.inner.0.remove(0)
    }

    #[test]
    fn a_bearer_key_goes_to_the_source_only() {
        let env = [
            ("SOURCE_API_URL", "https://api.example.com/x"),
            ("SOURCE_API_KEY", "k"),
        ];

        let to_source = sent(&env, "https://api.example.com/y?page=2");
        let elsewhere = sent(&env, "https://files.example.com/y");

        assert_eq!(
            to_source.headers,
            [("authorization".to_owned(), "Bearer k".to_owned())]
        );
        assert!(elsewhere.headers.is_empty());
    }

    #[test]
    fn nothing_goes_to_an_origin_that_nobody_named() {
        let env = [
            ("SOURCE_API_URL", "https://api.example.com/x"),
            ("SOURCE_API_KEY", "k"),
        ];
        for url in [
            "https://api.example.com:8443/y",
            "http://api.example.com/y",
            "https://example.com/y",
            "http://169.254.169.254/latest",
            "/y",
        ] {
            let mut http = authorized(&env);
            let request = Request {
                method: Method::Get,
                url: url.to_owned(),
                headers: Vec::new(),
                body: None,
            };

            http.begin(&request);
            let refused = http.send(&request, 1);

            assert!(
                matches!(&refused, Err(SendError::Denied(text)) if text.contains("ALLOW_HOSTS")),
                "{url}: {refused:?}"
            );
            assert_eq!(http.inner.0, [], "{url}");
        }
    }

    #[test]
    fn a_request_that_goes_ahead_carries_the_key_too() {
        let env = [
            ("SOURCE_API_URL", "https://api.example.com/x"),
            ("SOURCE_API_KEY", "k"),
        ];
        let mut http = authorized(&env);
        let request = Request {
            method: Method::Get,
            url: "https://api.example.com/x".to_owned(),
            headers: Vec::new(),
            body: None,
        };

        http.begin(&request);
        let _ = http.send(&request, 1);

        let [ahead, sent] = &http.inner.0[..] else {
            panic!("one went ahead and one was sent: {:?}", http.inner.0);
        };
        assert_eq!(ahead, sent);
        assert_eq!(sent.headers.len(), 1);
    }

    #[test]
    fn a_query_key_is_added_encoded() {
        let env = [
            ("SOURCE_API_URL", "https://api.example.com/x"),
            ("SOURCE_API_KEY", "a b&c"),
            ("SOURCE_AUTH", "query"),
        ];

        assert_eq!(
            sent(&env, "https://api.example.com/x?p=1").url,
            "https://api.example.com/x?p=1&api_key=a+b%26c"
        );
    }

    #[test]
    fn a_secret_is_put_into_a_request_by_our_host_alone() {
        for (name, text) in [
            ("SOURCE_API_URL", "https://api.example.com/x?key={secret}"),
            ("SOURCE_BODY", r#"{"key":"{secret}"}"#),
        ] {
            let refused = Credential::read(&owned(&[(name, text)])).unwrap_err();

            assert_eq!(refused.setting, name);
            assert!(refused.message.contains("needs `tidegate run`"));
        }
    }

    #[test]
    fn a_token_is_fetched_and_a_request_signed_by_our_host_alone() {
        for (key, auth) in [("", "oauth2"), ("k", "oauth2"), ("a:b", "aws-sigv4")] {
            let env = [
                ("SOURCE_API_URL", "https://api.example.com/x"),
                ("SOURCE_API_KEY", key),
                ("SOURCE_AUTH", auth),
            ];

            let refused = Credential::read(&owned(&env)).unwrap_err();

            assert_eq!(refused.setting, "SOURCE_AUTH");
            let refused = refused.message;
            assert!(
                refused.contains(&format!("`{auth}` needs `tidegate run`")),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_a_problem() {
        for (auth, key) in [
            ("bearer", "two\nlines"),
            ("header", "a\u{7}bell"),
            ("bearer", " \n"),
            ("basic", "no-colon"),
        ] {
            let env = owned(&[("SOURCE_API_KEY", key), ("SOURCE_AUTH", auth)]);

            let refused = Credential::read(&env).unwrap_err();

            assert_eq!(refused.setting, "SOURCE_API_KEY", "{auth}: {key}");
            assert!(!refused.message.contains(key), "{}", refused.message);
        }
    }

    #[test]
    fn a_password_is_a_secret_too() {
        let secrets = |auth, key: &str| {
            let env = owned(&[("SOURCE_API_KEY", key), ("SOURCE_AUTH", auth)]);
            let credential = Credential::read(&env).unwrap();
            credential.secrets().join(" ")
        };

        assert_eq!(
            secrets("basic", "me@x.example:12345678"),
            "me@x.example:12345678 12345678"
        );
        assert_eq!(
            secrets("basic", "sk_live_1234:"),
            "sk_live_1234: sk_live_1234"
        );
        assert_eq!(secrets("bearer", "a:12345678\n"), "a:12345678");
        assert_eq!(secrets("bearer", ""), "");
    }

    #[test]
    fn basic_is_the_example_of_rfc_7617() {
        let env = [
            ("SOURCE_API_URL", "https://api.example.com/x"),
            ("SOURCE_API_KEY", "Aladdin:open sesame"),
            ("SOURCE_AUTH", "basic"),
        ];

        let request = sent(&env, "https://api.example.com/x");

        assert_eq!(request.headers[0].1, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
