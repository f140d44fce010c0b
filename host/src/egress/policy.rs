//! What may be asked for: origins that the operator named, three methods, and addresses that a name may lead to.
//!
//! Nothing is granted by default. Origins are compared after the URL standard's normalisation, so that `0x7f.1` is
//! `127.0.0.1` and `EXAMPLE.org:443` is `example.org`. Dialing is `connect`'s job, and it asks here again.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::{Method, Uri};
use url::{Host, Url};

use super::EgressError;
use super::address::{Reach, reach};
use super::ceiling::Ceiling;
use super::proxy::Proxy;
use crate::limits::HOST_NAME_BYTES_MAX;

/// A scheme (http or https), a host and a port, normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    https: bool,
    host: Host<String>,
    port: u16,
}

impl Origin {
    /// One entry of `ALLOW_HOSTS`: `scheme://host[:port]`, or a bare host, which means https on 443.
    ///
    /// `Err` completes a sentence that begins with the setting's name.
    pub fn parse_grant(entry: &str) -> Result<Self, String> {
        let bad = |why: &str| {
            format!("has `{entry}`, {why}; write `https://host`, `https://host:8443` or `host`")
        };
        let url = if entry.contains("://") {
            Url::parse(entry)
        } else if entry.contains(['/', '@', '?', '#'])
            || (entry.contains(':') && !entry.starts_with('['))
        {
            return Err(bad("which is neither an origin nor a bare host"));
        } else {
            Url::parse(&format!("https://{entry}"))
        };
        let url = url.map_err(|error| bad(&format!("which is no origin ({error})")))?;
        // The username could be a credential pasted by mistake: this text does not repeat the entry.
        if !url.username().is_empty() || url.password().is_some() {
            return Err("has an entry with a user in it; write `https://host` without".to_owned());
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(bad("which has more than scheme, host and port"));
        }
        let origin = Self::of(&url).ok_or_else(|| bad("which is neither http nor https"))?;
        if origin.host.to_string().contains('*') {
            return Err(bad("and wildcards are not supported"));
        }
        Ok(origin)
    }

    /// The origin of an http or https URL; `None` for any other.
    pub fn of(url: &Url) -> Option<Self> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Self {
            https,
            host: url.host()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }

    /// The origin that a request asks for; one with a user in it, or another scheme, is denied.
    pub(super) fn asked_for(uri: &Uri) -> Result<Self, EgressError> {
        let denied = |what: &str| {
            Err(EgressError::Denied {
                message: format!("no request was sent: its URL {what}"),
            })
        };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return denied("is not absolute");
        };
        if authority.as_str().contains('@') {
            return denied("has a user or password in it");
        }
        let Ok(url) = Url::parse(&format!("{scheme}://{authority}/")) else {
            return denied("has no valid host");
        };
        if url
            .host_str()
            .is_none_or(|host| host.len() > HOST_NAME_BYTES_MAX)
        {
            return denied("has no valid host");
        }
        Self::of(&url).map_or_else(|| denied("is neither http nor https"), Ok)
    }

    /// True if and only if it is dialed with TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// True if and only if it is this machine by its own word: `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == LOCALHOST,
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        }
    }

    /// True if and only if the other is a name below this one, by the same scheme and port.
    pub(super) fn is_above(&self, other: &Self) -> bool {
        let (Host::Domain(above), Host::Domain(name)) = (&self.host, &other.host) else {
            return false;
        };
        let is_below = name
            .strip_suffix(above.as_str())
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
        is_below && self.https == other.https && self.port == other.port
    }

    /// The port, the scheme's own when none was given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host as a name to look up, or the addresses that it states itself.
    pub(super) fn name_or_addresses(&self) -> Result<&str, Vec<IpAddr>> {
        match &self.host {
            // RFC 6761: this name is this machine, whatever a resolver says.
            Host::Domain(name) if name == LOCALHOST => {
                Err(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
            }
            Host::Domain(name) => Ok(name),
            Host::Ipv4(address) => Err(vec![(*address).into()]),
            Host::Ipv6(address) => Err(vec![(*address).into()]),
        }
    }

    /// `host` or `host:port`, as a `Host` header has it.
    pub(super) fn authority(&self) -> String {
        if self.port == if self.https { 443 } else { 80 } {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The host, an IPv6 address in brackets.
    pub fn host(&self) -> String {
        self.host.to_string()
    }

    /// `host:port`.
    pub(super) fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// `http` or `https`.
    pub(super) fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

/// A component chooses the method, and a log line should stay one.
const METHOD_CHARS_SHOWN: usize = 32;
const LOCALHOST: &str = "localhost";

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority())
    }
}

