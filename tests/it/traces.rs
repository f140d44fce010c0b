//! Traces by OTLP, at a scripted collector.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tidegate::outcome::Outcome;

use crate::server::{Latch, Reply, Request, Server};
use crate::world::Job;

const TWO: &str = r#"[{"id":1},{"id":2}]"#;
const TOKEN: &str = "5f1c0d8e7b6a49382716";

/// A collector that answers like this, and what it was sent.
fn collector(answer: impl Fn() -> Reply + Send + Sync + 'static) -> (Server, Sent) {
    let sent = Sent::default();
    let kept = Arc::clone(&sent);
    let server = Server::start(move |request| {
        kept.lock().unwrap().push(request.clone());
        answer()
    });
    (server, sent)
}

type Sent = Arc<Mutex<Vec<Request>>>;

/// The job with these further lines in its env file.
fn with(job: Job, lines: &str) -> Job {
    let file = job.file("traces.env", lines).display().to_string();
    job.args(["--env-file", &file])
}

fn traced(job: Job, collector: &Server) -> Job {
    let endpoint = format!("OTEL_EXPORTER_OTLP_ENDPOINT={}\n", collector.origin());
    with(job, &endpoint)
}

fn decoded(request: &Request) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(&*request.body).expect("a request of OTLP")
}

fn spans(sent: &Sent) -> Vec<Span> {
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 1, "one trace a run");
    let mut decoded = decoded(&sent[0]);
    decoded.resource_spans.remove(0).scope_spans.remove(0).spans
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key}: {other:?}"),
    }
}

/// The warning of a run whose trace was not taken.
fn warning(stdout: &str) -> Option<&str> {
    stdout.lines().find(|line| line.contains("traces not sent"))
}

#[test]
fn a_run_is_one_trace_with_a_span_for_each_request() {
    let (server, sent) = collector(|| Reply::new(200, ""));
    let job = Job::new()
        .set("SOURCE_API_URL", "{server}/items?tenant=hush")
        .set("SOURCE_PAGINATION", "link")
        .api(|request| match request.query("page") {
            None => Reply::new(200, r#"[{"id":1}]"#)
                .header("Link", "</items?page=2&sig=hush>; rel=\"next\""),
            Some(_) => Reply::new(200, r#"[{"id":2}]"#),
        });
    let headers = format!("OTEL_EXPORTER_OTLP_HEADERS=x-team=7,api-key={TOKEN}%20x\n");
    let mut job = with(
        job,
        &format!(
            "OTEL_EXPORTER_OTLP_ENDPOINT={}/otlp/\n{headers}OTEL_SERVICE_NAME=orders-sync\n\
             OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=prod\n",
            server.origin()
        ),
    );

    let run = job.run();

    run.exits(Outcome::Published);
    run.printed.shows_nothing_of(TOKEN);
    assert_eq!(warning(&run.stdout), None);
    let spans = spans(&sent);
    let sent = sent.lock().unwrap();
    let request = &sent[0];
    assert_eq!(
        (&*request.method, &*request.target),
        ("POST", "/otlp/v1/traces")
    );
    assert_eq!(
        request.header("content-type"),
        Some("application/x-protobuf")
    );
    assert_eq!(request.header("x-team"), Some("7"));
    assert_eq!(request.header("api-key"), Some(&*format!("{TOKEN} x")));
    assert_eq!(request.header("authorization"), None);
    let whole = String::from_utf8_lossy(&request.body);
    assert!(!whole.contains("hush") && !whole.contains(&job.key) && !whole.contains(TOKEN));
    let resource = decoded(request).resource_spans.remove(0).resource.unwrap();
    for (key, value) in [
        ("service.name", "orders-sync"),
        ("deployment.environment.name", "prod"),
    ] {
        assert_eq!(text(&resource.attributes, key).as_deref(), Some(value));
    }
    let [run, requests @ ..] = &*spans else {
        panic!("no span")
    };
    assert_eq!(
        (run.name.as_str(), run.kind, requests.len()),
        ("tidegate run", 1, 2)
    );
    assert_eq!((run.trace_id.len(), run.span_id.len()), (16, 8));
    assert!(run.status.is_none() && run.parent_span_id.is_empty());
    for (key, value) in [
        ("tidegate.job.name", "orders"),
        ("tidegate.run.outcome", "published"),
        ("process.exit.code", "0"),
        ("tidegate.run.requests", "2"),
    ] {
        assert_eq!(text(&run.attributes, key).as_deref(), Some(value));
    }
    let (host, port) = (job.server.origin(), job.server.origin());
    let port = port.rsplit(':').next().unwrap();
    for request in requests {
        assert_eq!((request.name.as_str(), request.kind), ("GET", 3));
        assert_eq!(request.trace_id, run.trace_id);
        assert_eq!(request.parent_span_id, run.span_id);
        assert!(run.start_time_unix_nano <= request.start_time_unix_nano);
        assert!(request.start_time_unix_nano <= request.end_time_unix_nano);
        assert!(request.end_time_unix_nano <= run.end_time_unix_nano);
        for (key, value) in [
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("url.full", &*format!("{host}/items")),
            ("server.address", "127.0.0.1"),
            ("server.port", port),
        ] {
            assert_eq!(text(&request.attributes, key).as_deref(), Some(value));
        }
    }
}

#[test]
fn a_failure_is_in_the_status_of_its_spans() {
    let (server, sent) = collector(|| Reply::new(200, ""));
    let mut job = traced(Job::new(), &server).page(404, "{}");

    job.run().exits(Outcome::SourceRefused);

    let spans = spans(&sent);
    let [run, request] = &*spans else {
        panic!("{spans:?}")
    };
    let status = run.status.as_ref().unwrap();
    assert_eq!(status.code, 2);
    assert!(status.message.contains("404"), "{status:?}");
    assert_eq!(request.status.as_ref().unwrap().code, 2);
    assert_eq!(
        text(&request.attributes, "error.type").as_deref(),
        Some("404")
    );
}

#[test]
fn a_run_that_does_not_come_so_far_as_to_ask_is_a_trace_too() {
    let (server, sent) = collector(|| Reply::new(200, ""));
    let mut job = traced(Job::new().set("MAX_PAGES", "many"), &server);

    job.run().exits(Outcome::Settings);

    let spans = spans(&sent);
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].status.as_ref().unwrap().code, 2);
}

