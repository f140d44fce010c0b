//! `OUTBOUND_PROXY`, with tinyproxy as an administrator sets it up: a user, a password, and ports that may be asked for.
//!
//! The credential that must be nowhere (`Job::key`) is the proxy's password in these tests.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::{Door, Reply, tls_file};
use crate::world::Job;

const ONE: &str = r#"[{"id":1}]"#;
/// It is up within this many looks, or never.
const LOOKS_MAX: u32 = 500;

/// The proxy, as long as this lives.
struct Tinyproxy {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Tinyproxy {
    /// For the user `me` with this password. Tunnels lead to this port alone.
    fn start(job: &Job, tunnels_to: u16) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let log = job.file("tinyproxy.log", "");
        let settings = format!(
            "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 30\nMaxClients 20\nLogLevel Connect\nLogFile \"{}\"\n\
             BasicAuth me {}\nConnectPort {tunnels_to}\n",
            log.display(),
            job.key
        );
        let settings = job.file("tinyproxy.conf", &settings);
        // It dies with the thread that started it, which is the test.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "tinyproxy", "-d", "-c"])
            .arg(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("setpriv and tinyproxy: run tests/tools.sh");
        let proxy = Self { child, port, log };
        for _ in 0..LOOKS_MAX {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return proxy;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no proxy: {}", proxy.log());
    }

    fn url(&self, password: &str) -> String {
        format!("http://me:{password}@127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("its log")
    }
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_tunnel_carries_http_2() {
    let job = job(false).over_http2();
    let proxy = Tinyproxy::start(&job, port(&job));
    let url = proxy.url(&job.key);

    let mut job = job.set("OUTBOUND_PROXY", &url);

    job.run().exits(Outcome::Published).asked(1);
    assert!(proxy.log().contains("CONNECT 127.0.0.1"), "{}", proxy.log());
}

/// A job with a source and no credential, over https or not.
fn job(is_https: bool) -> Job {
    let job = Job::new()
        .unset("SOURCE_API_KEY")
        .set("SOURCE_API_URL", "{server}/items")
        .set("MAX_RETRIES", "0")
        .api(|_| Reply::new(200, ONE));
    if !is_https {
        return job;
    }
    job.server.receive_with(|| Door::Tls("server.pem"));
    job.server.names_itself_https();
    job.set("CA_FILE", &tls_file("ca.pem").display().to_string())
}

fn port(job: &Job) -> u16 {
    let origin = job.server.origin();
    let (_, port) = origin.rsplit_once(':').expect("a port");
    port.parse().expect("a number")
}

#[test]
fn a_run_goes_through_the_proxy_over_http_and_over_https() {
    for is_https in [false, true] {
        let job = job(is_https);
        let proxy = Tinyproxy::start(&job, port(&job));
        let url = proxy.url(&job.key);
        let mut job = job.set("OUTBOUND_PROXY", &url);

        let run = job.run();

        run.exits(Outcome::Published)
            .asked(1)
            .publishes(&json!([{"id": 1}]));
        assert_eq!(run.requests[0].header("proxy-authorization"), None);
        assert_eq!(run.requests[0].target, "/items");
        let asked = if is_https {
            format!("CONNECT 127.0.0.1:{} HTTP/1.1", port(&job))
        } else {
            format!("GET {}/items HTTP/1.1", job.server.origin())
        };
        assert!(proxy.log().contains(&asked), "{asked}: {}", proxy.log());
    }
}

#[test]
fn the_password_may_be_in_a_file_and_check_shows_where_the_proxy_is() {
    let job = job(true);
    let proxy = Tinyproxy::start(&job, port(&job));
    let file = job.file("proxy", &format!("{}\n", proxy.url(&job.key)));
    let mut job = job.set("OUTBOUND_PROXY_FILE", &file.display().to_string());

    let checked = job.tidegate(["check", "--online"]);

    checked
        .exits(0)
        .stdout_has(&format!("http://127.0.0.1:{} ", proxy.port))
        .stdout_has("(OUTBOUND_PROXY) looks up the hosts of all requests");
    job.run().exits(Outcome::Published);
    assert_eq!(proxy.log().matches("CONNECT 127.0.0.1").count(), 2);
}

#[test]
fn a_wrong_password_or_none_is_77_over_http_and_over_https() {
    for is_https in [false, true] {
        let job = job(is_https);
        let proxy = Tinyproxy::start(&job, port(&job));
        let named = format!("127.0.0.1:{}` (OUTBOUND_PROXY)", proxy.port);
        let mut job = job.set(
            "OUTBOUND_PROXY",
            &format!("http://127.0.0.1:{}", proxy.port),
        );
        job.run()
            .exits(Outcome::Denied)
            .asked(0)
            .stderr_has(&named)
            .stderr_has("407 Proxy Authentication Required: it needs a user and a password");

        let run = job
            .set("OUTBOUND_PROXY", &proxy.url("another-password"))
            .run();

        // Tinyproxy says 401 then, which over plain http may be the source's as well.
        let says = if is_https {
            "401 Unauthorized: check user and password in OUTBOUND_PROXY"
        } else {
            "answered 401"
        };
        run.exits(Outcome::Denied)
            .asked(0)
            .stderr_has(&named)
            .stderr_has(says);
        assert!(!run.stderr.contains("another-password"));
    }
}

#[test]
fn a_port_that_the_proxy_does_not_open_is_77() {
    let job = job(true);
    let proxy = Tinyproxy::start(&job, 443);
    let url = proxy.url(&job.key);

    let run = job.set("OUTBOUND_PROXY", &url).run();

    run.exits(Outcome::Denied)
        .asked(0)
        .stderr_has("403 Forbidden for `127.0.0.1:")
        .stderr_has("its rules do not allow that host and port");
}

#[test]
fn a_source_that_the_proxy_cannot_reach_is_75_and_so_is_a_proxy_that_is_not_there() {
    let job = job(true);
    let proxy = Tinyproxy::start(&job, 1);
    let url = proxy.url(&job.key);
    let mut job = job
        .set("OUTBOUND_PROXY", &url)
        .set("SOURCE_API_URL", "https://127.0.0.1:1/items");

    job.run()
        .exits(Outcome::TryLater)
        .stderr_has(&format!("the proxy `127.0.0.1:{}`", proxy.port))
        .stderr_has("it answered 50");

    let mut job = job.set("OUTBOUND_PROXY", "http://127.0.0.1:1");
    job.run()
        .exits(Outcome::TryLater)
        .stderr_has("the proxy `127.0.0.1:1` (OUTBOUND_PROXY): Connection refused");
}

#[test]
fn an_error_over_plain_http_may_be_the_proxys_and_the_text_says_so() {
    let job = job(false);
    let proxy = Tinyproxy::start(&job, 1);
    let url = proxy.url(&job.key);

    let run = job
        .set("OUTBOUND_PROXY", &url)
        .api(|_| Reply::new(404, "{}"))
        .run();

    run.exits(Outcome::SourceRefused)
        .stderr_has("answered 404")
        .stderr_has(&format!(
            "or the proxy `127.0.0.1:{}` (OUTBOUND_PROXY) did in its place",
            proxy.port
        ));
}

#[test]
fn a_password_is_no_argument_and_in_no_job_file() {
    let mut job = job(false);
    let url = format!("http://me:{}@127.0.0.1:1", job.key);

    let job_file = job.file(
        "job.toml",
        &format!("[network]\noutbound_proxy = \"{url}\"\n"),
    );
    job.tidegate(["check", &job_file.display().to_string()])
        .exits(78)
        .stdout_has("OUTBOUND_PROXY cannot be understood, or has a password in it");
    job = job.args(["--set", "OUTBOUND_PROXY=http://me:p4ssw0rd@127.0.0.1:1"]);
    job.run()
        .exits(Outcome::Settings)
        .asked(0)
        .stderr_has("OUTBOUND_PROXY has a user or a password in it");
}
