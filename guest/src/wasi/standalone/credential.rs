//! The credential, added to requests to the source and to nobody else.

use url::{Origin, Url};

use crate::ports::{Answer, Http, Request, SendError};

/// Adds the credential to requests to the origin of `SOURCE_API_URL`, and to no other.
pub struct Authorized<H> {
    inner: H,
    origin: Origin,
    credential: Credential,
}

enum Credential {
    None,
    Header { name: String, value: String },
    Query { name: String, value: String },
}

impl<H> Authorized<H> {
    /// Reads `SOURCE_API_URL`, `SOURCE_API_KEY`, `SOURCE_AUTH` and `SOURCE_AUTH_NAME`. `Err` says which is wrong.
    pub fn new(inner: H, env: &[(String, String)]) -> Result<Self, String> {
        let get = |name| super::get(env, name);
        let url = get("SOURCE_API_URL").ok_or("SOURCE_API_URL is not set")?;
        let url = Url::parse(url).map_err(|error| format!("SOURCE_API_URL: {error}"))?;
        let credential = match (
            get("SOURCE_AUTH").unwrap_or("bearer"),
            get("SOURCE_API_KEY"),
        ) {
            ("oauth2", _) => {
                return Err(
                    "SOURCE_AUTH `oauth2` needs `tidegate run`, which fetches the token; here, give one as SOURCE_API_KEY with SOURCE_AUTH `bearer`"
                        .to_owned(),
                );
            }
            (_, None) => Credential::None,
            ("bearer", Some(key)) => Credential::Header {
                name: "authorization".to_owned(),
                value: format!("Bearer {key}"),
            },
            ("basic", Some(key)) => Credential::Header {
                name: "authorization".to_owned(),
                value: format!("Basic {}", base64(key.as_bytes())),
            },
            ("header", Some(key)) => Credential::Header {
                name: get("SOURCE_AUTH_NAME").unwrap_or("X-API-Key").to_owned(),
                value: key.to_owned(),
            },
            ("query", Some(key)) => Credential::Query {
                name: get("SOURCE_AUTH_NAME").unwrap_or("api_key").to_owned(),
                value: key.to_owned(),
            },
            (other, Some(_)) => return Err(format!("SOURCE_AUTH `{other}` is not supported here")),
        };
        Ok(Self {
            inner,
            origin: url.origin(),
            credential,
        })
    }
}

impl<H: Http> Http for Authorized<H> {
    fn begin(&mut self, request: &Request) {
        self.inner.begin(&self.authorized(request));
    }

    fn send(&mut self, request: &Request, body_bytes_max: usize) -> Result<Answer, SendError> {
        self.inner.send(&self.authorized(request), body_bytes_max)
    }
}

impl<H> Authorized<H> {
    /// What to do after the source refused the credential.
    pub fn advice(&self) -> &'static str {
        match self.credential {
            Credential::None => "no credential was sent: set SOURCE_API_KEY",
            Credential::Header { .. } | Credential::Query { .. } => {
                "the source refused the credential; check SOURCE_API_KEY and SOURCE_AUTH"
            }
        }
    }

    fn authorized(&self, request: &Request) -> Request {
        let same_origin = Url::parse(&request.url).is_ok_and(|url| url.origin() == self.origin);
        let mut request = request.clone();
        if same_origin {
            self.credential.add_to(&mut request);
        }
        request
    }
}

impl Credential {
    fn add_to(&self, request: &mut Request) {
        match self {
            Self::None => {}
            Self::Header { name, value } => request.headers.push((name.clone(), value.clone())),
            Self::Query { name, value } => {
                if let Ok(mut url) = Url::parse(&request.url) {
                    url.query_pairs_mut().append_pair(name, value);
                    request.url = url.into();
                }
            }
        }
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

    fn sent(env: &[(&str, &str)], url: &str) -> Request {
        let env: Vec<_> = env
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let mut http = Authorized::new(Seen(Vec::new()), &env).unwrap();
        let request = Request {
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
        let elsewhere = sent(&env, "https://api.example.com:8443/y");

        assert_eq!(
            to_source.headers,
            [("authorization".to_owned(), "Bearer k".to_owned())]
        );
        assert!(elsewhere.headers.is_empty());
    }

    #[test]
    fn a_request_that_goes_ahead_carries_the_key_too() {
        let env = [
            ("SOURCE_API_URL", "https://api.example.com/x"),
            ("SOURCE_API_KEY", "k"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut http = Authorized::new(Seen(Vec::new()), &env).unwrap();
        let request = Request {
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
    fn a_token_is_fetched_by_our_host_alone() {
        for key in ["", "k"] {
            let env = [
                ("SOURCE_API_URL", "https://api.example.com/x"),
                ("SOURCE_API_KEY", key),
                ("SOURCE_AUTH", "oauth2"),
            ];
            let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));

            let refused = Authorized::new(Seen(Vec::new()), &env).err().unwrap();

            assert!(
                refused.contains("`oauth2` needs `tidegate run`"),
                "{refused}"
            );
        }
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
