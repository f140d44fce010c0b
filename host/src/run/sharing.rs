//! With whom a run shares connections, the token and a rate: with those of its process that are the same client of the same
//! source under the same rules.

use std::time::Duration;

use crate::egress::{Commons, Origin, Sharing};
use crate::hash;
use crate::run::setup::Job;
use crate::settings::catalogue::{
    self, ALLOW_ENVIRONMENT, Group, MAX_RESPONSE_BYTES, SOURCE_API_URL, SOURCE_TIMEOUT,
};
use crate::settings::component_settings::RATE;
use crate::settings::inputs::{Inputs, Origin as From};
use crate::settings::plan::Plan;

/// As whom this run takes part.
pub fn sharing(commons: &Commons, job: &Job, plan: &Plan) -> Sharing {
    let origin = Origin::of(&plan.source);
    let origin = origin.map_or_else(String::new, |origin| origin.to_string());
    Sharing {
        commons: commons.clone(),
        key: key(&origin, &job.inputs),
        pause: pause(
            job.inputs
                .of_component(RATE)
                .map(|given| given.value.as_str()),
        ),
    }
}

/// The origin, and every setting by which the host is a client of it: credential, certificates, proxy, grants, limits of
/// answers. A secret from a file is known by the file: what is in it may change while it is used. One that a program prints is
/// known by itself: two programs of one name may print two.
fn key(origin: &str, inputs: &Inputs) -> String {
    let mut words = vec![origin.to_owned()];
    for row in catalogue::ALL.iter().filter(|row| is_of_client(row)) {
        if let Some(given) = inputs.get(row) {
            let value = match &given.origin {
                From::File(_) | From::Credential(_) => given.origin.to_string(),
                _ => format!("={}", given.value.as_str()),
            };
            words.extend([row.name.to_owned(), value]);
        }
    }
    // Lengths first: no value can be taken for two.
    let words = words.iter().map(|word| format!("{} {word}", word.len()));
    hash::sha256(words.collect::<String>().as_bytes())
}

fn is_of_client(row: &catalogue::Row) -> bool {
    let is = |other: &catalogue::Row| row.name == other.name;
    let is_of_group = matches!(row.group, Group::Source | Group::Auth | Group::Network);
    let is_other = is(&SOURCE_API_URL.row) || is(&ALLOW_ENVIRONMENT.row);
    (is_of_group && !is_other) || is(&SOURCE_TIMEOUT.row) || is(&MAX_RESPONSE_BYTES.row)
}

/// Between the beginnings of two requests at this rate.
fn pause(rate: Option<&str>) -> Duration {
    let rate: Option<f64> = rate.and_then(|rate| rate.parse().ok());
    let rate = rate.filter(|rate| (0.001..=1000.0).contains(rate));
    rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate))
}
