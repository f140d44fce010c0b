//! `SOURCE_COOKIES`: what the source sets, it gets back in the same run, and nobody else ever sees it.
//!
//! The part of RFC 6265 that one origin needs: names, values, `Path`, `Secure`, `Max-Age`, `Expires` and `Domain` as a condition. A
//! cookie goes back to the very origin that set it. Nothing is kept after the run. The values count as secrets.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, request};
use jiff::Timestamp;
use tokio::time::Instant;

use super::credential::sensitive;
use crate::limits::{COOKIE_AGE_MAX, COOKIE_BYTES_MAX, COOKIES_MAX};
use crate::secret::{Secret, joined};

/// The cookies of one run.
pub(super) struct Jar {
    /// The name of the source's host.
    host: String,
    is_https: bool,
    /// In the order in which they were first set.
    cookies: Mutex<Vec<Cookie>>,
}

#[derive(Clone)]
struct Cookie {
    name: String,
    value: Secret,
    path: String,
    /// None: it lasts as long as the run.
    expires: Option<Instant>,
}

impl Jar {
    /// Without a cookie, for a source on this host.
    pub(super) fn new(host: &str, is_https: bool) -> Self {
        Self {
            host: host.to_ascii_lowercase(),
            is_https,
            cookies: Mutex::default(),
        }
    }

    /// Keeps what an answer to a request for `path` sets. Gives back the values that are new.
    pub(super) fn keep(&self, headers: &HeaderMap, path: &str) -> Vec<Secret> {
        let mut cookies = self.cookies();
        let mut new = Vec::new();
        for line in headers.get_all(SET_COOKIE) {
            let Some(cookie) = line.to_str().ok().and_then(|line| self.read(line, path)) else {
                continue;
            };
            let same = |known: &Cookie| known.name == cookie.name && known.path == cookie.path;
            let known = cookies.iter().position(same);
            if cookie.expires.is_some_and(|then| then <= Instant::now()) {
                cookies.retain(|known| !same(known));
                continue;
            }
            let before = known.map(|at| cookies[at].value.clone());
            if before.is_none_or(|value| value.expose() != cookie.value.expose()) {
                new.push(cookie.value.clone());
            }
            match known {
                // It keeps its place.
                Some(at) => cookies[at] = cookie,
                None => cookies.push(cookie),
            }
        }
        let now = Instant::now();
        cookies.retain(|cookie| cookie.expires.is_none_or(|then| then > now));
        let over = cookies.len().saturating_sub(COOKIES_MAX);
        cookies.drain(..over);
        new
    }

    /// Puts those of its path into a request, behind a cookie that is there.
    pub(super) fn put_into(&self, request: &mut request::Parts) {
        let (cookies, now) = (self.cookies(), Instant::now());
        let path = request.uri.path();
        let fits = |cookie: &&Cookie| {
            cookie.expires.is_none_or(|then| then > now) && is_below(path, &cookie.path)
        };
        let mut sent: Vec<&Cookie> = cookies.iter().filter(fits).collect();
        // RFC 6265, 5.4: longer paths first; else the order in which they were set.
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let given = request
            .headers
            .get(COOKIE)
            .and_then(|given| given.to_str().ok());
        let mut parts: Vec<&str> = Vec::new();
        if let Some(given) = given {
            parts.push(given);
        }
        for cookie in sent {
            if !parts.is_empty() {
                parts.push("; ");
            }
            parts.extend([&cookie.name, "=", cookie.value.expose()]);
        }
        if let Some(header) = Some(joined(&parts))
            .filter(|text| !text.is_empty())
            .and_then(sensitive)
        {
            request.headers.insert(COOKIE, header);
        }
    }

