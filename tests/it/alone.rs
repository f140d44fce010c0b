//! The component alone: its `wasi:cli/run` in a plain wasmtime with stock WASI, and nothing of our host around it.
//!
//! The one thing that is not stock is how a request is sent: a few lines over hyper that allow everything, as any runtime's
//! default does.

mod append;
mod gates;
mod given;
mod hostile;
mod wrapper;

use std::future::Future;
use std::path::Path;
use std::process::Command as Process;
use std::sync::{Arc, Mutex, OnceLock};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tidegate::outcome::Outcome;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::filesystem::FsPerms;
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::server::{Reply, Server};
use crate::world::Job;

const LOG_BYTES_MAX: usize = 1024 * 1024;
const TWO: &str = r#"[{"id":1,"price":1.10},{"id":9007199254740993}]"#;
const TWO_LINES: &str = "{\"id\":1,\"price\":1.10}\n{\"id\":9007199254740993}\n";

/// A runtime's side of one component.
struct Plain {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: SendAnything,
    table: ResourceTable,
}

impl WasiView for Plain {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Plain {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

/// Sends what it is given, and keeps what it was told of time-outs. It has none of its own.
#[derive(Default)]
struct SendAnything {
    options: Arc<Mutex<Vec<Option<RequestOptions>>>>,
}

type Sent = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for SendAnything {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        self.options.lock().unwrap().push(options);
        Box::new(async move {
            let authority = request
                .uri()
                .authority()
                .ok_or(Error::HttpRequestUriInvalid)?
                .to_string();
            let stream = tokio::net::TcpStream::connect(&authority)
                .await
                .map_err(Error::Connect)?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            let (mut head, body) = request.into_parts();
            let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
            head.uri = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
            let answer = sender.send_request(Request::from_parts(head, body)).await?;
            // The sender lives as long as the body, or the connection would end under it.
            let answer = answer.map(|body| {
                body.map_err(move |error| {
                    let _ = &sender;
                    Error::from(error)
                })
                .boxed_unsync()
            });
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(async { Ok(()) });
            Ok((answer, done))
        })
    }
}

/// What a run of the component alone ended in, and its log.
struct Ended {
    ok: bool,
    log: String,
    /// The time-outs that were asked for, of each request.
    options: Vec<Option<RequestOptions>>,
}

impl Ended {
    /// The last line of the log says that it ended with this code, and this.
    #[track_caller]
    fn exits(&self, code: u8, text: &str) -> &Self {
        let last = self.log.trim_end().lines().last().unwrap_or_default();
        let begins = last.starts_with(&format!("exit {code}: "));
        assert!(
            begins && last.contains(text),
            "{code} and `{text}`: {}",
            self.log
        );
        assert_eq!(self.ok, code == 0, "{}", self.log);
        self
    }
}

/// Runs `wasi:cli/run` with these variables and this folder.
fn run(folder: &Path, environment: &[(&str, &str)]) -> Ended {
    run_in(&[(folder, "/out")], environment)
}

/// The same with these folders, each under a name of its own.
fn run_in(folders: &[(&Path, &str)], environment: &[(&str, &str)]) -> Ended {
    let (engine, component) = built();
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).unwrap();
    let stderr = MemoryOutputPipe::new(LOG_BYTES_MAX);
    let mut wasi = WasiCtxBuilder::new();
    wasi.envs(environment).stderr(stderr.clone());
    for (folder, name) in folders {
        wasi.preopened_dir(folder, name, FsPerms::ReadWrite)
            .unwrap();
    }
    let hooks = SendAnything::default();
    let options = Arc::clone(&hooks.options);
    let plain = Plain {
        wasi: wasi.build(),
        http: WasiHttpCtx::new(),
        hooks,
        table: ResourceTable::new(),
    };
    let mut store = Store::new(engine, plain);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();

