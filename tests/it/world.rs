//! The world of a test: a source, an output folder, settings, and `tidegate run` in it.
//!
//! Say what the world is, run once, say what it is then. What must hold after every run, whatever it was about, is checked
//! by [`Running::ends`]: see `ended.rs`.

mod database;
mod ended;
mod folder;
pub mod guests;
mod ordinary;
pub mod place;
pub mod postgres;
mod running;
pub mod scripts;

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use self::database::rows;
pub use self::ended::{Printed, Run};
pub use self::folder::{View, hex, names};
pub use self::ordinary::{AS_NOBODY, NOBODY, is_root};
pub use self::place::Place;
pub use self::running::{Begun, Running};
use crate::server::{Door, Reply, Request, Server, tls_file};

/// No run of a test takes longer; one that does is killed and fails its test.
const RUN_TIMEOUT: Duration = Duration::from_mins(2);
/// Answers that were promised and not yet asked for.
type Script = Arc<Mutex<VecDeque<Reply>>>;

/// One job: its source, its settings and its folders. Every `run` is one run of it.
pub struct Job {
    /// The source.
    pub server: Server,
    /// The credential: 32 hex digits that nobody can guess and that must never be seen anywhere.
    pub key: String,
    script: Script,
    settings: BTreeMap<String, String>,
    args: Vec<String>,
    launcher: Vec<String>,
    old: Option<String>,
    place: Place,
    postgres: Option<postgres::Database>,
    folder: TempDir,
}

