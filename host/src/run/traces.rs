//! Traces by OTLP over HTTP, where the job names a collector: one span for the run, below it one for each request. Sent once, when
//! the run has ended, and never a reason for it to end otherwise.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http_body_util::{BodyExt as _, Full, Limited};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use serde_json::json;
use tokio::time::timeout;

use crate::egress::{Auth, Besides, Egress, Exchange, Origin, Policy, TlsFiles};
use crate::folder::random_digits;
use crate::limits::{Limits, TRACES_ANSWER_BYTES_MAX, TRACES_STOPPED_MAX};
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::process::watch::Watch;
use crate::run::summary::Summary;
use crate::settings::host::HostPlan;
use crate::settings::traces::TracesPlan;

/// The trace of one run.
pub struct Traces {
    plan: TracesPlan,
    files: TlsFiles,
    policy: Policy,
    limits: Limits,
    /// Whose job it is, under a policy.
    tenant: Option<String>,
    began: SystemTime,
}

impl Traces {
    /// That of a run that begins now; none where the job names no collector.
    pub fn begin(host: &HostPlan) -> Option<Self> {
        let plan = host.traces.clone()?;
        let origin = Origin::of(&plan.url)?;
        Some(Self {
            policy: Policy {
                // One on this machine is not to be reached through a proxy.
                proxy: host.proxy.clone().filter(|_| !origin.is_loopback()),
                allow_private_networks: plan.private_networks,
                source: Some(origin),
                ..Policy::default()
            },
            files: TlsFiles {
                ca: host.ca_file.clone(),
                client: None,
            },
            limits: host.limits.clone(),
            tenant: (host.tenant.as_ref()).map(|tenant| tenant.name().to_owned()),
            plan,
            began: SystemTime::now(),
        })
    }

    /// Sends it, with these requests. What goes wrong is a warning.
    pub fn send(self, watch: &Watch, summary: &Summary, exchanges: &[Exchange], log: &Log) {
        let origin = self.policy.source.as_ref();
        let is_plain = origin.is_some_and(|origin| !origin.is_https() && !origin.is_loopback());
        if is_plain && !self.plan.headers.is_empty() {
            log.warn(
                "headers for the collector sent over plain http: anyone on the network path can read them; use https in OTEL_EXPORTER_OTLP_ENDPOINT",
                json!({ "origin": origin.map(ToString::to_string) }),
            );
        }
        let request = self.request(summary, exchanges, log);
        let spans = request.resource_spans[0].scope_spans[0].spans.len();
        let (most, stop) = (self.plan.timeout, &watch.stop);
        let late = |_| Err("it did not answer in time".to_owned());
        let sent = watch.block_on(async {
            let mut sending = Box::pin(self.post(&request));
            let in_time = async {
                if stop.check().is_ok() {
                    tokio::select! {
                        sent = timeout(most, &mut sending) => return sent,
                        _ = stop.stopped() => {}
                    }
                }
                timeout(most.min(TRACES_STOPPED_MAX), &mut sending).await
            };
            let sent = in_time.await.unwrap_or_else(late);
            sent.map_err(|why| Failure::new(Outcome::TryLater, why))
        });
        if let Err(failure) = sent {
            log.warn(
                "traces not sent",
                json!({ "to": origin.map(ToString::to_string), "spans": spans, "error": failure.message }),
            );
        }
    }

