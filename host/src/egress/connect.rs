//! Connections: a name becomes addresses, the granted ones are dialed, and nothing is looked up a second time.
//!
//! The address that was checked is the one that is dialed, so a resolver that changes its answer between the two gains
//! nothing. Names are looked up for each new connection, never cached here.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use super::EgressError;
use super::policy::{Origin, Policy};
use super::tls::{self, Tls};
use crate::limits::Limits;

/// RFC 8305's pause before the next address is tried besides the ones under way.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

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

/// Opens connections to granted origins, within one time limit for name, TCP and TLS.
#[derive(Clone)]
pub(super) struct Connector {
    policy: Arc<Policy>,
    known: HttpsConnector<Dialer>,
    /// To every other origin: without our certificate.
    unknown: HttpsConnector<Dialer>,
    limit: Duration,
}

impl Connector {
    /// Connects as `policy` allows.
    pub(super) fn new(
        policy: Arc<Policy>,
        resolver: Arc<dyn Resolve>,
        tls: &Tls,
        limits: &Limits,
    ) -> Self {
        let dialer = Dialer {
            policy: policy.clone(),
            resolver,
            addresses_tried: limits.addresses_tried,
        };
        Self {
            policy,
            known: HttpsConnector::from((dialer.clone(), tls.known_to.clone())),
            unknown: HttpsConnector::from((dialer, tls.unknown_to.clone())),
            limit: limits.connect_timeout,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
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
        let connecting = if self.policy.source.as_ref() == Some(&origin) {
            self.known.call(uri)
        } else {
            self.unknown.call(uri)
        };
        let (limit, origin) = (self.limit, origin.to_string());
        Box::pin(async move {
            match timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(|error| connect_error(origin, error.as_ref())),
                Err(_) => Err(EgressError::ConnectTimeout { origin, limit }),
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

#[derive(Clone)]
struct Dialer {
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolve>,
    addresses_tried: usize,
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
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
            let addresses = dialer.addresses(&origin).await?;
            let stream = dial(&origin, &addresses).await?;
            Ok(TokioIo::new(stream))
        })
    }
}

impl Dialer {
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
        let in_turn = families_in_turn(&addresses).take(self.addresses_tried.max(1));
        Ok(in_turn
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

/// RFC 8305's order: the first address's family and the other one in turn, so that one broken family costs little.
fn families_in_turn(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let first_is_v4 = addresses.first().is_some_and(IpAddr::is_ipv4);
    let (mut first, mut other): (Vec<IpAddr>, Vec<IpAddr>) = addresses
        .iter()
        .partition(|address| address.is_ipv4() == first_is_v4);
    first.reverse();
    other.reverse();
    let mut others_turn = false;
    std::iter::from_fn(move || {
        let (now, then) = if others_turn {
            (&mut other, &mut first)
        } else {
            (&mut first, &mut other)
        };
        others_turn = !others_turn;
        now.pop().or_else(|| then.pop())
    })
}

/// The first connection that comes about; addresses are tried in their order, a little apart.
async fn dial(origin: &Origin, addresses: &[SocketAddr]) -> Result<TcpStream, EgressError> {
    let mut waiting = addresses.iter().copied();
    let mut under_way = FuturesUnordered::new();
    let mut first_error = None;
    under_way.extend(waiting.next().map(connect));
    loop {
        let more = waiting.len() > 0;
        tokio::select! {
            tried = under_way.next() => match tried {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => {
                    first_error.get_or_insert(error);
                    under_way.extend(waiting.next().map(connect));
                }
                None => break,
            },
            () = sleep(NEXT_ADDRESS_AFTER), if more => under_way.extend(waiting.next().map(connect)),
        }
    }
    let reason =
        first_error.map_or_else(|| "no address left".to_owned(), |error| error.to_string());
    Err(EgressError::Unreachable {
        origin: origin.to_string(),
        reason,
    })
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Cheap to know: the other end is the address that was checked.
    if stream.peer_addr()?.ip() != address.ip() {
        return Err(io::Error::other("the connection leads to another address"));
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_tried_in_turn_beginning_with_the_first() {
        let addresses: Vec<IpAddr> = ["2001:470::1", "2001:470::2", "2001:470::3", "9.9.9.9"]
            .map(|text| text.parse().unwrap())
            .to_vec();

        let order: Vec<String> = families_in_turn(&addresses)
            .map(|address| address.to_string())
            .collect();

        assert_eq!(
            order,
            ["2001:470::1", "9.9.9.9", "2001:470::2", "2001:470::3"]
        );
    }

    #[tokio::test]
    async fn a_dead_address_does_not_keep_a_live_one_from_being_reached() {
        let live = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = SocketAddr::new([127, 0, 0, 2].into(), live.local_addr().unwrap().port());
        let origin = Origin::parse_grant("http://x.example").unwrap();

        let stream = dial(&origin, &[dead, live.local_addr().unwrap()])
            .await
            .unwrap();

        assert_eq!(stream.peer_addr().unwrap(), live.local_addr().unwrap());
    }

    #[tokio::test]
    async fn an_origin_that_is_not_granted_is_not_dialed_even_when_asked_for_here() {
        let (policy, resolver) = (Arc::default(), Arc::new(SystemResolver));
        let mut dialer = Dialer {
            policy,
            resolver,
            addresses_tried: 1,
        };

        let outcome = dialer.call("http://127.0.0.1:1/".parse().unwrap()).await;

        assert!(matches!(outcome.err(), Some(EgressError::Denied { .. })));
    }
}
