//! PostgreSQL: one real server, started once, in a temporary folder, and gone with this process however that ends.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::{Job, View, database};

mod pool;
mod standby;

pub use self::pool::Pool;

/// Its stdin is ours: when we are gone, so is what it began.
const WATCHDOG: &str = r#"trap '' INT TERM HUP
"$@" >"$FOLDER/log" 2>&1 &
server=$!
read -r _
kill -"$SIGNAL" $server
wait $server
rm -rf "$FOLDER""#;
/// The password of the role `etl`: nothing of it may be seen anywhere.
pub const PASSWORD: &str = "q8/Zr+4w 7Xe%e9";
/// Looks for the server to be there.
const LOOKS_MAX: u32 = 600;

/// The server.
pub struct Server {
    folder: PathBuf,
    bin: PathBuf,
    pub port: u16,
    _watchdog: Child,
}

/// A database of one test.
#[derive(Clone)]
pub struct Database {
    pub name: String,
}

/// The one server.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tidegate-pg-").tempdir();
        let folder = folder.expect("a temporary folder").keep();
        let bin = bin();
        let (path, data) = (folder.display().to_string(), folder.join("data"));
        if is_root() {
            ran(Command::new("chown").args(["nobody", &path]));
        }
        let data_path = data.display().to_string();
        ran(&mut as_nobody(
            &bin.join("initdb"),
            &[
                "-D",
                &data_path,
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
            ],
        ));
        let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/tls");
        for name in ["server.pem", "server.key"] {
            let to = data.join(name);
            std::fs::copy(tls.join(name), &to).expect("copy a certificate");
            ran(Command::new("chmod").arg("600").arg(&to));
            if is_root() {
                ran(Command::new("chown").arg("nobody").arg(&to));
            }
        }
        let hba = "local all,replication all trust\nhostnossl plain all all reject\nhost all all 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(data.join("pg_hba.conf"), hba).expect("write who may come in");
        let port = free_port();
        let server = listening(&bin, &folder, port);
        let watchdog = watched(&folder, &server, "QUIT");
        let started = Self {
            folder,
            bin,
            port,
            _watchdog: watchdog,
        };
        started.is_up();
        started.sql(
            "postgres",
            &format!("CREATE ROLE etl LOGIN PASSWORD '{PASSWORD}'"),
        );
        started
    }

    fn is_up(&self) {
        for _ in 0..LOOKS_MAX {
            if self
                .psql("postgres", "SELECT 1")
                .status()
                .is_ok_and(|status| status.success())
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no server: {}", self.log());
    }

    fn psql(&self, database: &str, sql: &str) -> Command {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args([
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-h",
        ])
        .arg(&self.folder)
        .args(["-p", &self.port.to_string(), "-d", database, "-c", sql])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
        psql
    }

    /// What a statement of the superuser answers: columns with `|` between, a row a line.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = self.psql(database, sql);
        let ended = psql
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .expect("start psql");
        assert!(
            ended.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&ended.stderr)
        );
        String::from_utf8_lossy(&ended.stdout).trim_end().to_owned()
    }

    /// The folder of its socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A new, empty database that the role `etl` may do everything in.
    pub fn database(&self) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER etl"));
        Database { name }
    }
}

/// Keys as tidegate sorts them: integers of any size, then strings.
const IN_ORDER: &str = "jsonb_typeof(to_jsonb(KEY)) = 'string', \
    CASE jsonb_typeof(to_jsonb(KEY)) WHEN 'number' THEN to_jsonb(KEY)::numeric END, \
    to_jsonb(KEY) #>> '{}' COLLATE \"C\"";