    /// A line of Set-Cookie; `None`: it sets nothing here.
    fn read(&self, line: &str, path: &str) -> Option<Cookie> {
        if line.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let mut parts = line.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let is_plain = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if name.is_empty() || !is_plain(name) || !is_plain(value) || name.contains(['"', ',']) {
            return None;
        }
        let mut cookie = Cookie {
            name: name.to_owned(),
            value: Secret::from(value),
            path: default_path(path).to_owned(),
            expires: None,
        };
        let (mut max_age, mut expires) = (None, None);
        let (mut is_secure, mut has_domain, mut has_root) = (false, false, false);
        for part in parts {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match attribute.trim().to_ascii_lowercase().as_str() {
                "max-age" => max_age = seconds(value).or(max_age),
                "expires" => expires = until(value).or(expires),
                "secure" => is_secure = true,
                "path" if value.starts_with('/') => {
                    has_root = value == "/";
                    value.clone_into(&mut cookie.path);
                }
                "path" => default_path(path).clone_into(&mut cookie.path),
                "domain" if !value.is_empty() => {
                    has_domain = true;
                    if !self.is_within(value) {
                        return None;
                    }
                }
                _ => {}
            }
        }
        // By plain http, anyone could have set it.
        let is_bound = name.starts_with("__Host-");
        let needs_secure = is_secure || is_bound || name.starts_with("__Secure-");
        let is_misused = (needs_secure && !(is_secure && self.is_https))
            || (is_bound && (has_domain || !has_root));
        let lasts = max_age.or(expires);
        cookie.expires = lasts.map(|lasts| Instant::now() + lasts.min(COOKIE_AGE_MAX));
        (!is_misused).then_some(cookie)
    }

    /// Whether this host is of the domain that a cookie names.
    fn is_within(&self, domain: &str) -> bool {
        let domain = domain.trim_start_matches('.').to_ascii_lowercase();
        let rest = self.host.strip_suffix(&domain);
        let is_address = self.host.parse::<std::net::Ipv4Addr>().is_ok();
        rest.is_some_and(|rest| rest.is_empty() || (rest.ends_with('.') && !is_address))
    }

    fn cookies(&self) -> MutexGuard<'_, Vec<Cookie>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RFC 6265, 5.1.4: up to the last slash.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(at) if at > 0 && path.starts_with('/') => &path[..at],
        _ => "/",
    }
}

/// The same: this path, or a part of it that ends at a slash.
fn is_below(path: &str, above: &str) -> bool {
    let Some(rest) = path.strip_prefix(above) else {
        return false;
    };
    rest.is_empty() || above.ends_with('/') || rest.starts_with('/')
}

/// `Max-Age`: no time at all where it is zero or less.
fn seconds(text: &str) -> Option<Duration> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = if is_negative {
        0
    } else {
        digits.parse().unwrap_or(u64::MAX)
    };
    Some(Duration::from_secs(seconds))
}