/// What one run may ask for.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The origin of `SOURCE_API_URL`: the only one that gets the credential.
    pub source: Option<Origin>,
    /// `ALLOW_HOSTS`.
    pub allow_hosts: Vec<Origin>,
    /// `ALLOW_PRIVATE_NETWORKS`.
    pub allow_private_networks: bool,
    /// What the operator allows at most; none: no policy is in force.
    pub ceiling: Option<Arc<Ceiling>>,
    /// `OUTBOUND_PROXY`: all of it goes through there.
    pub proxy: Option<Proxy>,
    /// `SOURCE_COOKIES`: the source gets back what it sets.
    pub cookies: bool,
}

impl Policy {
    /// True if and only if some granted origin is dialed with TLS.
    pub(super) fn needs_tls(&self) -> bool {
        self.granted().any(Origin::is_https)
    }

    /// `Ok`: a request by this method to this path of this origin is granted, once its address is.
    pub(super) fn check_request(
        &self,
        method: &Method,
        origin: &Origin,
        path: &str,
    ) -> Result<(), EgressError> {
        if ![Method::GET, Method::HEAD, Method::POST].contains(method) {
            let method: String = method.as_str().chars().take(METHOD_CHARS_SHOWN).collect();
            let message = format!(
                "no request was sent to `{origin}`: method `{method}` is not one of GET, HEAD, POST"
            );
            return Err(EgressError::Denied { message });
        }
        self.check_origin(origin)?;
        match &self.ceiling {
            Some(ceiling) => ceiling.check(method, origin, path),
            None => Ok(()),
        }
    }

    /// True if and only if others on the network can read a request to `origin`. What a proxy calls by the name of this machine is
    /// another one, unless the proxy is here too.
    pub(super) fn is_plain_on_the_network(&self, origin: &Origin) -> bool {
        let is_proxy_here = |proxy: &Proxy| proxy.origin().is_loopback();
        let is_here = origin.is_loopback() && self.proxy.as_ref().is_none_or(is_proxy_here);
        !origin.is_https() && !is_here
    }

    /// The operator's policy, where one is in force.
    pub(super) fn by(&self) -> Option<String> {
        self.ceiling.as_ref().map(|ceiling| ceiling.by.clone())
    }

    /// `Ok`: this origin is the source's or in `ALLOW_HOSTS`.
    pub(super) fn check_origin(&self, origin: &Origin) -> Result<(), EgressError> {
        if self.granted().any(|granted| granted == origin) {
            return Ok(());
        }
        let allowed: Vec<String> = self
            .granted()
            .map(|granted| format!("`{granted}`"))
            .collect();
        let allowed = if allowed.is_empty() {
            "none".to_owned()
        } else {
            allowed.join(", ")
        };
        let message =
            format!("no request was sent to `{origin}`: not in `ALLOW_HOSTS` (allowed: {allowed})");
        Err(EgressError::Denied { message })
    }

    /// Those of `addresses` that `name` of the proxy or of a granted origin may lead to, in their order; denied when none is
    /// left.
    pub(super) fn check_addresses(
        &self,
        name: &str,
        addresses: &[IpAddr],
    ) -> Result<Vec<IpAddr>, EgressError> {
        let is_open = |proxy: &Proxy| proxy.may_be_private();
        let may_be_private =
            self.allow_private_networks || self.proxy.as_ref().is_some_and(is_open);
        let granted = |address: &IpAddr| match reach(*address) {
            Reach::Public => true,
            Reach::Private(_) => may_be_private,
            Reach::Special(_) => false,
        };
        let left: Vec<IpAddr> = addresses.iter().copied().filter(granted).collect();
        let Some(first) = addresses.first().filter(|_| left.is_empty()) else {
            return Ok(left);
        };
        let (place, cure) = match reach(*first) {
            Reach::Private(place) => (place, "`ALLOW_PRIVATE_NETWORKS` is not set"),
            Reach::Special(place) => (place, "no setting allows that for a name"),
            Reach::Public => unreachable!("a public address is granted"),
        };
        let message = format!(
            "no connection was made to `{name}`: its address `{first}` is {place}, and {cure}"
        );
        Err(EgressError::Denied { message })
    }

    fn granted(&self) -> impl Iterator<Item = &Origin> {
        self.source.iter().chain(&self.allow_hosts)
    }
}

#[cfg(test)]
mod tests;
