//! `compile`: fills the cache of compiled components, for an image that is built once and run often.
//!
//! It is the cache of a run: the same folder, the same key, the same signature. What the component says of itself is kept too.

use std::fmt::Write as _;
use std::path::Path;

use super::stdout;
use crate::cli::{CompileArgs, GivenArgs};
use crate::component::{Connector, Description, in_words_alone};
use crate::given_file::Holds;
use crate::log::Log;
use crate::outcome::{Ended, Failure, Outcome};
use crate::process::watch::Watch;
use crate::run::setup;
use crate::settings::host::HostPlan;
use crate::units;
use crate::words;

/// Compiles a component into the cache, unless it is there, and prints what it did. `Err`: 77, 78 or 70 as a run with that
/// component; 78 where no cache is named, 73 where it cannot be used, 74 where it cannot be written.
pub fn compile(
    args: &CompileArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Ended {
    let watch = Watch::begin();
    let (inputs, host) = setup::read(&GivenArgs::default(), environment, &watch.stop);
    let redactor = setup::redactor(&inputs, &host);
    let done = watch.block_on(async {
        let compiled = compiled(args.component.as_deref(), &host);
        let text = watch.stop.unless(compiled).await?;
        stdout::print(&redactor.hide(&words::escaped_lines(&text)))
    });
    Ended::hidden(done, &redactor)
}

async fn compiled(file: Option<&Path>, host: &HostPlan) -> Result<String, Failure> {
    if !host.problems.is_empty() {
        return Err(setup::refusal(&host.problems));
    }
    let limits = &host.limits;
    let cache_dir = host.cache_dir.as_deref().ok_or_else(|| {
        let why = "no cache is named, and nothing would be kept; set TIDEGATE_CACHE_DIR";
        Failure::new(Outcome::Settings, why)
    })?;
    let bytes = match file {
        None => setup::BUILT_IN.to_vec(),
        Some(path) => setup::read_component(path, Holds::Trusted, limits)?,
    };
    let size = bytes.len();
    let connector = Connector::warm(bytes, cache_dir, limits).await?;
    let log = Log::silent();
    let description = in_words_alone(connector.describe(log.clone(), limits).await, &log)?;
    let shown = file.map_or("the built-in component".to_owned(), |path| {
        format!("`{}`", path.display())
    });
    Ok(text(&shown, size, &connector, &description, cache_dir))
}

fn text(
    shown: &str,
    size: usize,
    connector: &Connector,
    description: &Description,
    cache_dir: &Path,
) -> String {
    let mut out = match connector.compiling {
        Some(took) => format!(
            "compiled {shown} in {:.1}s ({:.1}s of CPU time)\n",
            took.wall.as_secs_f64(),
            took.cpu.as_secs_f64()
        ),
        None => format!("{shown} is compiled already\n"),
    };
    let bytes = |bytes: usize| units::counted_in_thousands(bytes as u64, "byte");
    let Description { name, version, .. } = description;
    let _ = writeln!(out, "name      {name} {version}");
    let _ = writeln!(out, "sha256    {}", connector.sha256);
    let _ = writeln!(out, "size      {}", bytes(size));
    let _ = writeln!(out, "compiled  {}", bytes(connector.compiled_bytes()));
    let _ = writeln!(out, "cache     {}", cache_dir.display());
    out
}
