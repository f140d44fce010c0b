//! Notices: what the host itself sends to somebody who wants to hear how a run goes, an alert or a ping.
//!
//! They have nothing in common with the source's requests: connections of their own, no credential of the source's, no part of
//! its budgets. The addresses are checked in the same way. A redirect is not followed, and of an answer the status counts.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::time::Instant;
use url::{Host, Position, Url};

use super::address::{Reach, reach};
use super::client::Client;
use super::connect::{Resolve, SystemResolver};
use super::credential::sensitive;
use super::policy::{Origin, Policy};
use super::proxy::Proxy;
use super::tls::{Tls, TlsFiles};
use crate::limits::{Limits, NOTICE_ANSWER_BYTES_MAX, NOTICE_ANSWER_MAX, NOTICES_MAX};
use crate::log::Log;
use crate::secret::{Secret, joined};
use crate::settings::catalogue::{ALERT_PRIVATE_NETWORKS, ALLOW_PRIVATE_NETWORKS, SOURCE_TIMEOUT};

/// What is sent.
pub struct Notice {
    /// Where; it may be a secret.
    pub url: Url,
    /// `Content-Type`.
    pub kind: &'static str,
    /// A token for `Authorization: Bearer`.
    pub key: Option<Secret>,
    pub body: Bytes,
}

/// How it gets there.
#[derive(Debug, Clone)]
pub struct NoticeWay {
    /// `OUTBOUND_PROXY`.
    pub proxy: Option<Proxy>,
    /// `CA_FILE`.
    pub ca: Option<PathBuf>,
    /// `ALERT_PRIVATE_NETWORKS`.
    pub private_networks: bool,
}

/// `Err` completes a sentence that begins with the setting's name: what is sent there could be read on the way.
pub fn may_be_noticed(url: &Url) -> Result<(), String> {
    let Some(origin) = Origin::of(url) else {
        return Err("takes an https URL".to_owned());
    };
    let is_private = |address: IpAddr| matches!(reach(address), Reach::Private(_));
    let is_near = match url.host() {
        Some(Host::Ipv4(address)) => is_private(address.into()),
        Some(Host::Ipv6(address)) => is_private(address.into()),
        _ => false,
    };
    if origin.is_https() || origin.is_loopback() || is_near {
        return Ok(());
    }
    Err("takes an https URL: http is for this machine and for private addresses, such as `http://10.0.0.7:8000/…`".to_owned())
}

impl Notice {
    /// Sends it, once. `Ok`: it was taken (2xx), with the beginning of what was answered. `Err` says why not, within `limit`, and has nothing of the URL but its origin.
    pub async fn send(
        self,
        way: &NoticeWay,
        limit: Duration,
        limits: &Limits,
        log: &Log,
    ) -> Result<Vec<u8>, String> {
        self.send_to(Arc::new(SystemResolver), way, limit, limits, log)
            .await
    }

