//! Sends an alert to everybody who wants it.

use std::time::Instant;

use serde_json::json;
use url::Url;

use super::message::Message;
use crate::egress::NoticeWay;
use crate::given_file::command;
use crate::limits::Limits;
use crate::log::Log;
use crate::process::watch::aside;
use crate::secret::Secret;
use crate::settings::alerts::AlertPlan;
use crate::settings::catalogue::{ALERT_COMMAND, ALERT_URL};

/// True if and only if everybody took it who can be reached. What went wrong is in the log.
pub async fn alert(
    message: &Message,
    plan: &AlertPlan,
    (way, until): (&NoticeWay, Instant),
    limits: &Limits,
    log: &Log,
) -> bool {
    let by_url = async {
        let url = plan.url.as_ref()?;
        let limit = until.saturating_duration_since(Instant::now());
        let notice = Url::parse(url.expose())
            .ok()
            .and_then(|url| message.notice(plan.format, url, plan.key.as_ref()));
        let sent = match notice {
            Some(notice) => notice.send(way, limit, limits, log).await.map(drop),
            None => Err("ALERT_FORMAT needs more than this URL".to_owned()),
        };
        Some(logged(log, message, ALERT_URL.row.name, &sent))
    };
    let by_command = async {
        let words = plan.command.clone()?;
        let program = words.first().cloned().unwrap_or_default();
        let environment = environment(message, plan);
        let input = message.summary.clone().into_bytes();
        // A thread of its own: those of the runtime may all wait for a resolver.
        let told = aside("alert", move || {
            let environment = environment
                .iter()
                .map(|(name, value)| (name.as_str(), value.expose()));
            let limit = until.saturating_duration_since(Instant::now());
            Ok(command::told(&words, environment, &input, limit))
        });
        let told = told.await.unwrap_or_else(|failure| Err(failure.message));
        let told = told.map_err(|why| format!("`{program}` {why}"));
        Some(logged(log, message, ALERT_COMMAND.row.name, &told))
    };
    let (by_url, by_command) = tokio::join!(by_url, by_command);
    let all = [by_url, by_command];
    all.contains(&Some(true)) && !all.contains(&Some(false))
}

fn environment(message: &Message, plan: &AlertPlan) -> Vec<(String, Secret)> {
    let exit_code = message.exit_code.to_string();
    let own = [
        ("TIDEGATE_EVENT", message.event.word()),
        ("TIDEGATE_JOB", &message.job),
        ("TIDEGATE_EXIT_CODE", &exit_code),
        ("TIDEGATE_TITLE", &message.title),
        ("TIDEGATE_TEXT", &message.text),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), Secret::from(value)));
    plan.environment.iter().cloned().chain(own).collect()
}

fn logged(log: &Log, message: &Message, to: &str, sent: &Result<(), String>) -> bool {
    match sent {
        Ok(()) => log.info(
            "alert sent",
            json!({ "event": message.event.word(), "to": to }),
        ),
        Err(error) => log.warn(
            "alert not sent",
            json!({ "event": message.event.word(), "to": to, "error": error }),
        ),
    }
    sent.is_ok()
}
