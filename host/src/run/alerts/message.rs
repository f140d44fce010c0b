//! What a notice says, and how each service wants it.
//!
//! What a source answered can be in it: it has no secret, no character that steers, nothing that a service reads as markup or as
//! a mention, and no more of it than the service takes.

use serde_json::{Value, json};
use url::Url;

use crate::egress::Notice;
use crate::limits::{NOTICE_TEXT_BYTES_MAX, NOTICE_TITLE_BYTES_MAX, PAGERDUTY_SUMMARY_BYTES_MAX};
use crate::log::Log;
use crate::run::summary::Summary;
use crate::secret::{Secret, in_json, joined, shared};
use crate::settings::alerts::AlertFormat;
use crate::units::counted;
use crate::words;

const JSON: &str = "application/json";

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Runs fail.
    Failing,
    /// The first run that worked after that.
    Recovered,
}

impl Event {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Recovered => "recovered",
        }
    }
}

/// One notice. Its texts are for people.
#[derive(Debug, Clone)]
pub struct Message {
    pub event: Event,
    pub job: String,
    pub title: String,
    pub text: String,
    /// The summary of the run as JSON, with all of this.
    pub summary: String,
    pub exit_code: u8,
    outcome: &'static str,
    finished: String,
    host: String,
    dedup_key: String,
}

impl Message {
    /// Of this run; `error` is its line, if it failed.
    pub fn new(
        event: Event,
        summary: &Summary,
        error: Option<&str>,
        job_id: &str,
        log: &Log,
    ) -> Self {
        let failing = summary.alert.clone().unwrap_or_default();
        let since = match failing.since.get(..16) {
            Some(minute) => format!(" since {} UTC", minute.replace('T', " ")),
            None => String::new(),
        };
        let failures = counted(failing.failures.max(1), "failed run");
        let in_a_row = if failing.failures > 1 {
            format!("{failures} in a row{since}: ")
        } else {
            String::new()
        };
        let shown = |text: &str, most| words::line(&log.hide(text), most);
        let job = shown(&summary.job, NOTICE_TITLE_BYTES_MAX);
        let exit_code = summary.exit_code;
        let (title, text) = match event {
            Event::Failing => (
                format!("{job}: exit {exit_code} ({})", summary.outcome),
                format!("{in_a_row}{}", error.unwrap_or_default()),
            ),
            Event::Recovered => (
                format!("{job}: recovered"),
                format!(
                    "works again after {failures}{since}: {}",
                    summary.sentence()
                ),
            ),
        };
        let text = shown(&text, NOTICE_TEXT_BYTES_MAX);
        let title = words::line(&title, NOTICE_TITLE_BYTES_MAX + 50);
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = words::line(&host, NOTICE_TITLE_BYTES_MAX);
        let mut all = serde_json::to_value(summary).unwrap_or_default();
        all["alert"] = json!({
            "event": event.word(),
            "title": title,
            "text": text,
            "failures": failing.failures,
            "since": failing.since,
            "host": host,
        });
        Self {
            event,
            summary: words::escaped(&log.hide(&all.to_string())),
            exit_code,
            outcome: summary.outcome,
            finished: summary.finished.clone(),
            host,
            dedup_key: format!("tidegate-{job_id}"),
            job,
            title,
            text,
        }
    }

    /// As this service wants it. None: the URL has no place for it.
    pub fn notice(
        &self,
        format: AlertFormat,
        mut url: Url,
        key: Option<&Secret>,
    ) -> Option<Notice> {
        let body = match format {
            AlertFormat::Json => self.summary.clone(),
            AlertFormat::Slack => self.slack().to_string(),
            AlertFormat::Teams => self.teams().to_string(),
            AlertFormat::Ntfy => {
                let topic = url
                    .path_segments()?
                    .rfind(|part| !part.is_empty())?
                    .to_owned();
                url.path_segments_mut().ok()?.pop_if_empty().pop();
                self.ntfy(&topic).to_string()
            }
            AlertFormat::PagerDuty => {
                let rest = words::escaped(&self.pagerduty().to_string());
                let key = in_json(key?.expose());
                let body = joined(&["{\"routing_key\":\"", &key, "\",", &rest[1..]]);
                return Some(Notice {
                    url,
                    kind: JSON,
                    key: None,
                    body: shared(body),
                });
            }
        };
        Some(Notice {
            url,
            kind: JSON,
            key: key.cloned(),
            body: words::escaped(&body).into(),
        })
    }

    /// An incoming webhook (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>): `text`, in which `&`, `<` and
    /// `>` are escaped (<https://docs.slack.dev/messaging/formatting-message-text#escaping>), so that nothing is a link or a mention, and
    /// which is not read as markup. It may have 40,000 characters.
    fn slack(&self) -> Value {
        let text = format!("{}\n{}", self.title, self.text);
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        json!({ "text": text, "mrkdwn": false, "unfurl_links": false, "unfurl_media": false })
    }

    /// A workflow "When a Teams webhook request is received", with an adaptive card
    /// (<https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>). Of the elements of
    /// a card, the runs of a rich text are the ones that are no Markdown (<https://adaptivecards.io/explorer/TextRun.html>). A card
    /// may have 28 KB.
    fn teams(&self) -> Value {
        let block = |text: &str, weight: &str| {
            json!({
                "type": "RichTextBlock",
                "inlines": [{ "type": "TextRun", "text": text, "weight": weight }],
            })
        };
        json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": [block(&self.title, "Bolder"), block(&self.text, "Default")],
                },
            }],
        })
    }

    /// Publishing as JSON (<https://docs.ntfy.sh/publish/#publish-as-json>): to the root, with the topic in it. The message may have
    /// 4,096 bytes, and is not Markdown unless it says so.
    fn ntfy(&self, topic: &str) -> Value {
        let (priority, tag) = match self.event {
            Event::Failing => (4, "rotating_light"),
            Event::Recovered => (3, "white_check_mark"),
        };
        json!({
            "topic": topic,
            "title": self.title,
            "message": self.text,
            "priority": priority,
            "tags": [tag],
        })
    }

    /// The Events API v2 (<https://developer.pagerduty.com/docs/events-api-v2-overview>), but for the routing key: `trigger`, and
    /// `resolve` with the same `dedup_key` of at most 255 characters. The summary may have 1,024 characters.
    fn pagerduty(&self) -> Value {
        if self.event == Event::Recovered {
            return json!({ "event_action": "resolve", "dedup_key": self.dedup_key });
        }
        let summary = format!("{}: {}", self.title, self.text);
        let details: Value = serde_json::from_str(&self.summary).unwrap_or_default();
        let mut details = details.as_object().cloned().unwrap_or_default();
        // Details of the data are not for an incident.
        let told = ["run_id", "message", "records", "generation", "started"];
        details.retain(|name, _| told.contains(&name.as_str()));
        let source = if self.host.is_empty() {
            &self.job
        } else {
            &self.host
        };
        json!({
            "event_action": "trigger",
            "dedup_key": self.dedup_key,
            "client": "tidegate",
            "payload": {
                "summary": words::line(&summary, PAGERDUTY_SUMMARY_BYTES_MAX),
                "source": source,
                "severity": "error",
                "timestamp": self.finished,
                "component": self.job,
                "class": self.outcome,
                "custom_details": details,
            },
        })
    }
}

#[cfg(test)]
mod tests;
