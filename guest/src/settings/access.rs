//! Where the source is and how it is asked: the first URL, and the scheme of the credential.

use url::Url;

use super::description::{Setting, optional};
use super::{Given, is_header_name, not_one_of};
use crate::failure::quoted;
use crate::source::{CURSOR, URL_BYTES_MAX, holds_cursor};

impl Given<'_> {
    pub(super) fn url(&mut self) -> Option<Url> {
        const NAME: &str = "SOURCE_API_URL";
        let Some(text) = self.get(NAME) else {
            self.wrong(NAME, "is not set: give the URL of the first request");
            return None;
        };
        let url = self.kept(NAME, source_url(text))?;
        if holds_cursor(&url) && self.get("SOURCE_CURSOR").is_none() {
            self.wrong(
                NAME,
                format!("`{CURSOR}` means nothing without SOURCE_CURSOR"),
            );
        }
        Some(url)
    }

    /// Whether `{cursor}` stands in the query of the URL.
    pub(super) fn url_holds_cursor(&self) -> bool {
        let url = self.get("SOURCE_API_URL").map(Url::parse);
        matches!(url, Some(Ok(url)) if holds_cursor(&url))
    }

    pub(super) fn auth(&mut self) {
        let auth = self.get("SOURCE_AUTH").unwrap_or("bearer");
        match auth {
            // Which of them can be used is for whoever sends the credential to say: this component never does.
            "bearer" | "header" | "query" | "basic" | "oauth2" => {}
            other => self.wrong(
                "SOURCE_AUTH",
                not_one_of(other, &["bearer", "header", "query", "basic", "oauth2"]),
            ),
        }
        match self.get("SOURCE_AUTH_NAME") {
            Some(name) if auth == "header" && !is_header_name(name) => {
                self.wrong(
                    "SOURCE_AUTH_NAME",
                    format!("{} is not a header's name", quoted(name)),
                );
            }
            Some(_) if matches!(auth, "bearer" | "basic" | "oauth2") => {
                self.wrong(
                    "SOURCE_AUTH_NAME",
                    format!("means nothing with SOURCE_AUTH `{auth}`: remove it"),
                );
            }
            _ => {}
        }
    }
}

fn source_url(text: &str) -> Result<Url, String> {
    // The text itself is not shown: its query may hold a credential.
    let mut url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("is a `{}` URL, not http or https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "has a user name in it: give the credential as SOURCE_API_KEY with SOURCE_AUTH `basic`"
                .to_owned(),
        );
    }
    if text.len() > URL_BYTES_MAX {
        return Err(format!("is longer than {URL_BYTES_MAX} bytes"));
    }
    url.set_fragment(None);
    if text.contains(CURSOR) && !holds_cursor(&url) {
        return Err(format!(
            "`{CURSOR}` is replaced in the query only, behind the `?`"
        ));
    }
    Ok(url)
}

/// The settings of this module, as `describe` tells them.
pub(super) fn described() -> Vec<Setting> {
    let api_key = Setting {
        secret: true,
        ..optional(
            "SOURCE_API_KEY",
            "Credential for the source. Without it, requests carry none.",
            "",
            "a-secret-key",
        )
    };
    vec![
        Setting {
            required: true,
            ..optional(
                "SOURCE_API_URL",
                "URL of the first request, query included.",
                "",
                "https://api.example.com/v1/orders?status=open",
            )
        },
        api_key,
        optional(
            "SOURCE_AUTH",
            "How the credential is sent: `bearer`, `header`, `query`, `basic` (`user:password`) or `oauth2` (an access token is fetched).",
            "bearer",
            "header",
        ),
        optional(
            "SOURCE_AUTH_NAME",
            "Name of the header for `header` (default X-API-Key), or of the query parameter for `query` (default api_key).",
            "",
            "X-Auth-Token",
        ),
    ]
}
