//! Who hears how runs end, and when: `ALERT_…` and `PING_URL`.

use std::time::Duration;

use url::Url;

use crate::egress::may_be_noticed;
use crate::secret::Secret;
use crate::settings::catalogue::PAGERDUTY;
use crate::settings::parse;
use crate::units;

/// Where PagerDuty takes events: <https://developer.pagerduty.com/docs/send-alert-event>.
pub const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// Who hears how runs end, and when. A secret of it is hidden in all texts.
#[derive(Debug, Clone)]
pub struct AlertPlan {
    /// Whether any of the settings for alerts is given. Without one, nothing is counted, and each failed run writes its line.
    pub is_asked: bool,
    /// How many of `ALERT_URL` and `ALERT_COMMAND` are given, usable or not.
    pub channels: usize,
    /// `ALERT_URL`, or the one that belongs to `ALERT_FORMAT`.
    pub url: Option<Secret>,
    /// `ALERT_FORMAT`.
    pub format: AlertFormat,
    /// `ALERT_KEY`.
    pub key: Option<Secret>,
    /// `ALERT_COMMAND`: the program and its arguments.
    pub command: Option<Vec<String>>,
    /// What that finds in its environment, besides what says how the run ended.
    pub environment: Vec<(String, Secret)>,
    /// `ALERT_AFTER`.
    pub after: After,
    /// `ALERT_REPEAT`.
    pub repeat: Duration,
    /// `PING_URL`.
    pub ping: Option<Secret>,
    /// `ALERT_PRIVATE_NETWORKS`.
    pub private_networks: bool,
}

/// `ALERT_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertFormat {
    /// The summary of the run.
    Json,
    /// An incoming webhook of Slack.
    Slack,
    /// A workflow of Microsoft Teams.
    Teams,
    /// A topic of ntfy.
    Ntfy,
    /// The Events API of PagerDuty.
    PagerDuty,
}

impl AlertFormat {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "slack" => Ok(Self::Slack),
            "teams" => Ok(Self::Teams),
            "ntfy" => Ok(Self::Ntfy),
            PAGERDUTY => Ok(Self::PagerDuty),
            _ => Err("takes `json`, `slack`, `teams`, `ntfy` or `pagerduty`".to_owned()),
        }
    }

    /// Whether it has a key besides the URL.
    pub fn takes_key(self) -> bool {
        !matches!(self, Self::Slack | Self::Teams)
    }
}

/// `ALERT_AFTER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// So many failed runs in a row.
    Failures(u64),
    /// So long from the beginning of the first one that failed.
    Time(Duration),
}

impl After {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(failures @ 1..) = text.parse() {
            return Ok(Self::Failures(failures));
        }
        units::duration(text).map(Self::Time).map_err(|_| {
            "takes a number of failed runs from 1 (`3`), or a time (`30m`, `2h`)".to_owned()
        })
    }
}

/// `ALERT_URL` and `PING_URL`. What is wrong with one is said without any of it.
pub fn notice_url(text: &str) -> Result<Secret, String> {
    let url = Url::parse(text).map_err(|_| "takes an absolute URL, such as `https://…`")?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("takes a URL without a user, a password or a `#`".to_owned());
    }
    may_be_noticed(&url)?;
    parse::secret(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_or_measured() {
        assert_eq!(After::parse("3"), Ok(After::Failures(3)));
        assert_eq!(
            After::parse("30m"),
            Ok(After::Time(Duration::from_mins(30)))
        );
        for wrong in ["", "0", "0m", "-1", "1.5", "30 m", "often"] {
            assert!(After::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_url_is_https_or_leads_nowhere_else() {
        for right in [
            "https://hooks.example.com/a?b=c",
            "http://localhost:8000/ping/x",
            "http://127.0.0.1/x",
            "http://[::1]:1/x",
            "http://10.0.0.7:8000/x",
        ] {
            assert!(notice_url(right).is_ok(), "{right}");
        }
        for wrong in [
            "http://hooks.example.com/a",
            "http://9.9.9.9/a",
            "http://169.254.169.254/latest",
            "ftp://hooks.example.com/a",
            "https://user:secret-1@hooks.example.com/a",
            "https://hooks.example.com/secret-1#x",
            "secret-1",
        ] {
            let refused = notice_url(wrong).unwrap_err();
            assert!(!refused.contains("secret-1"), "{refused}");
        }
    }
}
