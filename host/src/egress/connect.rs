//! Connections: a name becomes addresses, the granted ones are dialed, and nothing is looked up a second time.
//!
//! `hyper_util` dials, and gets only the addresses that were checked: a resolver that changes its answer in between gains
//! nothing. Names are looked up for each new connection, never cached here. With a proxy, its name alone is looked up.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use super::EgressError;
use super::policy::{Origin, Policy};
use super::proxy::Proxy;
use super::tls::{self, Tls};
use crate::limits::Limits;

/// RFC 8305's pause before the other family of addresses is tried as well.
const OTHER_FAMILY_AFTER: Duration = Duration::from_millis(250);
/// What `hyper_util` is given in place of the origin: of a name it asks [`Checked`], and without a port it keeps the
/// addresses' own.
const CHECKED: &str = "http://checked.invalid/";

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(super) trait Resolve: Send + Sync + 'static {
    /// The addresses of `name`, best first.
    fn resolve(&self, name: String) -> BoxFuture<io::Result<Vec<IpAddr>>>;
}

/// The system's resolver: hosts file, DNS and whatever else it is set up to ask.
pub(super) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: String) -> BoxFuture<io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            Ok(tokio::net::lookup_host((name, 0))
                .await?
                .map(|found| found.ip())
                .collect())
        })
    }
}

/// Opens connections to granted origins, within one time limit for name, TCP and TLS. With TLS, the server chooses HTTP/2 or
/// HTTP/1.1.
#[derive(Clone)]
pub(super) struct Connector {
    policy: Arc<Policy>,
    known: Ways,
    /// To every other origin: without our certificate.
    unknown: Ways,
    versions: Arc<Versions>,
    limit: Duration,
}

/// Which versions of HTTP connections speak.
#[derive(Default)]
pub(super) struct Versions {
    /// Whether a server has said that it wants HTTP/1.1, by HTTP/2.
    pub(super) is_http1_alone: AtomicBool,
    /// Whether the last connection speaks HTTP/2: one that ends before it is used says of itself no more than that.
    pub(super) is_http2: AtomicBool,
}

#[derive(Clone)]
struct Ways {
    any: HttpsConnector<Dialer>,
    http1: HttpsConnector<Dialer>,
}

impl Ways {
    fn new(dialer: &Dialer, config: &Arc<ClientConfig>) -> Self {
        let http1 = tls::with_http1_alone(config);
        Self {
            any: HttpsConnector::from((dialer.clone(), config.clone())),
            http1: HttpsConnector::from((dialer.clone(), http1)),
        }
    }
}

