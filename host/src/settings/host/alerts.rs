//! Who hears how runs end, as far as the settings can be understood.

use url::Url;

use crate::secret::Secret;
use crate::settings::alerts::{AlertFormat, AlertPlan, PAGERDUTY_URL};
use crate::settings::catalogue::{
    ALERT_AFTER, ALERT_COMMAND, ALERT_FORMAT, ALERT_KEY, ALERT_PRIVATE_NETWORKS, ALERT_REPEAT,
    ALERT_URL, COMMAND_ENVIRONMENT, PING_URL,
};

use super::Reader;

/// Reads them. What has no effect is a problem.
pub(super) fn read(read: &mut Reader<'_>) -> AlertPlan {
    let inputs = read.inputs;
    let format = read.value(&ALERT_FORMAT);
    let has_url = inputs.is_given(&ALERT_URL.row);
    let default = (format == AlertFormat::PagerDuty && !has_url).then_some(PAGERDUTY_URL);
    let is_asked = [
        &ALERT_URL.row,
        &ALERT_FORMAT.row,
        &ALERT_KEY.row,
        &ALERT_COMMAND.row,
        &ALERT_AFTER.row,
        &ALERT_REPEAT.row,
    ];
    let command = read.optional(&ALERT_COMMAND);
    let mut environment = Vec::new();
    if command.is_some() {
        // A list that cannot be read is a problem that is reported where the secrets are read.
        let further = inputs.get(&COMMAND_ENVIRONMENT.row);
        let further = further.and_then(|given| (COMMAND_ENVIRONMENT.parse)(&given.value).ok());
        let always = ["PATH", "HOME"].map(str::to_owned);
        for name in always.into_iter().chain(further.unwrap_or_default()) {
            if let Some(value) = inputs.layers().environment(&name) {
                environment.push((name, Secret::from(value)));
            }
        }
    }
    let no_effect = |name: &str, why: &str| inputs.problem(name, format!("has no effect {why}"));
    if !has_url && default.is_none() {
        for row in [&ALERT_FORMAT.row, &ALERT_KEY.row] {
            if inputs.is_given(row) {
                let why = "without ALERT_URL: set that, or remove this";
                read.problems.push(no_effect(row.name, why));
            }
        }
    } else if !format.takes_key() && inputs.is_given(&ALERT_KEY.row) {
        let why = "with this ALERT_FORMAT, whose secret is ALERT_URL: remove it";
        read.problems.push(no_effect(ALERT_KEY.row.name, why));
    }
    let is_private_given = inputs.is_given(&ALERT_PRIVATE_NETWORKS.row);
    if is_private_given && !has_url && !inputs.is_given(&PING_URL.row) {
        let why = "without ALERT_URL and PING_URL: set one, or remove this";
        read.problems
            .push(no_effect(ALERT_PRIVATE_NETWORKS.row.name, why));
    }
    let url = read.optional(&ALERT_URL).or(default.map(Secret::from));
    let is_root = |url: &Secret| Url::parse(url.expose()).is_ok_and(|url| url.path() == "/");
    if format == AlertFormat::Ntfy && url.as_ref().is_some_and(is_root) {
        let message = "takes the URL of a topic with ALERT_FORMAT=ntfy, `https://ntfy.sh/TOPIC`";
        let problem = inputs.problem(ALERT_URL.row.name, message);
        read.problems.push(problem);
    }
    AlertPlan {
        is_asked: is_asked.into_iter().any(|row| inputs.is_given(row)),
        channels: usize::from(has_url || url.is_some())
            + usize::from(inputs.is_given(&ALERT_COMMAND.row)),
        url,
        format,
        key: read.optional(&ALERT_KEY),
        command,
        environment,
        after: read.value(&ALERT_AFTER),
        repeat: read.value(&ALERT_REPEAT),
        ping: read.optional(&PING_URL),
        private_networks: read.value(&ALERT_PRIVATE_NETWORKS),
    }
}
