//! The most that any job of a tenant may ask for, as its operator wrote it: origins, methods and path prefixes.
//!
//! A job's own grant is `policy`'s. A request has to pass both.

use std::fmt;

use http::Method;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::EgressError;
use super::policy::Origin;

/// How often a path is decoded: what a server decodes more often is refused as well where it shows by then.
const DECODED_TIMES: usize = 3;

/// One entry of `origins`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The entry as it is written.
    text: String,
    origin: Origin,
    /// Whether the host stands for every name below it.
    below: bool,
    /// What a path begins with; `/` for every one.
    prefix: String,
    /// None: each that egress knows.
    methods: Option<Vec<Method>>,
}

/// The rules of a tenant, and who wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ceiling {
    pub rules: Vec<Rule>,
    /// `the policy … for tenant …`.
    pub by: String,
}

impl Rule {
    /// Reads `scheme://host[:port][/prefix]`, the host perhaps `*.example.com`. `Err` says what is wrong with it.
    pub fn parse(text: &str, methods: Option<Vec<Method>>) -> Result<Self, String> {
        let takes =
            "takes `https://host[:port][/path]`, the host perhaps `*.example.com`".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or(&takes)?;
        let below = rest.starts_with("*.");
        let named = rest.strip_prefix("*.").unwrap_or(rest);
        let url = Url::parse(&format!("{scheme}://{named}")).map_err(|_| &takes)?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && !named.contains('*')
            // Nothing in it that would be read as another path.
            && named.find('/').map_or("/", |at| &named[at..]) == url.path()
            && !url.path().contains('%');
        let origin = Origin::of(&url).filter(|_| plain).ok_or(&takes)?;
        if below && !matches!(url.host(), Some(Host::Domain(name)) if name.contains('.')) {
            return Err(
                "takes `*.` before a name with a dot in it, such as `*.example.com`".to_owned(),
            );
        }
        Ok(Self {
            text: text.to_owned(),
            origin,
            below,
            prefix: url.path().to_owned(),
            methods,
        })
    }

    /// Whether it is about this origin, whatever the path.
    pub fn has_origin(&self, origin: &Origin) -> bool {
        if self.below {
            self.origin.is_above(origin)
        } else {
            self.origin == *origin
        }
    }

    fn has_path(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix(&self.prefix) else {
            return false;
        };
        self.prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/')
    }

    fn has_method(&self, method: &Method) -> bool {
        let methods = self.methods.as_ref();
        methods.is_none_or(|methods| methods.contains(method))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text)?;
        if let Some(methods) = &self.methods {
            let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
            write!(f, " ({})", methods.join(", "))?;
        }
        Ok(())
    }
}

impl Ceiling {
    /// Whether some rule allows a request by this method to this path of this origin.
    pub fn allows(&self, method: Option<&Method>, origin: &Origin, path: &str) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.has_origin(origin));
        rules.any(|rule| {
            let is_whole = rule.prefix == "/";
            method.is_none_or(|method| rule.has_method(method))
                && (is_whole || (!leads_up(path) && rule.has_path(path)))
        })
    }

    /// Whether some rule is about this origin.
    pub fn has_origin(&self, origin: &Origin) -> bool {
        self.rules.iter().any(|rule| rule.has_origin(origin))
    }

    /// The rules, for a message.
    pub fn listed(&self) -> String {
        if self.rules.is_empty() {
            return "none".to_owned();
        }
        let rules: Vec<String> = self.rules.iter().map(|rule| format!("`{rule}`")).collect();
        rules.join(", ")
    }

    /// `Err` (77) says who refused, what was asked, and what is allowed.
    pub(super) fn check(
        &self,
        method: &Method,
        origin: &Origin,
        path: &str,
    ) -> Result<(), EgressError> {
        if self.allows(Some(method), origin, path) {
            return Ok(());
        }
        // The path is of the component's choosing.
        let path: String = path.chars().take(PATH_CHARS_SHOWN).collect();
        Err(EgressError::Denied {
            message: format!(
                "no request was sent: {} refuses {method} of `{origin}{path}`; its `origins` allow {}",
                self.by,
                self.listed()
            ),
        })
    }
}

/// A log line should stay one.
const PATH_CHARS_SHOWN: usize = 100;