#[test]
fn the_environment_alone_turns_nothing_on() {
    let (server, sent) = collector(|| Reply::new(200, ""));
    let environment = Job::new()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", &server.origin())
        .set("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .set("OTEL_EXPORTER_OTLP_HEADERS", "no header")
        .set("OTEL_EXPORTER_OTLP_TIMEOUT", "soon");
    let mut job = environment.page(200, TWO);

    job.run().exits(Outcome::Published);

    assert_eq!(sent.lock().unwrap().len(), 0);
    let only = with(Job::new(), "OTEL_SERVICE_NAME=x\n")
        .run()
        .printed
        .exits(78)
        .stderr
        .clone();
    assert!(
        only.contains("OTEL_SERVICE_NAME has no effect without"),
        "{only}"
    );
    // Where the job asks for traces, that of the environment is still for others.
    let mut job = traced(job, &server).page(200, TWO);
    job.run().exits(Outcome::NothingNew);
    assert_eq!(sent.lock().unwrap().len(), 1);
    let lines = format!(
        "OTEL_EXPORTER_OTLP_ENDPOINT={}\nOTEL_EXPORTER_OTLP_PROTOCOL=grpc\nOTEL_EXPORTER_OTLP_HEADERS=no header\n\
         OTEL_EXPORTER_OTLP_TIMEOUT=soon\n",
        server.origin()
    );
    let mut wrong = with(Job::new(), &lines);
    let run = wrong.run();
    run.printed.exits(78);
    for name in [
        "OTEL_EXPORTER_OTLP_PROTOCOL takes",
        "OTEL_EXPORTER_OTLP_HEADERS takes",
        "OTEL_EXPORTER_OTLP_TIMEOUT takes",
    ] {
        run.stderr_has(name);
    }
}

#[test]
fn a_collector_that_does_not_take_it_is_a_warning() {
    let rejected = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 2,
            error_message: "too old".to_owned(),
        }),
    };
    let rejected = rejected.encode_to_vec();
    let busy = collector(|| Reply::new(503, ""));
    let partial = collector(move || Reply::new(200, rejected.clone()));
    for ((server, _), why) in [
        (busy, "it answered 503"),
        (partial, "2 spans were rejected: too old"),
    ] {
        let mut job = traced(Job::new(), &server).page(200, TWO);
        let run = job.run();
        run.exits(Outcome::Published);
        let warning = warning(&run.stdout).expect("a warning");
        assert!(warning.contains(why), "{warning}");
    }
    let gone = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:1/v1/traces\n";
    let mut job = with(Job::new(), gone).page(200, TWO);
    let run = job.run();
    run.exits(Outcome::Published);
    assert!(warning(&run.stdout).is_some());
}

#[test]
fn a_collector_that_does_not_answer_is_not_waited_for() {
    let latch = Latch::default();
    let held = latch.clone();
    let (server, _) = collector(move || {
        held.pass();
        Reply::new(200, "")
    });
    let lines = format!(
        "OTEL_EXPORTER_OTLP_ENDPOINT={}\nOTEL_EXPORTER_OTLP_TIMEOUT=200\n",
        server.origin()
    );
    let mut job = with(Job::new(), &lines).page(200, TWO);

    let run = job.run();
    latch.open();

    run.exits(Outcome::Published);
    let warning = warning(&run.stdout).expect("a warning");
    assert!(warning.contains("it did not answer in time"), "{warning}");
}

#[test]
fn a_tenant_sends_traces_only_where_the_policy_says() {
    let (server, sent) = collector(|| Reply::new(200, ""));
    let job = traced(Job::new(), &server);
    let policy = |job: &Job, more: &str| {
        let text = format!(
            "[tenant.acme]\norigins = [\"{{server}}\"]\nalert_origins = [\"https://example.org\"{more}]\ncomponents = [\"built-in\"]\n\
             output_folders = [\"{}\"]\nenvironment = [\"SOURCE_API_KEY\"]\n\
             [tenant.acme.limits]\nretry_pause = \"2s\"\n",
            job.output().parent().unwrap().display()
        );
        job.file("policy.toml", &text).display().to_string()
    };
    let file = policy(&job, "");
    let mut job = job.args(["--policy", &file, "--tenant", "acme"]);

    let refused = job.run();
    policy(&job, &format!(", \"{}/v1/traces\"", server.origin()));
    let mut job = job.page(200, TWO);
    let allowed = job.run();

    refused.exits(Outcome::Settings);
    refused.stderr_has("OTEL_EXPORTER_OTLP_ENDPOINT asks for");
    allowed.exits(Outcome::Published);
    assert_eq!(warning(&allowed.stdout), None);
    assert_eq!(sent.lock().unwrap().len(), 1);
}