impl Connector {
    /// Connects as `policy` allows, by the `versions` that a server may choose from.
    pub(super) fn new(
        policy: Arc<Policy>,
        resolver: Arc<dyn Resolve>,
        tls: &Tls,
        versions: Arc<Versions>,
        limits: &Limits,
    ) -> Self {
        let dialer = Dialer {
            policy: policy.clone(),
            resolver,
            addresses_tried: limits.addresses_tried,
            limit: limits.connect_timeout,
        };
        Self {
            policy,
            known: Ways::new(&dialer, &tls.known_to),
            unknown: Ways::new(&dialer, &tls.unknown_to),
            versions,
            limit: limits.connect_timeout,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = Watched;
    type Error = EgressError;
    type Future = BoxFuture<Result<Self::Response, EgressError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let origin = match Origin::asked_for(&uri) {
            Ok(origin) => origin,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let ways = if self.policy.source.as_ref() == Some(&origin) {
            &mut self.known
        } else {
            &mut self.unknown
        };
        let connecting = if self.versions.is_http1_alone.load(Ordering::Relaxed) {
            ways.http1.call(uri)
        } else {
            ways.any.call(uri)
        };
        let (limit, policy) = (self.limit, self.policy.clone());
        let versions = self.versions.clone();
        Box::pin(async move {
            let name = origin.to_string();
            match timeout(limit, connecting).await {
                Ok(connected) => connected
                    .map(|stream| Watched::new(stream, &versions))
                    .map_err(|error| connect_error(name, error.as_ref())),
                Err(_) => Err(late(name, limit).through(policy.proxy.as_ref(), &origin)),
            }
        })
    }
}

fn connect_error(origin: String, error: &(dyn std::error::Error + 'static)) -> EgressError {
    if let Some(ours) = tls::find::<EgressError>(error) {
        return ours.clone();
    }
    match tls::cause(error) {
        Some(error) => tls::handshake_error(origin, error),
        None => EgressError::Unreachable {
            origin,
            reason: error.to_string(),
        },
    }
}

fn late(origin: String, limit: Duration) -> EgressError {
    EgressError::ConnectTimeout { origin, limit }
}

/// A connection as the client has it, and what TLS had against it: HTTP/2 does not hand on whose error it was.
pub(super) struct Watched {
    stream: MaybeHttpsStream<Link>,
    fault: TlsFault,
}

/// The first error of TLS on a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsFault(Arc<OnceLock<rustls::Error>>);

impl TlsFault {
    /// The fault of this connection, if it has one.
    pub(super) fn of(connection: &Connected) -> Option<rustls::Error> {
        let mut extras = Extensions::new();
        connection.get_extras(&mut extras);
        extras.get::<Self>()?.0.get().cloned()
    }
}

impl Watched {
    fn new(stream: MaybeHttpsStream<Link>, versions: &Versions) -> Self {
        let is_http2 = stream.connected().is_negotiated_h2();
        versions.is_http2.store(is_http2, Ordering::Relaxed);
        Self {
            stream,
            fault: TlsFault::default(),
        }
    }

    fn watch<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &outcome
            && let Some(fault) = tls::cause(error)
        {
            let _ = self.fault.0.set(fault.clone());
        }
        outcome
    }
}

impl Connection for Watched {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.fault.clone())
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.watch(read)
    }
}

impl Write for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.watch(written)
    }
}

/// A connection to an origin, or to the proxy, perhaps with a tunnel behind it.
pub(super) struct Link {
    stream: TokioIo<TcpStream>,
    /// Whether a proxy reads the requests.
    is_read_by_proxy: bool,
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.is_read_by_proxy)
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }
}

#[derive(Clone)]
struct Dialer {
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolve>,
    addresses_tried: usize,
    limit: Duration,
}

impl Service<Uri> for Dialer {
    type Response = Link;
    type Error = EgressError;
    type Future = BoxFuture<Result<Self::Response, EgressError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move {
            let origin = Origin::asked_for(&uri)?;
            // Asked a second time, so that no way into this module leads around it.
            dialer.policy.check_origin(&origin)?;
            let proxy = dialer.policy.proxy.as_ref();
            let next = proxy.map_or(&origin, Proxy::origin);
            let connected = dialer.dial(next).await;
            let mut stream = connected.map_err(|error| error.through(proxy, &origin))?;
            let tunnel = proxy.filter(|_| origin.is_https());
            if let Some(proxy) = tunnel {
                proxy.tunnel(stream.inner_mut(), &origin).await?;
            }
            Ok(Link {
                stream,
                is_read_by_proxy: proxy.is_some() && tunnel.is_none(),
            })
        })
    }
}

impl Dialer {
    async fn dial(&self, origin: &Origin) -> Result<TokioIo<TcpStream>, EgressError> {
        let addresses = self.addresses(origin).await?;
        dial(origin, &addresses, self.limit).await
    }

    async fn addresses(&self, origin: &Origin) -> Result<Vec<SocketAddr>, EgressError> {
        let addresses = match origin.name_or_addresses() {
            Err(stated) => stated,
            Ok(name) => {
                let found = self.resolver.resolve(name.to_owned()).await;
                let unknown = |reason| EgressError::DnsUnknown {
                    host: name.to_owned(),
                    reason,
                };
                let found = found.map_err(|error| unknown(resolver_words(&error)))?;
                if found.is_empty() {
                    return Err(unknown("it has no address".to_owned()));
                }
                self.policy.check_addresses(name, &found)?
            }
        };
        let (v4, v6) = addresses
            .iter()
            .partition::<Vec<IpAddr>, _>(|address| address.is_ipv4());
        let is_tried = |address: &IpAddr| {
            let family = if address.is_ipv4() { &v4 } else { &v6 };
            family
                .iter()
                .take(self.addresses_tried.max(1))
                .any(|tried| tried == address)
        };
        let tried = addresses.iter().copied().filter(is_tried);
        Ok(tried
            .map(|address| SocketAddr::new(address, origin.port()))
            .collect())
    }
}

