//! A component that does what a component must not do: which of it, the setting `SOURCE_MISBEHAVIOUR` says.
//!
//! With `none` it is an honest connector of two records, so that a test can tell a refusal from a component that never
//! worked. What the host makes of each behaviour is asserted in `tests/it`.
#![cfg(target_family = "wasm")]

mod asked;
mod described;
mod filed;
mod hoarded;
mod portioned;
mod said;
mod spent;
mod staged;
mod told;
mod words;

mod bindings {
    #![expect(
        clippy::pedantic,
        reason = "generated; the documentation stands in wit/"
    )]
    wit_bindgen::generate!({
        inline: "
            package tests:guests;
            world misbehaving {
                include tidegate:sync/connector@0.1.0;
                export tidegate:sync/probe@0.1.0;
            }
        ",
        path: "../../../wit",
        world: "tests:guests/misbehaving",
        generate_all,
    });
}

use bindings::exports::tidegate::sync::job::{
    Description, Detail, Extent, Failure, Guest, Problem, Report, Request,
};
use bindings::wasi::cli::environment;

struct Misbehaving;
bindings::export!(Misbehaving with_types_in bindings);

/// What a behaviour ends in.
type Ending = Result<Report, Failure>;

impl Guest for Misbehaving {
    fn describe() -> Description {
        described::describe()
    }

    fn run(request: Request) -> Ending {
        let behaviour = setting("SOURCE_MISBEHAVIOUR");
        words::run(&behaviour, &request)
            .or_else(|| spent::run(&behaviour))
            .or_else(|| portioned::run(&behaviour, &request))
            .or_else(|| staged::run(&behaviour))
            .or_else(|| filed::run(&behaviour))
            .or_else(|| hoarded::run(&behaviour))
            .or_else(|| told::run(&behaviour))
            .or_else(|| said::run(&behaviour))
            .or_else(|| asked::run(&behaviour, &request))
            .unwrap_or_else(|| {
                let message = format!("`{behaviour}` is none of the behaviours in tests/guests");
                Err(Failure::Settings(vec![Problem {
                    setting: "SOURCE_MISBEHAVIOUR".to_owned(),
                    message,
                }]))
            })
    }
}

impl bindings::exports::tidegate::sync::probe::Guest for Misbehaving {
    fn look() -> Result<bindings::exports::tidegate::sync::probe::Sighting, Failure> {
        Ok(words::look())
    }
}

/// The value of a setting; empty when the component was not given it.
fn setting(name: &str) -> String {
    let mut all = environment::get_environment().into_iter();
    all.find(|(known, _)| known == name)
        .map(|(_, value)| value)
        .unwrap_or_default()
}

/// A report that everything there is was staged.
fn everything(staged: u64) -> Report {
    Report {
        extent: Extent::Everything,
        state: r#"{"v":1}"#.to_owned(),
        cursor: None,
        pages: 1,
        fetched: staged,
        staged,
        deleted: 0,
        rejected: 0,
        more: false,
    }
}

fn detail(message: &str) -> Detail {
    Detail {
        message: message.to_owned(),
        status: None,
        retry_after_seconds: None,
    }
}