    let result = runtime.block_on(async {
        let command = Command::instantiate_async(&mut store, component, &linker)
            .await
            .unwrap();
        command
            .wasi_cli_run()
            .call_run(&mut store)
            .await
            .expect("the component does not trap")
    });

    Ended {
        ok: result.is_ok(),
        log: String::from_utf8(stderr.contents().to_vec()).unwrap(),
        options: options.lock().unwrap().clone(),
    }
}

/// The component that `tidegate component` prints, compiled once.
fn built() -> &'static (Engine, Component) {
    static BUILT: OnceLock<(Engine, Component)> = OnceLock::new();
    BUILT.get_or_init(|| {
        let printed = Process::new(env!("CARGO_BIN_EXE_tidegate"))
            .arg("component")
            .output()
            .unwrap();
        let engine = Engine::default();
        let component = Component::from_binary(&engine, &printed.stdout).unwrap();
        (engine, component)
    })
}

/// The names and contents of the files in a folder.
fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read_to_string(entry.path()).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

fn only(name: &str, text: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), text.to_owned())]
}

#[test]
fn alone_it_writes_every_record_to_latest_ndjson() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::new(200, TWO));

    let ended = run(
        folder.path(),
        &[
            ("SOURCE_API_URL", &server.origin()),
            ("SOURCE_API_KEY", "open-sesame"),
        ],
    );

    assert!(ended.ok, "{}", ended.log);
    assert_eq!(files(folder.path()), only("latest.ndjson", TWO_LINES));
    assert_eq!(
        server.seen()[0].header("authorization"),
        Some("Bearer open-sesame")
    );
    assert!(!ended.log.contains("open-sesame"), "{}", ended.log);
}

#[test]
fn alone_it_follows_pages_and_tries_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(
        |request| match (request.query("page"), request.connection) {
            (None, 1) => Reply::new(503, ""),
            (None, _) => Reply::new(200, r#"[{"id":1}]"#).next("/items?page=2"),
            (Some(_), _) => Reply::new(200, r#"[{"id":2}]"#).chunked(3),
        },
    );
    let url = format!("{}/items", server.origin());

    let ended = run(
        folder.path(),
        &[("SOURCE_API_URL", &url), ("SOURCE_PAGINATION", "link")],
    );

    assert!(ended.ok, "{}", ended.log);
    assert_eq!(
        files(folder.path()),
        only("latest.ndjson", "{\"id\":1}\n{\"id\":2}\n")
    );
}

#[test]
fn alone_a_failure_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("latest.ndjson"), "{\"id\":0}\n").unwrap();
    let server = Server::start(|request| match request.query("page") {
        None => Reply::new(200, r#"[{"id":1}]"#).next("/items?page=2"),
        Some(_) => Reply::new(404, ""),
    });
    let url = format!("{}/items", server.origin());

    let ended = run(
        folder.path(),
        &[("SOURCE_API_URL", &url), ("SOURCE_PAGINATION", "link")],
    );

    assert!(!ended.ok);
    assert!(
        ended.log.contains("404") && ended.log.contains("page 2"),
        "{}",
        ended.log
    );
    assert_eq!(files(folder.path()), only("latest.ndjson", "{\"id\":0}\n"));
}

#[test]
fn alone_an_answer_that_is_cut_off_is_never_taken_for_whole() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::new(200, TWO).cut_after(20));

    let ended = run(
        folder.path(),
        &[("SOURCE_API_URL", &server.origin()), ("MAX_RETRIES", "0")],
    );

    assert!(!ended.ok);
    assert_eq!(files(folder.path()), []);
}

