//! URLs: adding the cursor to the first one, following the ones a source names, and showing one without its secrets.

use url::{Url, form_urlencoded};

use super::template::CURSOR;

/// The longest URL that is asked for.
pub const URL_BYTES_MAX: usize = 8 * 1024;

/// `url` with the query parameter `name` set to `value`. One of that name is replaced, others keep their bytes.
pub fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let mut with = url.clone();
    let query = url.query().unwrap_or_default();
    with.set_query(Some(&with_pair(query, name, value)));
    with
}

/// `pairs`, which are those of a query or a form, with the one of `name` set to `value`. Others keep their bytes.
pub(super) fn with_pair(pairs: &str, name: &str, value: &str) -> String {
    let pair = format!("{}={}", percent_encoded(name), percent_encoded(value));
    let mut pieces: Vec<&str> = Vec::new();
    let mut placed = false;
    let pairs = (!pairs.is_empty()).then_some(pairs);
    for piece in pairs.into_iter().flat_map(|pairs| pairs.split('&')) {
        if !is_named(piece, name) {
            pieces.push(piece);
        } else if !placed {
            pieces.push(&pair);
            placed = true;
        }
    }
    if !placed {
        pieces.push(&pair);
    }
    pieces.join("&")
}

/// `url` with `{cursor}` in its query, as it is or percent-encoded, replaced by `value`.
pub fn with_cursor(url: &Url, value: &str) -> Url {
    let Some(query) = url.query() else {
        return url.clone();
    };
    let mut with = url.clone();
    with.set_query(Some(&pairs_with_cursor(query, value)));
    with
}

/// `pairs`, which are those of a query or a form, with `{cursor}` replaced by `value`.
pub(super) fn pairs_with_cursor(pairs: &str, value: &str) -> String {
    plain(pairs, CURSOR).replace(CURSOR, &percent_encoded(value))
}

/// Whether `{cursor}` stands in the query of `url`.
pub fn holds_cursor(url: &Url) -> bool {
    url.query()
        .is_some_and(|query| plain(query, CURSOR).contains(CURSOR))
}

/// `text` of a URL, in which `{name}` is spelled like that, whatever way its braces were.
pub(super) fn plain(text: &str, braced: &str) -> String {
    let name = &braced[1..braced.len() - 1];
    let mut plain = text.to_owned();
    for open in ["{", "%7B", "%7b"] {
        for close in ["}", "%7D", "%7d"] {
            plain = plain.replace(&format!("{open}{name}{close}"), braced);
        }
    }
    plain
}

fn is_named(piece: &str, name: &str) -> bool {
    let mut pairs = form_urlencoded::parse(piece.as_bytes());
    pairs.next().is_some_and(|(found, _)| found == name)
}

pub(super) fn percent_encoded(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            encoded.extend(['%', char::from(digits[0]), char::from(digits[1])]);
        }
    }
    encoded
}

/// The URL that `text` names in an answer of `base`. `Err` says why it is not followed.
pub fn resolve(base: &Url, text: &str) -> Result<Url, String> {
    followed(base, joined(base, text)?)
}

/// The same of the next page. On the same host, one over http is asked for over https where the answer came so: behind a proxy
/// that ends TLS, many sources do not know their own scheme.
pub fn resolve_next(base: &Url, text: &str) -> Result<Url, String> {
    let mut url = joined(base, text)?;
    let is_own = url.host() == base.host()
        && (url.port().is_none() || url.port() == base.port_or_known_default());
    if (base.scheme(), url.scheme()) == ("https", "http") && is_own {
        let is_set = url
            .set_scheme("https")
            .and_then(|()| url.set_port(base.port()));
        is_set.map_err(|()| "no URL".to_owned())?;
    }
    followed(base, url)
}

fn joined(base: &Url, text: &str) -> Result<Url, String> {
    let url = base.join(text.trim_ascii());
    url.map_err(|error| format!("no URL: {error}"))
}