impl Job {
    /// A job that fetches `/items` of a source that answers nothing yet, into a folder that does not exist yet.
    pub fn new() -> Self {
        // Folders that tests make are to be as a run wants them, whatever the umask of who runs the tests.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let script = Script::default();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut job = Self {
            server: Server::start(scripted(&script)),
            key: random_key(),
            script,
            settings: BTreeMap::new(),
            args: Vec::new(),
            launcher: Vec::new(),
            old: None,
            place: Place::Json,
            postgres: None,
            folder,
        };
        let output = job.output().display().to_string();
        let key = job.key.clone();
        for (name, value) in [
            ("SOURCE_API_URL", "{server}/items"),
            ("SOURCE_API_KEY", &key),
            ("OUTPUT_DIR", &output),
            ("LOG_FORMAT", "json"),
            ("RUN_DEADLINE", "60s"),
            // What a source or a database could not do for a moment is tried again without a wait.
            ("RETRY_PAUSE", "10ms"),
        ] {
            job.settings.insert(name.to_owned(), value.to_owned());
        }
        job
    }

    /// A job with a cursor and a key, so that new and changed records are merged.
    pub fn upsert() -> Self {
        Self::new()
            .set("SOURCE_CURSOR", "/updated")
            .set("SOURCE_CURSOR_TO", "since")
            .set("PRIMARY_KEY", "/id")
    }

    /// A job whose component does what it must not: see `tests/guests`.
    pub fn misbehaving(behaviour: &str) -> Self {
        Self::new()
            .component(guests::misbehaving())
            .set("SOURCE_MISBEHAVIOUR", behaviour)
    }

    /// Whose source speaks HTTP/2 and nothing else.
    pub fn over_http2(self) -> Self {
        self.server.receive_with(|| Door::Http2("server.pem"));
        self.server.names_itself_https();
        let ca = tls_file("ca.pem").display().to_string();
        self.set("CA_FILE", &ca)
    }

    /// With another component than the built-in one; it publishes what it stages. It is granted the settings of this job
    /// that are a component's, unless the job says itself what is granted.
    pub fn component(self, file: &Path) -> Self {
        self.args(["--component", &file.display().to_string()])
            .set("WRITE_MODE", "replace")
    }

    /// The source answers one more request, with this status and JSON body.
    pub fn page(self, status: u16, body: &str) -> Self {
        self.reply(Reply::new(status, body))
    }

    /// The source answers one more request, like this.
    pub fn reply(self, reply: Reply) -> Self {
        self.script.lock().expect("the script").push_back(reply);
        self
    }

    /// The source answers every request with what this returns; nothing scripted is used.
    pub fn api(self, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        self.server.answer_with(answer);
        self
    }

    /// An earlier run published this body; readers have it.
    pub fn old(mut self, body: &str) -> Self {
        self.old = Some(body.to_owned());
        self
    }

    /// Publishes the old data now, and changes the job after that.
    pub fn then(mut self, change: impl FnOnce(Self) -> Self) -> Self {
        if let Some(body) = self.old.take() {
            self.publish_old(&body);
        }
        change(self)
    }

    /// With this setting in the environment. `{server}` stands for the origin of the source.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Without this setting.
    pub fn unset(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// With these arguments after `tidegate run`.
    pub fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.args.extend(args.map(str::to_owned));
        self
    }

    /// Without this among the arguments.
    pub fn without_arg(mut self, arg: &str) -> Self {
        self.args.retain(|known| known != arg);
        self
    }

    /// Whether this is among the arguments.
    fn has_arg(&self, arg: &str) -> bool {
        self.args.iter().any(|known| known == arg)
    }

    /// With this file among the job's own (not in the output folder); gives its path back.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text.replace("{server}", &self.server.origin()))
            .expect("write a file of the job");
        // Every run would warn of one that others may read, if there is a secret in it.
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("close a file of the job");
        path
    }

    /// Started by this shell script, in which `"$@"` is the run itself.
    pub fn launched_by(mut self, script: &str) -> Self {
        self.launcher = ["sh", "-c", script, "sh"].map(str::to_owned).to_vec();
        self
    }

    /// Started by this program, in place of everything said before.
    pub fn launcher(mut self, words: &[&str]) -> Self {
        self.launcher = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// `OUTPUT_DIR`.
    pub fn output(&self) -> PathBuf {
        self.folder.path().join("out").join("orders")
    }

    /// With a SQLite database in OUTPUT_DIR instead of files there.
    pub fn sqlite(self) -> Self {
        let url = format!("sqlite://{}/data.db", self.output().display());
        self.set("OUTPUT_DATABASE_URL", &url)
            .set("JOB_NAME", "orders")
    }

    /// With its data going to this PostgreSQL database, and OUTPUT_DIR for the rest.
    pub fn postgres(self, database: postgres::Database) -> Self {
        let job = database.takes(self).set("JOB_NAME", "orders");
        let output = job.output().display().to_string();
        Self {
            postgres: Some(database),
            ..job.set("OUTPUT_DIR", &output)
        }
    }

    /// Where its data goes, as [`Job::at`] said.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The PostgreSQL database, if the data goes there.
    pub fn server_database(&self) -> Option<&postgres::Database> {
        self.postgres.as_ref()
    }

    /// The file of the SQLite database, if the data goes there.
    pub fn database(&self) -> Option<PathBuf> {
        let url = self.settings.get("OUTPUT_DATABASE_URL")?;
        url.strip_prefix("sqlite://").map(PathBuf::from)
    }

    /// What a query of the database gives, `|` between the values.
    pub fn rows(&self, query: &str) -> Vec<String> {
        rows(&self.database().expect("a database"), query)
    }

    /// A path beside `OUTPUT_DIR`, in the job's own folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What readers see.
    pub fn view(&self) -> View {
        match (&self.postgres, self.database()) {
            (Some(database), _) => database.view(),
            (None, Some(path)) => database::view(&path, &self.output()),
            (None, None) => View::of(&self.output()),
        }
    }

    /// Runs the job to its end and checks what must hold after every run.
    pub fn run(&mut self) -> Run {
        self.start().ends()
    }

    /// Starts a run.
    pub fn start(&mut self) -> Running<'_> {
        if let Some(body) = self.old.take() {
            self.publish_old(&body);
        }
        self.server.forget();
        let before = self.view();
        let mut args = vec!["run".to_owned()];
        args.extend(self.args.iter().cloned());
        let child = self.command(&args).spawn().expect("start tidegate");
        Running {
            job: self,
            child,
            before,
            started: Instant::now(),
        }
    }

    /// Runs `tidegate` with the job's environment and these arguments, to its end.
    pub fn tidegate<const N: usize>(&self, args: [&str; N]) -> Printed {
        self.tidegate_with(&args)
    }

    /// The same with any number of arguments.
    pub fn tidegate_with(&self, args: &[&str]) -> Printed {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let child = self.command(&args).spawn().expect("start tidegate");
        let printed = ended::wait(child, RUN_TIMEOUT);
        printed.shows_nothing_of(&self.key);
        printed.steers_nothing();
        printed
    }

    /// Starts `tidegate` with the job's environment and these arguments.
    pub fn begin<const N: usize>(&self, args: [&str; N]) -> Begun {
        let child = self.command(&args.map(str::to_owned)).spawn();
        Begun::new(child.expect("start tidegate"))
    }

    fn command(&self, args: &[String]) -> Command {
        let program = env!("CARGO_BIN_EXE_tidegate").to_owned();
        let words: Vec<&String> = self.launcher.iter().chain([&program]).chain(args).collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("TIDEGATE_CACHE_DIR", guests::cache())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !self.launcher.is_empty() {
            command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        }
        for (name, value) in &self.settings {
            command.env(name, value.replace("{server}", &self.server.origin()));
        }
        let is_given = self.settings.contains_key("ALLOW_ENVIRONMENT");
        if args.iter().any(|arg| arg == "--component") && !is_given {
            command.env("ALLOW_ENVIRONMENT", self.of_component().join(","));
        }
        command
    }

    /// The settings of this job that are a component's, and no secret.
    fn of_component(&self) -> Vec<&str> {
        let names = self.settings.keys().map(String::as_str);
        let of_component = names.filter(|name| {
            let is_text = matches!(name.trim_end_matches("_FILE"), "TRANSFORM" | "PRIMARY_KEY");
            let is_secret = name.contains("API_KEY") || name.contains("SECRET");
            is_text || (name.starts_with("SOURCE_") && !is_secret)
        });
        of_component.collect()
    }

    /// Has a plain run publish `body` first, through a script of its own.
    fn publish_old(&mut self, body: &str) {
        let later = std::mem::take(&mut *self.script.lock().expect("the script"));
        let launcher = std::mem::take(&mut self.launcher);
        let gates: Vec<_> = ["MIN_RECORDS"]
            .iter()
            .filter_map(|gate| self.settings.remove_entry(*gate))
            .collect();
        let args = std::mem::take(&mut self.args);
        self.script
            .lock()
            .expect("the script")
            .push_back(Reply::new(200, body));
        let run = self.start().ends();
        assert_eq!(
            run.code,
            Some(0),
            "the earlier run must publish: {}",
            run.stderr
        );
        self.settings.extend(gates);
        self.launcher = launcher;
        self.args = args;
        *self.script.lock().expect("the script") = later;
    }
}

/// Answers in the order of the script; after its end with a status that ends every run at once.
fn scripted(script: &Script) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let script = Arc::clone(script);
    move |_| {
        let next = script.lock().expect("the script").pop_front();
        next.unwrap_or_else(|| {
            Reply::new(418, r#"{"error":"the test promised no further answer"}"#)
        })
    }
}

/// 32 hex digits: the standard library seeds its hash maps from the system's random numbers.
fn random_key() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}

/// Whether this machine lets us mount in a namespace of our own; asked once.
pub fn can_mount() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let tried = Command::new("unshare")
            .args(["-Urm", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        tried.is_ok_and(|status| status.success())
    })
}