impl Database {
    /// What readers of the job `orders` see: one statement sees one commit.
    pub fn view(&self) -> View {
        let there = self.sql(
            "SELECT to_regclass('tidegate_state') IS NOT NULL, to_regclass('orders') IS NOT NULL",
        );
        if there != "t|t" {
            if there == "t|f" {
                assert_eq!(
                    self.sql("SELECT job FROM tidegate_state"),
                    "",
                    "state without a table"
                );
            }
            return View::default();
        }
        if self.sql("SELECT to_regclass('tidegate_history') IS NOT NULL AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('orders_history') AND attname = '_to_generation')") == "t" {
            let generations = self.sql(&database::GENERATIONS.replace("h.manifest", "h.manifest::jsonb::text"));
            let generations: Vec<String> = generations.lines().map(str::to_owned).collect();
            database::is_consistent(&generations);
        }
        let keys = self.sql(
            "SELECT quote_ident(a.attname) FROM pg_constraint c, unnest(c.conkey) WITH ORDINALITY k(number, at), pg_attribute a \
             WHERE c.conrelid = 'orders'::regclass AND c.contype = 'p' AND a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.at",
        );
        let order: Vec<String> = keys
            .lines()
            .map(|key| IN_ORDER.replace("KEY", key))
            .collect();
        // Rows without a key were inserted in their order, and never again touched.
        let order = if order.is_empty() {
            "ctid".to_owned()
        } else {
            order.join(", ")
        };
        let seen = self.sql(&format!(
            "SELECT json_build_object('rows', (SELECT coalesce(json_agg(data::text ORDER BY {order}), '[]') FROM orders), \
             'manifest', (SELECT manifest FROM tidegate_state WHERE job = 'orders'), \
             'state', (SELECT generation || ' ' || state FROM tidegate_state WHERE job = 'orders'))"
        ));
        let seen: Value = serde_json::from_str(&seen).expect("JSON");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let rows: Vec<String> = seen["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .filter_map(text)
            .collect();
        let (Some(manifest), Some(state)) = (text(&seen["manifest"]), text(&seen["state"])) else {
            assert_eq!(rows, [""; 0], "rows without a commit");
            return View::default();
        };
        database::committed(&manifest, &state, &rows)
    }

    /// Waits until nothing of a run that is gone goes on at the server.
    pub fn is_left_alone(&self) {
        let sessions = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND application_name LIKE 'tidegate%'",
            self.name
        );
        for _ in 0..LOOKS_MAX {
            if server().sql("postgres", &sessions) == "0" {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} still has sessions", self.name);
    }

    /// Keeps what it holds now, for [`Database::begins_again`].
    pub fn is_kept(&self) {
        copy(&self.name, &self.kept());
    }

    /// Holds what it held when it was kept, and nothing else.
    pub fn begins_again(&self) {
        copy(&self.kept(), &self.name);
    }

    fn kept(&self) -> String {
        format!("{}_kept", self.name)
    }

    /// What a statement answers.
    pub fn sql(&self, sql: &str) -> String {
        server().sql(&self.name, sql)
    }

    /// Its URL for the role `etl`, without a password, by way of this port.
    pub fn url(&self, port: u16) -> String {
        format!("postgres://etl@127.0.0.1:{port}/{}", self.name)
    }

    /// The job, with its data going here.
    pub fn takes(&self, job: Job) -> Job {
        job.unset("OUTPUT_DIR")
            .set("OUTPUT_DATABASE_URL", &self.url(server().port))
            .set("OUTPUT_DATABASE_PASSWORD", PASSWORD)
            .set("OUTPUT_TABLE", "orders")
    }

    /// The generation in the state row of `orders`, and that of the newest row of the table.
    pub fn generation(&self) -> String {
        if self.sql("SELECT to_regclass('tidegate_state') IS NULL") == "t" {
            return String::new();
        }
        self.sql("SELECT generation FROM tidegate_state WHERE job = 'orders'")
    }
}

/// Makes one database what another one is.
fn copy(from: &str, to: &str) {
    for sql in [
        format!("DROP DATABASE IF EXISTS {to} WITH (FORCE)"),
        format!("CREATE DATABASE {to} OWNER etl TEMPLATE {from}"),
    ] {
        server().sql("postgres", &sql);
    }
}

/// The server of the data in `folder`.
fn listening(bin: &Path, folder: &Path, port: u16) -> Command {
    let (data, folder) = (folder.join("data"), folder.display());
    let mut args = vec!["-D".to_owned(), data.display().to_string()];
    for setting in [
        &format!("port={port}"),
        &format!("unix_socket_directories={folder}"),
        "listen_addresses=127.0.0.1",
        "max_connections=60",
        "ssl=on",
        "ssl_cert_file=server.pem",
        "ssl_key_file=server.key",
        "shared_buffers=64MB",
        "log_statement=all",
        "log_connections=on",
        // It is never killed before its tests have ended, and databases are copied in milliseconds.
        "fsync=off",
    ] {
        args.extend(["-c".to_owned(), setting.to_owned()]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    as_nobody(&bin.join("postgres"), &args)
}

/// Starts it. By this signal it ends, and its folder goes, with this process or when what is returned is dropped.
fn watched(folder: &Path, server: &Command, signal: &str) -> Child {
    let watchdog = Command::new("sh")
        .args(["-c", WATCHDOG, "sh"])
        .arg(server.get_program())
        .args(server.get_args())
        .env("FOLDER", folder)
        .env("SIGNAL", signal)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn();
    watchdog.expect("start the server")
}

/// The binaries of the newest version that is installed.
fn bin() -> PathBuf {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL: run tests/tools.sh");
    let newest = versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .max();
    newest.expect("PostgreSQL: run tests/tools.sh")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The server refuses to run as root.
fn as_nobody(program: &Path, args: &[&str]) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(args).current_dir("/");
    command
}

fn ran(command: &mut Command) {
    let ended = command.output().expect("start a program");
    assert!(
        ended.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").port()
}