#[test]
fn alone_it_knows_every_way_to_send_the_credential() {
    for (auth, name, wanted) in [
        ("header", "X-Api-Token", "x-api-token: user:pass"),
        ("query", "token", "token=user%3Apass"),
        ("basic", "", "authorization: Basic dXNlcjpwYXNz"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(|_| Reply::new(200, "[]"));
        let environment = [
            ("SOURCE_API_URL", &*server.origin()),
            ("SOURCE_API_KEY", "user:pass"),
            ("SOURCE_AUTH", auth),
            ("SOURCE_AUTH_NAME", name),
        ];

        let ended = run(folder.path(), &environment);

        assert!(ended.ok, "{}", ended.log);
        let head = String::from_utf8(server.seen()[0].head.clone()).unwrap();
        assert!(head.contains(wanted), "{wanted} in {head}");
    }
}

#[test]
fn alone_it_sends_the_credential_to_the_source_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let other = Server::start(|_| Reply::new(200, r#"[{"id":2}]"#));
    let link = other.origin();
    let server = Server::start(move |_| Reply::new(200, r#"[{"id":1}]"#).next(&link));
    let environment = [
        ("SOURCE_API_URL", &*server.origin()),
        ("SOURCE_API_KEY", "open-sesame"),
        ("SOURCE_PAGINATION", "link"),
        ("ALLOW_HOSTS", &*other.origin()),
    ];

    let ended = run(folder.path(), &environment);

    assert!(ended.ok, "{}", ended.log);
    assert_eq!(other.seen()[0].header("authorization"), None);
}

#[test]
fn alone_it_says_what_is_wrong_with_its_settings() {
    let folder = tempfile::tempdir().unwrap();

    let without = run(folder.path(), &[]);
    let with = run(
        folder.path(),
        &[
            ("SOURCE_API_URL", "http://127.0.0.1:9/"),
            ("MAX_PAGES", "none"),
        ],
    );

    assert!(
        !without.ok && without.log.contains("SOURCE_API_URL"),
        "{}",
        without.log
    );
    assert!(!with.ok && with.log.contains("MAX_PAGES"), "{}", with.log);
    assert_eq!(files(folder.path()), []);
}

#[test]
fn alone_it_publishes_the_records_that_the_host_publishes() {
    let folder = tempfile::tempdir().unwrap();
    let body = r#"[ {"id" : 1.0, "deep":[1, {"a":"b c"}]},
        {"id":123456789012345678901234567890,"text":"é\u0000\n"} ]"#;
    let server = Server::start(move |_| Reply::new(200, body));

    let alone = run(folder.path(), &[("SOURCE_API_URL", &server.origin())]);
    let hosted = Job::new()
        .set("OUTPUT_FORMAT", "ndjson")
        .page(200, body)
        .run();

    assert!(alone.ok, "{}", alone.log);
    hosted.exits(Outcome::Published);
    assert_eq!(
        hosted.after.file("latest.ndjson"),
        Some(files(folder.path())[0].1.as_str())
    );
    assert_eq!(
        hosted.manifest()["files"]["latest.ndjson"]["records"],
        json!(2)
    );
}

#[test]
fn alone_it_waits_for_an_export() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Server::start(|_| Reply::new(200, TWO));
    let done = json!({"state": "ready", "url": storage.origin()}).to_string();
    let server = Server::start(move |request| match request.path() {
        "/jobs" => Reply::new(202, "").header("location", "/jobs/1"),
        _ => Reply::new(200, done.clone()),
    });
    let url = format!("{}/jobs", server.origin());
    let environment = [
        ("SOURCE_API_URL", &*server.origin()),
        ("SOURCE_API_KEY", "open-sesame"),
        ("SOURCE_EXPORT_URL", &url),
        ("SOURCE_EXPORT_ID", "header:Location"),
        ("SOURCE_EXPORT_STATUS", "/state"),
        ("SOURCE_EXPORT_RESULT", "/url"),
        ("SOURCE_EXPORT_EVERY", "10ms"),
        ("ALLOW_HOSTS", &*storage.origin()),
    ];

    let ended = run(folder.path(), &environment);

    assert!(ended.ok, "{}", ended.log);
    assert_eq!(files(folder.path())[0].1, TWO_LINES);
    assert_eq!(storage.seen()[0].header("authorization"), None);
    assert!(server.seen()[1].header("authorization").is_some());
}