/// Whether a server could take a path for one that leads up: `..` as a segment, however often it is encoded, before a
/// parameter or after a backslash.
fn leads_up(path: &str) -> bool {
    let mut path = path.as_bytes().to_vec();
    for _ in 0..=DECODED_TIMES {
        let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
        let is_up = |segment: &[u8]| {
            let name = segment
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default();
            matches!(name, b"." | b"..")
        };
        if segments.any(is_up) {
            return true;
        }
        let text = String::from_utf8_lossy(&path).into_owned();
        let decoded: Vec<u8> = percent_decode_str(&text).collect();
        if decoded == path {
            return false;
        }
        path = decoded;
    }
    // Encoded more often than any honest path.
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceiling(rules: &[(&str, Option<&str>)]) -> Ceiling {
        let rules = rules.iter().map(|(text, methods)| {
            let methods =
                methods.map(|names| names.split(' ').map(|name| name.parse().unwrap()).collect());
            Rule::parse(text, methods).unwrap()
        });
        Ceiling {
            rules: rules.collect(),
            by: "the policy".to_owned(),
        }
    }

    fn allowed(ceiling: &Ceiling, method: &str, url: &str) -> bool {
        let method: Method = method.parse().unwrap();
        // As a component sends it: nothing is normalised.
        let (scheme, rest) = url.split_once("://").unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let origin = Origin::of(&Url::parse(&format!("{scheme}://{host}/")).unwrap()).unwrap();
        ceiling.check(&method, &origin, path).is_ok()
    }

    #[test]
    fn scheme_host_and_port_are_those_of_the_rule() {
        let rules = ceiling(&[
            ("https://api.example.com", None),
            ("http://10.0.0.1:8080", None),
        ]);

        assert!(allowed(&rules, "POST", "https://api.example.com:443/any?x"));
        assert!(allowed(&rules, "GET", "http://10.0.0.1:8080/"));
        for url in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://api.example.com.evil.org/",
            "https://example.com/",
            "http://10.0.0.1/",
        ] {
            assert!(!allowed(&rules, "GET", url), "{url}");
        }
    }

    #[test]
    fn a_star_stands_for_names_below_and_not_for_the_name_itself() {
        let rules = ceiling(&[("https://*.example.com:8443", None)]);

        assert!(allowed(&rules, "GET", "https://a.b.example.com:8443/"));
        for url in [
            "https://example.com:8443/",
            "https://evilexample.com:8443/",
            "https://a.example.com/",
            "https://a.example.com.evil.org:8443/",
        ] {
            assert!(!allowed(&rules, "GET", url), "{url}");
        }
        for wrong in [
            "https://*",
            "https://*.com",
            "https://a.*.com",
            "https://*.1.2.3.4",
        ] {
            assert!(Rule::parse(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_segment_and_no_path_leads_out_of_it() {
        let rules = ceiling(&[("https://a.example/v1", None)]);

        for path in ["/v1", "/v1/x", "/v1/%20", "/v1/a..b", "/v1/x%2Fy"] {
            assert!(
                allowed(&rules, "GET", &format!("https://a.example{path}")),
                "{path}"
            );
        }
        for path in [
            "/",
            "/v2",
            "/v1x",
            "/v1/../v2",
            "/v1/%2e%2e/v2",
            "/v1/.%2E/v2",
            "/v1/%252e%252e/v2",
            "/v1/..%2fv2",
            "/v1/..\\v2",
            "/v1/..;/v2",
            "/v1/%25252e%25252e/",
            "/V1/x",
            "/%761/x",
        ] {
            assert!(
                !allowed(&rules, "GET", &format!("https://a.example{path}")),
                "{path}"
            );
        }
    }

    #[test]
    fn a_method_is_one_of_the_rule() {
        let rules = ceiling(&[
            ("https://a.example", Some("GET HEAD")),
            ("https://a.example/graphql", Some("POST")),
        ]);

        assert!(allowed(&rules, "GET", "https://a.example/x"));
        assert!(allowed(&rules, "POST", "https://a.example/graphql"));
        assert!(!allowed(&rules, "POST", "https://a.example/x"));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for wrong in [
            "api.example.com",
            "ftp://a.example",
            "https://u:p@a.example",
            "https://a.example/?q",
            "https://a.example/#f",
            "https://",
            "*.example.com",
            "https://a.example/%2e",
            "https://a.example/v1/../",
        ] {
            assert!(Rule::parse(wrong, None).is_err(), "{wrong}");
        }
    }
}
