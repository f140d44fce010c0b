//! Headers: which of the component's go out, which of the server's come in, and what must be true of an answer's head.

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// A component cannot set these: where a message ends, how it is encoded, and what is for the next hop alone
/// (RFC 9110, 7.6.1) are the host's.
const FRAMING: [&str; 15] = [
    "accept-encoding",
    "alt-used",
    "connection",
    "content-length",
    "early-data",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];
/// Nor these: the credential is the host's, and so are cookies.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "cookie2", "set-cookie"];
/// Nor these: a server behind a proxy believes them, a framework takes another method or target from them, and a cloud's
/// metadata service hands out keys for them.
const BELIEVED: [&str; 17] = [
    "cdn-loop",
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "metadata",
    "metadata-flavor",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-google-metadata-request",
    "x-host",
    "x-http-destinationurl",
    "x-http-method",
    "x-method-override",
    "x-real-ip",
];
/// Nor what begins like this.
const BEGINNINGS: [&str; 8] = [
    "proxy-",
    "sec-",
    "x-aws-ec2-metadata-",
    "x-envoy-",
    "x-forwarded",
    "x-http-method-",
    "x-original-",
    "x-rewrite-",
];

/// True if and only if a component cannot set this header.
pub fn is_forbidden_header(name: &HeaderName) -> bool {
    // Many servers take `X_Forwarded_For` for the same header.
    let name = name.as_str().replace('_', "-");
    let name = name.as_str();
    FRAMING.contains(&name)
        || CREDENTIALS.contains(&name)
        || BELIEVED.contains(&name)
        || BEGINNINGS.iter().any(|start| name.starts_with(start))
}

/// By this header of a request, with the value `files`, a component has a body unpacked that is a gzip file or a zip file,
/// though no `Content-Encoding` says so. It is not sent.
pub(super) const UNPACK: HeaderName = HeaderName::from_static("tidegate-unpack");

/// True if and only if the component wants files unpacked.
pub(super) fn unpacks(given: &HeaderMap) -> bool {
    given.get(UNPACK).is_some_and(|value| value == "files")
}

/// The component's headers without the forbidden ones, and ours.
pub(super) fn outgoing(given: &HeaderMap) -> HeaderMap {
    let mut headers: HeaderMap = given
        .iter()
        .filter(|(name, _)| !is_forbidden_header(name) && **name != UNPACK)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    headers
}

/// What a component sees with an answer that ends where its connection does, be it whole or cut off: `unknown`. A server
/// cannot send it.
pub(super) const END: HeaderName = HeaderName::from_static("tidegate-end");

/// True if and only if nothing says where this body ends: no length, no chunks, no TLS and no compression.
pub(super) fn has_unknown_end(headers: &HeaderMap, encoding: Encoding, is_https: bool) -> bool {
    let is_framed = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    !is_framed && !is_https && encoding == Encoding::Identity
}

/// True if and only if a component never sees this header of an answer: it is about the connection, or a state that we
/// keep none of.
pub(super) fn is_stripped(name: &HeaderName) -> bool {
    const STRIPPED: [HeaderName; 10] = [
        END,
        CONNECTION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        SET_COOKIE,
        STRICT_TRANSPORT_SECURITY,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    const STRIPPED_TOO: [&str; 4] = ["alt-svc", "keep-alive", "set-cookie2", "clear-site-data"];
    STRIPPED.contains(name)
        || STRIPPED_TOO.contains(&name.as_str())
        || name.as_str().starts_with("proxy-")
}

/// Bytes of a head on the wire, near enough for a limit: names, values and four bytes a line.
pub(super) fn head_bytes(first_line_bytes: usize, headers: &HeaderMap) -> usize {
    headers.iter().fold(first_line_bytes, |sum, (name, value)| {
        sum + name.as_str().len() + value.len() + 4
    })
}

/// `Err` says why two readers could disagree about where this answer ends.
pub(super) fn check_framing(status: StatusCode, headers: &HeaderMap) -> Result<(), &'static str> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err("101 Switching Protocols was not asked for");
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(_), _) if headers.contains_key(CONTENT_LENGTH) => {
            Err("both content-length and transfer-encoding are given")
        }
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err("transfer-encoding is not just `chunked`"),
    }
}

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    /// One layer of gzip.
    Gzip,
    /// A gzip file or a zip file if the first bytes are those of one.
    ByItsBytes,
}