fn followed(base: &Url, mut url: Url) -> Result<Url, String> {
    url.set_fragment(None);
    match (base.scheme(), url.scheme()) {
        ("https", "http") => return Err("a downgrade from https to http".to_owned()),
        (_, "http" | "https") => {}
        (_, other) => return Err(format!("a `{other}` URL, not http or https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user name in it".to_owned());
    }
    if url.as_str().len() > URL_BYTES_MAX {
        return Err(format!("a URL of more than {URL_BYTES_MAX} bytes"));
    }
    Ok(url)
}

/// `scheme://host/path`: what messages show. A query may hold a credential.
pub fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn with(text: &str, name: &str, value: &str) -> String {
        with_parameter(&url(text), name, value).into()
    }

    #[test]
    fn a_parameter_is_added_encoded() {
        assert_eq!(
            with(
                "https://x.example/o",
                "since",
                "2026-11-23T06:00:00+01:00 &"
            ),
            "https://x.example/o?since=2026-11-23T06%3A00%3A00%2B01%3A00%20%26"
        );
        assert_eq!(
            with("https://x.example/o?", "f[gte]", "1"),
            "https://x.example/o?f%5Bgte%5D=1"
        );
    }

    #[test]
    fn a_parameter_of_that_name_is_replaced_and_others_keep_their_bytes() {
        assert_eq!(
            with(
                "https://x.example/o?a=%2f+%20&&since=1&b&sinc%65=2&c=é",
                "since",
                "3"
            ),
            "https://x.example/o?a=%2f+%20&&since=3&b&c=%C3%A9"
        );
        assert_eq!(
            with("https://x.example/o?a=1", "b", "2"),
            "https://x.example/o?a=1&b=2"
        );
    }

    #[test]
    fn a_url_resolves_against_the_one_that_named_it() {
        let base = url("https://x.example/a/b?page=1");
        let resolved = |text: &str| resolve(&base, text).map(String::from);

        assert_eq!(
            resolved("?page=2"),
            Ok("https://x.example/a/b?page=2".to_owned())
        );
        assert_eq!(resolved("c"), Ok("https://x.example/a/c".to_owned()));
        assert_eq!(resolved("/c#top"), Ok("https://x.example/c".to_owned()));
        assert_eq!(
            resolved("//y.example/c"),
            Ok("https://y.example/c".to_owned())
        );
    }

    #[test]
    fn a_url_that_is_unsafe_is_not_followed() {
        let base = url("https://x.example/a");

        assert!(
            resolve(&base, "http://x.example/b")
                .unwrap_err()
                .contains("downgrade from https to http")
        );
        assert!(
            resolve(&base, "file:///etc/passwd")
                .unwrap_err()
                .contains("`file` URL")
        );
        assert!(
            resolve(&base, "https://u:p@x.example/")
                .unwrap_err()
                .contains("user name")
        );
        assert!(resolve(&base, "https://").unwrap_err().contains("no URL"));
        assert!(
            resolve(&base, &"a".repeat(URL_BYTES_MAX))
                .unwrap_err()
                .contains("bytes")
        );
    }

    #[test]
    fn a_next_page_over_http_on_the_same_host_is_asked_for_over_https() {
        let next = |base: &str, text: &str| resolve_next(&url(base), text).map(String::from);
        let https = |text: &str| Ok(text.to_owned());

        for named in ["http://x.example/p?a=1#b", "http://x.example:443/p?a=1"] {
            assert_eq!(
                next("https://x.example/o", named),
                https("https://x.example/p?a=1")
            );
        }
        for named in ["http://x.example:8443/p", "http://x.example/p"] {
            assert_eq!(
                next("https://x.example:8443/o", named),
                https("https://x.example:8443/p")
            );
        }
        assert_eq!(
            next("http://x.example/o", "http://x.example/p"),
            https("http://x.example/p")
        );
        for named in [
            "http://y.example/p",
            "http://x.example:8080/p",
            "http://u:p@x.example/p",
        ] {
            assert!(next("https://x.example/o", named).is_err(), "{named}");
        }
    }

    #[test]
    fn a_shown_url_has_no_query() {
        assert_eq!(
            shown(&url("https://x.example:8443/o?key=s3cret#f")),
            "https://x.example:8443/o"
        );
    }

    proptest! {
        #[test]
        fn every_value_arrives_as_it_was(name in "\\PC{1,10}", value in "\\PC{0,20}", query in "[a-z=&%2+]{0,20}") {
            let with = with_parameter(&url(&format!("https://x.example/o?{query}")), &name, &value);

            let found: Vec<String> = with
                .query_pairs()
                .filter(|(found, _)| *found == name)
                .map(|(_, value)| value.into_owned())
                .collect();
            prop_assert_eq!(found, vec![value]);
        }
    }
}
