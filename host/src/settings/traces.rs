//! Where traces go, by the variables that OpenTelemetry names for everybody: only where the job itself names a collector.

use std::time::Duration;

use http::HeaderName;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::limits::TRACES_SENT_MAX;
use crate::secret::{Secret, WORD_BYTES_MIN};
use crate::settings::catalogue::{
    self, Group, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
};
use crate::settings::inputs::{Origin, Problem};
use crate::settings::layers::Layers;

/// Where the traces of a run go.
#[derive(Debug, Clone)]
pub struct TracesPlan {
    /// What they are posted to.
    pub url: Url,
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    pub headers: Vec<(HeaderName, Secret)>,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`, and 10 s at the most.
    pub timeout: Duration,
    /// `OTEL_SERVICE_NAME`.
    pub service: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub attributes: Vec<(String, String)>,
    /// Whether the name of the collector may lead to a private address.
    pub private_networks: bool,
}

impl TracesPlan {
    /// What must not be shown. A short value is no key, and hidden it would be in every number of the log.
    pub fn secrets(&self) -> Vec<Secret> {
        let values = self.headers.iter().map(|(_, value)| value);
        let keys = values.filter(|value| value.expose().len() >= WORD_BYTES_MIN);
        keys.cloned().collect()
    }
}

/// Whether the job names a collector: by flag or file. Variables that are set for every program of a machine turn nothing on.
pub fn are_asked_for(layers: &Layers) -> bool {
    [
        &OTEL_EXPORTER_OTLP_ENDPOINT.row,
        &OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.row,
    ]
    .iter()
    .any(|row| layers.deliberate_value(row.name).is_some())
}

/// What the job sets for traces although it names no collector.
pub fn without_an_endpoint(layers: &Layers) -> Vec<Problem> {
    let rows = catalogue::ALL
        .iter()
        .filter(|row| row.group == Group::Traces);
    let given = rows.filter_map(|row| {
        let names = [
            Some(row.name.to_owned()),
            row.file_name(),
            row.command_name(),
        ];
        let mut given = names.into_iter().flatten();
        given.find_map(|name| {
            layers
                .deliberate_value(&name)
                .map(|given| (name, given.origin))
        })
    });
    let problem = |(name, origin): (String, Origin)| {
        let endpoint = OTEL_EXPORTER_OTLP_ENDPOINT.row.name;
        Problem::of(
            &name,
            format!("has no effect without {endpoint} in the job: set that, or remove this"),
            origin,
        )
    };
    given.map(problem).collect()
}

/// `OTEL_EXPORTER_OTLP_ENDPOINT` and `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
pub fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    url.ok_or_else(|| {
        "takes an http or https URL without a user, `?` and `#`, such as `http://localhost:4318`"
            .to_owned()
    })
}

/// `OTEL_EXPORTER_OTLP_HEADERS`: percent-encoded, as in W3C's baggage.
pub fn headers(text: &str) -> Result<Vec<(HeaderName, Secret)>, String> {
    // An entry may be a secret in the wrong place: it is not repeated.
    let takes = "takes `name=value`, with `,` between several and values percent-encoded";
    let pairs = pairs(text).ok_or(takes)?;
    let header = |(name, value): (String, String)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let is_sendable = http::HeaderValue::from_str(&value).is_ok();
        is_sendable.then(|| (name, Secret::from(value.as_str())))
    };
    let headers: Option<Vec<_>> = pairs.into_iter().map(header).collect();
    headers.ok_or_else(|| takes.to_owned())
}

/// `OTEL_RESOURCE_ATTRIBUTES`.
pub fn attributes(text: &str) -> Result<Vec<(String, String)>, String> {
    pairs(text).ok_or_else(|| {
        "takes `name=value`, with `,` between several and values percent-encoded".to_owned()
    })
}

/// `OTEL_EXPORTER_OTLP_TIMEOUT`, in milliseconds.
pub fn timeout(text: &str) -> Result<Duration, String> {
    let millis: u64 = text
        .parse()
        .map_err(|_| "takes a whole number of milliseconds, such as `5000`")?;
    Ok(Duration::from_millis(millis).min(TRACES_SENT_MAX))
}

/// `OTEL_EXPORTER_OTLP_PROTOCOL`.
pub fn protocol(text: &str) -> Result<(), String> {
    match text {
        "http/protobuf" => Ok(()),
        _ => Err("takes `http/protobuf`, the only one that is built in: use the collector's port for OTLP over HTTP, 4318 as a rule".to_owned()),
    }
}

/// `OTEL_SERVICE_NAME`.
pub fn service(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("has control characters in it".to_owned());
    }
    Ok(text.to_owned())
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let entries = text.split(',').map(str::trim);
    let pair = |entry: &str| {
        let (name, value) = entry.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
    };
    entries
        .filter(|entry| !entry.is_empty())
        .map(pair)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_opentelemetry_writes_them() {
        let read = attributes("deployment.environment.name=prod, team=a%2Cb=c,,x=").unwrap();
        let read: Vec<(&str, &str)> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();

        assert_eq!(
            read,
            [
                ("deployment.environment.name", "prod"),
                ("team", "a,b=c"),
                ("x", "")
            ]
        );
        for wrong in ["key", "=value", "a=1,b"] {
            assert!(attributes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_refused_without_its_value() {
        let read = headers("Authorization=Basic%20YTpi,x-team=7").unwrap();

        assert_eq!(read[0].0, "authorization");
        assert_eq!(read[0].1.expose(), "Basic YTpi");
        for wrong in ["a b=hush", "x=hu%0Ash", "hush"] {
            assert!(!headers(wrong).unwrap_err().contains("sh"), "{wrong}");
        }
    }

    #[test]
    fn no_trace_is_waited_for_longer_than_ten_seconds() {
        assert_eq!(timeout("250"), Ok(Duration::from_millis(250)));
        assert_eq!(timeout("60000"), Ok(Duration::from_secs(10)));
        assert!(timeout("5s").is_err());
    }
}