/// `Expires`: how long from now; no time at all where it is past.
fn until(text: &str) -> Option<Duration> {
    const FORMS: [&str; 4] = [
        "%a, %d %b %Y %H:%M:%S GMT",
        "%a, %d-%b-%Y %H:%M:%S GMT",
        "%a, %d-%b-%y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
    ];
    let read = |form: &&str| {
        let parsed = jiff::fmt::strtime::parse(form, text).ok()?;
        let time = parsed.to_datetime().ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(time).ok()
    };
    let then = FORMS.iter().find_map(read)?;
    let left = then.duration_since(Timestamp::now());
    Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(host: &str) -> Jar {
        Jar::new(host, true)
    }

    /// What goes back to this path after these lines, which came from `/v1/items`.
    fn sent(jar: &Jar, lines: &[&str], path: &str) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }
        jar.keep(&headers, "/v1/items");
        let url = format!("https://a.example{path}");
        let (mut request, ()) = http::Request::get(url).body(()).unwrap().into_parts();
        jar.put_into(&mut request);
        let header = request.headers.get(COOKIE);
        if let Some(header) = header {
            assert!(header.is_sensitive());
        }
        header.map_or_else(String::new, |header| header.to_str().unwrap().to_owned())
    }

    fn sent_once(line: &str, path: &str) -> String {
        sent(&jar("a.example"), &[line], path)
    }

    #[test]
    fn a_cookie_goes_back_below_its_path() {
        for (line, path, expected) in [
            ("a=1", "/v1/items", "a=1"),
            ("a=1", "/v1", "a=1"),
            ("a=1", "/v1/x/y?p=/", "a=1"),
            ("a=1", "/v10", ""),
            ("a=1", "/", ""),
            ("a=1; Path=/", "/", "a=1"),
            (
                "a=1; path=/v1/items; HttpOnly; SameSite=Lax",
                "/v1/items/2",
                "a=1",
            ),
            ("a=1; Path=/v1/items", "/v1/itemsx", ""),
            ("a=1; Path=relative", "/v1/x", "a=1"),
            (" a = b=c ; Path=/", "/", "a=b=c"),
            ("a=\"q u\"; Path=/", "/", "a=\"q u\""),
            ("a=; Path=/", "/", "a="),
            ("a; Path=/", "/", ""),
            ("=1; Path=/", "/", ""),
        ] {
            assert_eq!(sent_once(line, path), expected, "{line} {path}");
        }
    }

    #[test]
    fn a_cookie_lasts_as_long_as_it_says() {
        for (line, expected) in [
            ("a=1; Max-Age=60", "a=1"),
            ("a=1; Max-Age=99999999999999999999999", "a=1"),
            ("a=1; Max-Age=0", ""),
            ("a=1; Max-Age=-1", ""),
            ("a=1; Max-Age=soon", "a=1"),
            ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", ""),
            ("a=1; Expires=Thu, 01-Jan-1970 00:00:00 GMT", ""),
            ("a=1; Expires=Thu, 01-Jan-70 00:00:00 GMT", ""),
            ("a=1; Expires=Thursday, 01-Jan-70 00:00:00 GMT", ""),
            ("a=1; Expires=Fri, 01 Jan 2999 00:00:00 GMT", "a=1"),
            ("a=1; Expires=whenever", "a=1"),
            // Max-Age counts.
            (
                "a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                "a=1",
            ),
        ] {
            assert_eq!(sent_once(line, "/v1/"), expected, "{line}");
        }
        let jar = jar("a.example");
        assert_eq!(sent(&jar, &["a=1", "b=2"], "/v1/"), "a=1; b=2");
        assert_eq!(sent(&jar, &["a=; Max-Age=0"], "/v1/"), "b=2");
    }

    #[test]
    fn a_cookie_of_another_domain_or_without_tls_is_not_taken() {
        for (host, line, is_taken) in [
            ("api.a.example", "a=1; Domain=a.example", true),
            ("api.a.example", "a=1; Domain=.A.example", true),
            ("api.a.example", "a=1; Domain=api.a.example", true),
            ("api.a.example", "a=1; Domain=", true),
            ("api.a.example", "a=1; Domain=b.example", false),
            ("api.a.example", "a=1; Domain=i.a.example", false),
            ("a.example", "a=1; Domain=api.a.example", false),
            ("10.0.0.1", "a=1; Domain=0.0.1", false),
            ("10.0.0.1", "a=1; Domain=10.0.0.1", true),
            ("a.example", "__Secure-a=1; Secure", true),
            ("a.example", "__Secure-a=1", false),
            ("a.example", "__Host-a=1; Secure; Path=/", true),
            ("a.example", "__Host-a=1; Secure", false),
            (
                "a.example",
                "__Host-a=1; Secure; Path=/; Domain=a.example",
                false,
            ),
        ] {
            assert_eq!(
                !sent(&jar(host), &[line], "/v1/x").is_empty(),
                is_taken,
                "{host} {line}"
            );
        }
        let plain = Jar::new("a.example", false);
        assert_eq!(sent(&plain, &["a=1; Secure", "b=2"], "/v1/"), "b=2");
    }

    #[test]
    fn a_cookie_that_is_set_again_keeps_its_place_and_longer_paths_come_first() {
        let jar = jar("a.example");

        let first = sent(
            &jar,
            &["a=1; Path=/", "b=2; Path=/", "c=3; Path=/v1"],
            "/v1/x",
        );
        let second = sent(&jar, &["a=4; Path=/"], "/v1/x");

        assert_eq!(first, "c=3; a=1; b=2");
        assert_eq!(second, "c=3; a=4; b=2");
    }

    #[test]
    fn there_are_so_many_and_no_more_and_none_is_too_long() {
        let jar = jar("a.example");
        let many: Vec<String> = (0..=COOKIES_MAX).map(|at| format!("n{at}=v")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();

        let kept = sent(&jar, &many, "/v1/");

        assert_eq!(kept.matches('=').count(), COOKIES_MAX);
        assert!(!kept.contains("n0=") && kept.contains(&format!("n{COOKIES_MAX}=")));
        let long = format!("a={}", "v".repeat(COOKIE_BYTES_MAX));
        assert_eq!(sent_once(&long, "/v1/"), "");
    }

    #[test]
    fn values_that_are_new_are_given_back_to_be_hidden() {
        let jar = jar("a.example");
        let keep = |line: &str| {
            let headers = HeaderMap::from_iter([(SET_COOKIE, line.parse().unwrap())]);
            let new = jar.keep(&headers, "/");
            new.iter()
                .map(|value| value.expose().to_owned())
                .collect::<Vec<_>>()
        };

        assert_eq!(keep("a=first"), ["first"]);
        assert_eq!(keep("a=first; Max-Age=9"), [""; 0]);
        assert_eq!(keep("a=second"), ["second"]);
        assert_eq!(keep("a=gone; Max-Age=0"), [""; 0]);
    }
}