    async fn send_to(
        self,
        resolver: Arc<dyn Resolve>,
        way: &NoticeWay,
        limit: Duration,
        limits: &Limits,
        log: &Log,
    ) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + limit;
        let origin = Origin::of(&self.url).ok_or("its URL is none of http")?;
        let policy = Policy {
            source: Some(origin.clone()),
            allow_private_networks: way.private_networks,
            proxy: way.proxy.clone(),
            ..Policy::default()
        };
        let is_elsewhere = |proxy: &Proxy| !proxy.origin().is_loopback();
        if !origin.is_https() && way.proxy.as_ref().is_some_and(is_elsewhere) {
            return Err("a proxy would read it, as its URL is http: use https".to_owned());
        }
        let limits = Limits {
            connect_timeout: NOTICES_MAX,
            first_byte_timeout: NOTICES_MAX,
            ..limits.clone()
        };
        let files = TlsFiles {
            ca: way.ca.clone(),
            client: None,
        };
        let tls = Tls::new(origin.is_https(), &files, &limits, log);
        let tls = tls.map_err(|failure| failure.message)?;
        let client = Client::new(Arc::new(policy), resolver, &tls, &limits);
        let request = self.request()?;
        let name = origin.to_string();
        let sent = client.exchange(request, &name, (deadline, NOTICES_MAX));
        let answer = sent.await.map_err(|error| {
            let (theirs, ours) = (&ALLOW_PRIVATE_NETWORKS.row, &ALERT_PRIVATE_NETWORKS.row);
            let text = error.to_string().replace(theirs.name, ours.name);
            // Its limit is none that can be set.
            text.replace(&format!(" ({})", SOURCE_TIMEOUT.row.name), "")
        })?;
        let (head, mut body) = answer.into_parts();
        // So that the server is not cut off while it still writes; what it says is not looked at.
        let patience = deadline.min(Instant::now() + NOTICE_ANSWER_MAX);
        let said = body.beginning(NOTICE_ANSWER_BYTES_MAX, patience).await;
        match head.status {
            status if status.is_success() => Ok(said),
            status if status.is_redirection() => Err(format!(
                "`{origin}` answered {} with a redirect, which is not followed",
                status.as_u16()
            )),
            status => Err(format!(
                "`{origin}` answered {}{}",
                status.as_u16(),
                meaning(status)
            )),
        }
    }

    /// `Err`: the URL or the key is none that HTTP can carry.
    fn request(self) -> Result<Request<Full<Bytes>>, String> {
        let target = &self.url[Position::BeforeHost..Position::AfterQuery];
        let mut request = Request::post(format!("{}://{target}", self.url.scheme()))
            .header(ACCEPT_ENCODING, "identity")
            .header(CONTENT_TYPE, self.kind)
            .header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.key {
            let bearer = sensitive(joined(&["Bearer ", key.expose()]));
            request = request.header(AUTHORIZATION, bearer.ok_or("its key is none for a header")?);
        }
        let request = request.body(Full::new(self.body));
        request.map_err(|_| "its URL cannot be asked".to_owned())
    }
}

/// What a person may do about it.
fn meaning(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => ": check the URL and ALERT_KEY",
        404 | 410 => ": nothing takes notices there any more; check the URL",
        413 => ": it is too large for it",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::io;
    use std::net::Ipv4Addr;
    use std::pin::Pin;

    use super::*;

    /// Every name is this address.
    struct At(Ipv4Addr);

    impl Resolve for At {
        fn resolve(
            &self,
            _: String,
        ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
            let found = vec![self.0.into()];
            Box::pin(async move { Ok(found) })
        }
    }

    /// Why a notice to a name at this address was not sent.
    async fn refused(address: Ipv4Addr, private_networks: bool) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // Whoever is reached says nothing that is TLS.
        drop(listener);
        let notice = Notice {
            url: Url::parse(&format!("https://hooks.example:{port}/secret-path")).unwrap(),
            kind: "text/plain",
            key: None,
            body: Bytes::new(),
        };
        let way = NoticeWay {
            proxy: None,
            ca: None,
            private_networks,
        };
        let (limit, limits) = (Duration::from_secs(10), Limits::default());
        let (resolver, log) = (Arc::new(At(address)), Log::silent());
        let sent = notice.send_to(resolver, &way, limit, &limits, &log);
        sent.await.unwrap_err()
    }

    #[tokio::test]
    async fn a_name_leads_to_a_private_address_only_where_that_is_asked_for() {
        let here = Ipv4Addr::LOCALHOST;
        let metadata = Ipv4Addr::new(169, 254, 169, 254);

        let refused_here = refused(here, false).await;
        let reached = refused(here, true).await;
        let special = refused(metadata, true).await;

        assert!(
            refused_here.contains("`ALERT_PRIVATE_NETWORKS` is not set"),
            "{refused_here}"
        );
        assert!(reached.contains("refused"), "{reached}");
        assert!(special.contains("no setting allows that"), "{special}");
        for text in [refused_here, reached, special] {
            assert!(!text.contains("secret-path"), "{text}");
        }
    }
}