/// The resolver's reason without what the standard library puts before it.
fn resolver_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(": ")
        .map_or(text.clone(), |(_, reason)| reason.to_owned())
}

/// The first connection that comes about; each address gets its share of `limit`.
async fn dial(
    origin: &Origin,
    addresses: &[SocketAddr],
    limit: Duration,
) -> Result<TokioIo<TcpStream>, EgressError> {
    let unreachable = |reason| EgressError::Unreachable {
        origin: origin.to_string(),
        reason,
    };
    let mut connector = HttpConnector::new_with_resolver(Checked(addresses.to_vec()));
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(limit));
    connector.set_happy_eyeballs_timeout(Some(OTHER_FAMILY_AFTER));
    let connecting = connector.call(Uri::from_static(CHECKED));
    let stream = connecting
        .await
        .map_err(|error| match tls::find::<io::Error>(&error) {
            Some(cause) if cause.kind() == io::ErrorKind::TimedOut => EgressError::ConnectTimeout {
                origin: origin.to_string(),
                limit,
            },
            Some(cause) => unreachable(cause.to_string()),
            None => unreachable(error.to_string()),
        })?;
    // Cheap to know: the other end is an address that was checked.
    match stream.inner().peer_addr() {
        Ok(peer) if addresses.iter().any(|address| address.ip() == peer.ip()) => Ok(stream),
        _ => Err(unreachable(
            "the connection leads to another address".to_owned(),
        )),
    }
}

/// Gives out the addresses that were checked, whatever it is asked for.
#[derive(Clone)]
struct Checked(Vec<SocketAddr>);

impl Service<Name> for Checked {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = std::future::Ready<Result<Self::Response, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        std::future::ready(Ok(self.0.clone().into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_each_family_some_addresses_are_tried() {
        let found: Vec<IpAddr> = ["2001:470::1", "2001:470::2", "2001:470::3", "9.9.9.9"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let dialer = Dialer {
            policy: Arc::default(),
            resolver: Arc::new(Fixed(found)),
            addresses_tried: 2,
            limit: Duration::from_secs(1),
        };
        let origin = Origin::parse_grant("http://x.example").unwrap();

        let tried = dialer.addresses(&origin).await.unwrap();

        assert_eq!(
            tried.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["[2001:470::1]:80", "[2001:470::2]:80", "9.9.9.9:80"]
        );
    }

    struct Fixed(Vec<IpAddr>);

    impl Resolve for Fixed {
        fn resolve(&self, _: String) -> BoxFuture<io::Result<Vec<IpAddr>>> {
            let found = self.0.clone();
            Box::pin(async move { Ok(found) })
        }
    }

    #[tokio::test]
    async fn a_dead_address_does_not_keep_a_live_one_from_being_reached() {
        let live = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = SocketAddr::new([127, 0, 0, 2].into(), live.local_addr().unwrap().port());
        let origin = Origin::parse_grant("http://x.example").unwrap();

        let addresses = [dead, live.local_addr().unwrap()];
        let stream = dial(&origin, &addresses, Duration::from_secs(10))
            .await
            .unwrap();

        assert_eq!(
            stream.inner().peer_addr().unwrap(),
            live.local_addr().unwrap()
        );
    }

    #[tokio::test]
    async fn an_origin_that_is_not_granted_is_not_dialed_even_when_asked_for_here() {
        let (policy, resolver) = (Arc::default(), Arc::new(SystemResolver));
        let mut dialer = Dialer {
            policy,
            resolver,
            addresses_tried: 1,
            limit: Duration::from_secs(1),
        };

        let outcome = dialer.call("http://127.0.0.1:1/".parse().unwrap()).await;

        assert!(matches!(outcome.err(), Some(EgressError::Denied { .. })));
    }
}
