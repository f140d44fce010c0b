//! The binary: understands the command line, calls the library, prints one error line, and exits with the code.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use tidegate::cli::{BUILT_IN_POLICY, Cli, Command, New, NewArgs};
use tidegate::commands::fleet;
use tidegate::outcome::{Ended, Outcome};
use tidegate::process::defect;
use tidegate::process::{memory, parent};
use tidegate::sandbox;

fn main() -> ExitCode {
    if sandbox::is_entered(std::env::args_os().nth(1).as_deref()) {
        return ExitCode::from(sandbox::enter());
    }
    memory::close_to_others();
    defect::remember_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let ended = defect::caught_without_values(|| carried_out(cli.command))
        .unwrap_or_else(|failure| Ended::of(Err(failure)));
    if let Some(error) = ended.error_line() {
        // Nobody may be listening: that changes nothing.
        let _ = writeln!(std::io::stderr(), "{}: {error}", our_name());
    }
    ExitCode::from(ended.exit_code)
}

/// Who speaks; in red on a terminal that has colours.
fn our_name() -> &'static str {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if std::io::stderr().is_terminal() && !is_dumb && !is_set("NO_COLOR") {
        "\u{1b}[31mtidegate\u{1b}[0m"
    } else {
        "tidegate"
    }
}

fn carried_out(mut command: Command) -> Ended {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    if let Some(Err(gone)) = command.parent().map(parent::end_with) {
        return Ended::of(Err(gone));
    }
    let under = command.under().map_or(Ok(()), |under| {
        under.complete(BUILT_IN_POLICY, |name| std::env::var_os(name))
    });
    if let Err(why) = under {
        return Ended::failed(Outcome::Usage, why);
    }
    match command {
        Command::Run(args) if !args.fleet.together.is_empty() => {
            fleet::together::run(&args, environment)
        }
        Command::Run(args) => {
            match fleet::several(args.given.job.as_deref(), args.given.resource.as_deref()) {
                Some(folder) => fleet::run::run(&args, folder, environment),
                None if args.fleet.is_given() => Ended::of(Err(fleet::no_folder())),
                None => tidegate::commands::run(&args, environment),
            }
        }
        Command::Check(args) => tidegate::commands::check(&args, environment),
        Command::Preview(args) => tidegate::commands::preview::preview(&args, environment),
        Command::Describe(args) => tidegate::commands::describe(&args, environment),
        Command::Inspect(args) => tidegate::commands::inspect::inspect(&args, environment),
        Command::Compile(args) => tidegate::commands::compile::compile(&args, environment),
        Command::Test(args) => tidegate::commands::test::test(&args, environment),
        Command::Wit(args) => tidegate::commands::wit::wit(&args),
        Command::Convert(args) => tidegate::commands::convert::convert(&args, environment),
        Command::Health(args) => {
            match fleet::several(args.job.as_deref(), args.of.resource.as_deref()) {
                Some(folder) => fleet::health::health(&args, folder),
                None if args.parallel.is_some() => Ended::of(Err(fleet::no_folder())),
                None => tidegate::commands::health(&args, environment),
            }
        }
        Command::Runs(args) => {
            match fleet::several(args.job.as_deref(), args.of.resource.as_deref()) {
                Some(folder) => fleet::runs::runs(&args, folder),
                None => tidegate::commands::runs::runs(&args, environment),
            }
        }
        Command::Report(args) => {
            match fleet::several(args.job.as_deref(), args.of.resource.as_deref()) {
                Some(folder) => fleet::report::report(&args, folder, environment),
                None => tidegate::commands::report::report(&args, environment),
            }
        }
        Command::Diff(args) => tidegate::commands::diff::diff(&args, environment),
        Command::Rollback(args) => tidegate::commands::rollback::rollback(&args, environment),
        Command::Pin(args) => tidegate::commands::pin::pin(&args, environment),
        Command::State(args) => tidegate::commands::state::state(&args, environment),
        Command::Kubernetes(args) => tidegate::commands::kubernetes::kubernetes(&args),
        Command::New(NewArgs {
            what: New::Connector(args),
        }) => tidegate::commands::new::connector(&args),
        Command::Component => tidegate::commands::component(),
        Command::Demo(args) => tidegate::commands::demo::demo(&args, environment),
        Command::Help(args) => tidegate::commands::help::help(&args),
        Command::Completions(args) => tidegate::commands::help::completions(&args),
        Command::Man(args) => tidegate::commands::help::man(&args),
    }
}

/// Help and version go to stdout and are no error; the rest is wrong usage.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(Outcome::Usage.exit_code()),
    }
}
