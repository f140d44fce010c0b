use std::time::Duration;

use jiff::Timestamp;
use serde_json::Map;

use super::*;
use crate::log::Format;
use crate::outcome::{Failure, Outcome};
use crate::run::alerts::Failing;
use crate::secret::Redactor;

/// What a hostile source has in its error.
const HOSTILE: &str =
    "<!channel> & <https://evil.example|click> *bold* [a](b) s3cret-token \u{1b}[31m\u{202e}";

fn message(event: Event, error: &str) -> Message {
    let redactor = Redactor::new([Secret::from("s3cret-token")]);
    let log = Log::new(Format::Silent, Map::new(), redactor);
    let mut summary = Summary::begin("r".into(), "orders".into(), Timestamp::UNIX_EPOCH);
    let result = match event {
        Event::Failing => Err(Failure::new(Outcome::SourceRefused, error)),
        Event::Recovered => Ok(Outcome::Published),
    };
    summary.end(&result, Timestamp::UNIX_EPOCH, Duration::ZERO);
    summary.alert = Some(Failing {
        failures: 3,
        since: "2026-11-28T02:15:07.123Z".to_owned(),
        ..Failing::default()
    });
    Message::new(event, &summary, Some(error), "id", &log)
}

fn sent(format: AlertFormat, event: Event, error: &str) -> (Url, Value) {
    let url = Url::parse("https://x.example/topics/orders?auth=1").unwrap();
    let key = Secret::from("k\"ey");
    let notice = message(event, error).notice(format, url, Some(&key));
    let notice = notice.unwrap();
    let text = std::str::from_utf8(&notice.body).unwrap();
    assert!(!text.contains("s3cret-token"), "{text}");
    assert!(!text.contains(words::steers), "{text}");
    (notice.url, serde_json::from_str(text).unwrap())
}

#[test]
fn a_person_reads_how_often_since_when_and_why() {
    let failing = message(Event::Failing, "`…/items` answered 404");
    assert_eq!(failing.title, "orders: exit 69 (source_refused)");
    assert_eq!(
        failing.text,
        "3 failed runs in a row since 2026-11-28 02:15 UTC: `…/items` answered 404"
    );
    let recovered = message(Event::Recovered, "");
    assert_eq!(recovered.title, "orders: recovered");
    assert!(
        recovered
            .text
            .starts_with("works again after 3 failed runs since 2026-11-28 02:15 UTC: "),
        "{}",
        recovered.text
    );
}

#[test]
fn json_is_the_summary() {
    let (_, body) = sent(AlertFormat::Json, Event::Failing, HOSTILE);

    assert_eq!(body["exit_code"], 69);
    assert_eq!(body["alert"]["event"], "failing");
    assert_eq!(body["alert"]["failures"], 3);
}

#[test]
fn slack_takes_no_markup_and_no_mention() {
    let (_, body) = sent(AlertFormat::Slack, Event::Failing, HOSTILE);

    let text = body["text"].as_str().unwrap();
    assert!(!text.contains(['<', '>']), "{text}");
    assert!(text.contains("&lt;!channel&gt; &amp; "), "{text}");
    assert_eq!(body["mrkdwn"], false);
}

#[test]
fn teams_takes_runs_of_text_that_are_no_markdown() {
    let (_, body) = sent(AlertFormat::Teams, Event::Failing, HOSTILE);

    let card = &body["attachments"][0]["content"];
    for block in card["body"].as_array().unwrap() {
        assert_eq!(block["type"], "RichTextBlock");
        assert_eq!(block["inlines"][0]["type"], "TextRun");
    }
}

#[test]
fn ntfy_gets_the_topic_at_its_root() {
    let (url, body) = sent(AlertFormat::Ntfy, Event::Recovered, "");

    assert_eq!(url.as_str(), "https://x.example/topics?auth=1");
    assert_eq!(body["topic"], "orders");
    assert_eq!(body["tags"][0], "white_check_mark");
}

#[test]
fn pagerduty_resolves_what_was_triggered() {
    let (_, trigger) = sent(AlertFormat::PagerDuty, Event::Failing, &HOSTILE.repeat(100));
    let (_, resolve) = sent(AlertFormat::PagerDuty, Event::Recovered, "");

    assert_eq!(trigger["routing_key"], "k\"ey");
    assert_eq!(trigger["event_action"], "trigger");
    assert_eq!(resolve["event_action"], "resolve");
    assert_eq!(trigger["dedup_key"], resolve["dedup_key"]);
    let summary = trigger["payload"]["summary"].as_str().unwrap();
    assert!((900..=1_024).contains(&summary.len()), "{}", summary.len());
    assert_eq!(trigger["payload"]["severity"], "error");
}

#[test]
fn what_is_too_long_is_cut() {
    let (_, body) = sent(AlertFormat::Ntfy, Event::Failing, &"é".repeat(20_000));

    assert!(body["message"].as_str().unwrap().len() <= 4_096);
    assert!(body["title"].as_str().unwrap().len() <= 250);
}