impl Encoding {
    /// The same, or by the first bytes of a body that is not encoded and may be a file to unpack.
    pub(super) fn unpacking(self, unpacks: bool) -> Self {
        match self {
            Self::Identity if unpacks => Self::ByItsBytes,
            other => other,
        }
    }
}

/// `Err` is the header's text when it is anything but one layer of gzip or none.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, String> {
    let lines = headers.get_all(CONTENT_ENCODING).iter();
    let lines: Vec<_> = lines
        .map(|line| String::from_utf8_lossy(line.as_bytes()))
        .collect();
    let given = lines.join(", ");
    let lower = given.to_ascii_lowercase();
    let layers = lower.split(',').map(str::trim);
    let mut layers = layers.filter(|layer| !layer.is_empty() && *layer != "identity");
    match (layers.next(), layers.next()) {
        (None, _) => Ok(Encoding::Identity),
        (Some("gzip" | "x-gzip"), None) => Ok(Encoding::Gzip),
        _ => Err(given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn what_frames_authorizes_or_speaks_for_a_proxy_is_forbidden() {
        for name in [
            "authorization",
            "cookie",
            "proxy-authorization",
            "proxy-connection",
            "host",
            "connection",
            "te",
            "transfer-encoding",
            "upgrade",
            "trailer",
            "keep-alive",
            "expect",
            "accept-encoding",
            "content-length",
            "x-http-method-override",
            "x_http_method_override",
            "x-http-method",
            "x-method-override",
            "x-original-url",
            "x-rewrite-url",
            "x-forwarded-for",
            "x-forwarded-host",
            "forwarded",
            "via",
            "x-real-ip",
            "metadata",
            "metadata-flavor",
            "x-aws-ec2-metadata-token",
            "x-aws-ec2-metadata-token-ttl-seconds",
            "sec-fetch-site",
            "early-data",
        ] {
            assert!(
                is_forbidden_header(&HeaderName::from_static(name)),
                "{name}"
            );
        }
    }

    #[test]
    fn what_describes_a_request_is_not_forbidden() {
        for name in [
            "accept",
            "user-agent",
            "content-type",
            "if-none-match",
            "x-api-key",
            "x-ms-version",
            "x-request-id",
            "prefer",
            "range",
            "origin",
        ] {
            assert!(
                !is_forbidden_header(&HeaderName::from_static(name)),
                "{name}"
            );
        }
    }

    #[test]
    fn an_end_is_shown_by_length_chunks_compression_or_tls() {
        let unframed = |encoding, is_https| has_unknown_end(&head(&[]), encoding, is_https);

        assert!(unframed(Encoding::Identity, false));
        assert!(!unframed(Encoding::Gzip, false));
        assert!(!unframed(Encoding::Identity, true));
        for framed in [("content-length", "5"), ("transfer-encoding", "chunked")] {
            assert!(!has_unknown_end(
                &head(&[framed]),
                Encoding::Identity,
                false
            ));
        }
    }

    #[test]
    fn one_layer_of_gzip_or_none_is_an_encoding() {
        assert_eq!(encoding(&head(&[])), Ok(Encoding::Identity));
        assert_eq!(
            encoding(&head(&[("content-encoding", "Identity")])),
            Ok(Encoding::Identity)
        );
        assert_eq!(
            encoding(&head(&[("content-encoding", "identity, GZIP")])),
            Ok(Encoding::Gzip)
        );
        assert_eq!(
            encoding(&head(&[("content-encoding", "gzip, gzip")])),
            Err("gzip, gzip".into())
        );
        assert_eq!(
            encoding(&head(&[("content-encoding", "br")])),
            Err("br".into())
        );
    }

    #[test]
    fn two_lines_of_gzip_are_two_layers() {
        let mut headers = head(&[("content-encoding", "gzip")]);
        headers.append(CONTENT_ENCODING, HeaderValue::from_static("gzip"));

        assert!(encoding(&headers).is_err());
    }

    #[test]
    fn a_length_and_chunks_together_are_refused() {
        let ok = StatusCode::OK;

        assert!(check_framing(ok, &head(&[("content-length", "3")])).is_ok());
        assert!(check_framing(ok, &head(&[("transfer-encoding", "Chunked")])).is_ok());
        assert!(check_framing(ok, &head(&[("transfer-encoding", "gzip, chunked")])).is_err());
        assert!(
            check_framing(
                ok,
                &head(&[("transfer-encoding", "chunked"), ("content-length", "3")])
            )
            .is_err()
        );
    }
}