    async fn post(&self, request: &ExportTraceServiceRequest) -> Result<(), String> {
        let besides = Besides {
            headers: self.plan.headers.clone(),
            ..Besides::default()
        };
        let (policy, limits) = (self.policy.clone(), &self.limits);
        // What it warns of is said of the source.
        let log = Log::silent();
        let egress = Egress::new(policy, &Auth::None, &besides, &self.files, limits, log);
        let egress = egress.map_err(|failure| failure.message)?;
        let body = Full::new(Bytes::from(request.encode_to_vec()));
        let request = Request::post(self.plan.url.as_str())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .body(body)
            .map_err(|_| "its URL cannot be asked")?;
        let answer = egress
            .send(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), TRACES_ANSWER_BYTES_MAX);
        let body = body.collect().await;
        if !status.is_success() {
            return Err(format!("it answered {}", status.as_u16()));
        }
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        // What is no such message says nothing against it.
        let answered = ExportTraceServiceResponse::decode(body).unwrap_or_default();
        match answered.partial_success {
            Some(partial) if partial.rejected_spans > 0 => Err(format!(
                "{} spans were rejected: {}",
                partial.rejected_spans, partial.error_message
            )),
            _ => Ok(()),
        }
    }

    fn request(
        &self,
        summary: &Summary,
        exchanges: &[Exchange],
        log: &Log,
    ) -> ExportTraceServiceRequest {
        let ended = SystemTime::now();
        let trace_id = [random_digits(), random_digits()]
            .map(u64::to_be_bytes)
            .concat();
        let run = self.of_run(summary, &trace_id, ended, log);
        let of_requests = exchanges.iter().map(|exchange| Span {
            trace_id: trace_id.clone(),
            span_id: span_id(),
            parent_span_id: run.span_id.clone(),
            ..of_request(exchange, ended, log)
        });
        let of_requests: Vec<Span> = of_requests.collect();
        let plan = &self.plan;
        // What says who this is, no attribute of the job replaces.
        let own = |name: &str| name == "service.version" || name.starts_with("tidegate.");
        let given = plan.attributes.iter().filter(|(name, _)| !own(name));
        let mut resource: BTreeMap<&str, &str> = given
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        if let Some(service) = &plan.service {
            resource.insert("service.name", service);
        }
        resource.entry("service.name").or_insert("tidegate");
        resource.insert("service.version", env!("CARGO_PKG_VERSION"));
        if let Some(tenant) = &self.tenant {
            resource.insert("tidegate.tenant", tenant);
        }
        let attributes = resource.iter().map(|(name, value)| text(name, value));
        let attributes: Vec<KeyValue> = attributes.collect();
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes,
                    ..Resource::default()
                }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: "tidegate".to_owned(),
                        version: env!("CARGO_PKG_VERSION").to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    spans: [vec![run], of_requests].concat(),
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        }
    }

    fn of_run(&self, summary: &Summary, trace_id: &[u8], ended: SystemTime, log: &Log) -> Span {
        let mut attributes = vec![
            text("tidegate.job.name", &log.hide(&summary.job)),
            text("tidegate.run.id", &summary.run_id),
            text("tidegate.run.outcome", summary.outcome),
            number("process.exit.code", summary.exit_code.into()),
        ];
        for (name, count) in [
            ("tidegate.run.requests", Some(summary.requests)),
            ("tidegate.run.fetched_records", Some(summary.fetched)),
            ("tidegate.run.rejected_records", Some(summary.rejected)),
            ("tidegate.run.new_records", summary.new),
            ("tidegate.run.changed_records", summary.changed),
            ("tidegate.run.gone_records", summary.gone),
        ] {
            attributes.extend(count.map(|count| number(name, count)));
        }
        if let Some(generation) = &summary.generation {
            attributes.push(text("tidegate.generation", generation));
        }
        let message = summary.message.as_deref().map(|message| log.hide(message));
        Span {
            trace_id: trace_id.to_vec(),
            span_id: span_id(),
            name: "tidegate run".to_owned(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: nanos(self.began),
            end_time_unix_nano: nanos(ended),
            attributes,
            status: (summary.exit_code != 0).then(|| failed(message.unwrap_or_default())),
            ..Span::default()
        }
    }
}

/// A span without its place, by the conventions for HTTP clients.
fn of_request(exchange: &Exchange, ended: SystemTime, log: &Log) -> Span {
    let brackets = ['[', ']'];
    let (method, origin) = (exchange.method.as_str(), &exchange.origin);
    let mut attributes = vec![
        text("http.request.method", method),
        text("url.full", &log.hide(&format!("{origin}{}", exchange.path))),
        text("server.address", origin.host().trim_matches(brackets)),
        number("server.port", origin.port().into()),
    ];
    let status = exchange.status.map(|status| status.as_u16());
    attributes.extend(status.map(|status| number("http.response.status_code", status.into())));
    let error = exchange
        .error
        .as_ref()
        .map(|error| log.hide(&error.to_string()));
    let refused = status
        .filter(|status| *status >= 400)
        .map(|status| status.to_string());
    let kind = refused
        .clone()
        .or_else(|| error.as_ref().map(|_| "_OTHER".to_owned()));
    attributes.extend(kind.map(|kind| text("error.type", &kind)));
    let is_whole = exchange.ended.is_some();
    let status = match (error, refused) {
        (Some(error), _) => Some(failed(error)),
        // What the number says is not said twice.
        (None, Some(_)) => Some(failed(String::new())),
        (None, None) if !is_whole => Some(failed("the run ended before it did".to_owned())),
        (None, None) => None,
    };
    Span {
        name: method.to_owned(),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: nanos(exchange.began),
        end_time_unix_nano: nanos(exchange.ended.unwrap_or(ended)),
        attributes,
        status,
        ..Span::default()
    }
}

fn failed(message: String) -> Status {
    Status {
        message,
        code: StatusCode::Error.into(),
    }
}

fn span_id() -> Vec<u8> {
    random_digits().to_be_bytes().to_vec()
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn text(key: &str, value: &str) -> KeyValue {
    of(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: u64) -> KeyValue {
    of(
        key,
        Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)),
    )
}

fn of(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
