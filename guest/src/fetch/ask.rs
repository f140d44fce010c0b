//! One request for a page: its URL, and the body that makes it a POST.

use url::Url;

use super::address::{shown, with_parameter};

/// One request for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Where to.
    pub url: Url,
    /// JSON text that is posted; `None`: a GET.
    pub body: Option<String>,
}

impl Ask {
    /// A GET of `url`.
    pub fn get(url: Url) -> Self {
        Self { url, body: None }
    }

    /// The same request with the query parameter `name` set to `value`.
    #[must_use]
    pub fn with_parameter(&self, name: &str, value: &str) -> Self {
        Self {
            url: with_parameter(&self.url, name, value),
            body: self.body.clone(),
        }
    }

    /// The same request to another URL.
    #[must_use]
    pub fn at(&self, url: Url) -> Self {
        Self {
            url,
            body: self.body.clone(),
        }
    }

    /// `scheme://host/path`: what messages show.
    pub fn shown(&self) -> String {
        shown(&self.url)
    }
}
