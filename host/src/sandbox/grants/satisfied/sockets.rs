//! `wasi:sockets`: every attempt to make a socket or to look up a name is answered with `access-denied`.
//!
//! There is no code here that could open one. That no component ever holds one is in the types: a socket is [`Never`], of which
//! there is no value.

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;

use self::bindings::wasi::sockets::network::{
    self, ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress,
};
use self::bindings::wasi::sockets::tcp::{Duration, InputStream, OutputStream, ShutdownType};
use self::bindings::wasi::sockets::udp::{IncomingDatagram, OutgoingDatagram};
use self::bindings::wasi::sockets::{
    instance_network, ip_name_lookup, tcp, tcp_create_socket, udp, udp_create_socket,
};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "wasi:sockets/imports",
        imports: { default: trappable },
        require_store_data_send: true,
        with: {
            "wasi:io": wasmtime_wasi::p2::bindings::io,
            "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
            "wasi:sockets/network.network": super::Network,
            "wasi:sockets/tcp.tcp-socket": super::Never,
            "wasi:sockets/udp.udp-socket": super::Never,
            "wasi:sockets/udp.incoming-datagram-stream": super::Never,
            "wasi:sockets/udp.outgoing-datagram-stream": super::Never,
            "wasi:sockets/ip-name-lookup.resolve-address-stream": super::Never,
        },
    });
}

/// The network, of which a component may have a handle: it leads nowhere.
pub struct Network;

/// A socket, or what is made of one: there is none.
pub enum Never {}

/// Names [`Sockets`] to the linker.
struct HasSockets;

impl HasData for HasSockets {
    type Data<'a> = Sockets<'a>;
}

/// The table that handles are in.
pub struct Sockets<'a>(pub &'a mut ResourceTable);

/// Offers `wasi:sockets`.
pub fn link<T: Send + 'static>(
    linker: &mut Linker<T>,
    sockets: fn(&mut T) -> Sockets<'_>,
) -> wasmtime::Result<()> {
    let mut options = network::LinkOptions::default();
    options.network_error_code(true);
    network::add_to_linker::<T, HasSockets>(linker, &options, sockets)?;
    instance_network::add_to_linker::<T, HasSockets>(linker, sockets)?;
    ip_name_lookup::add_to_linker::<T, HasSockets>(linker, sockets)?;
    tcp::add_to_linker::<T, HasSockets>(linker, sockets)?;
    tcp_create_socket::add_to_linker::<T, HasSockets>(linker, sockets)?;
    udp::add_to_linker::<T, HasSockets>(linker, sockets)?;
    udp_create_socket::add_to_linker::<T, HasSockets>(linker, sockets)
}

impl Sockets<'_> {
    /// Whatever is asked of a socket.
    fn none<T>(&self, socket: &Resource<Never>) -> wasmtime::Result<T> {
        match *self.0.get(socket)? {}
    }
}

/// What sockets refuse.
type Refused<T> = Result<T, ErrorCode>;

impl network::Host for Sockets<'_> {
    fn network_error_code(
        &mut self,
        _: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(None)
    }
}

impl network::HostNetwork for Sockets<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.0.delete(network)?;
        Ok(())
    }
}

impl instance_network::Host for Sockets<'_> {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        Ok(self.0.push(Network)?)
    }
}

impl ip_name_lookup::Host for Sockets<'_> {
    fn resolve_addresses(
        &mut self,
        _: Resource<Network>,
        _: String,
    ) -> wasmtime::Result<Refused<Resource<Never>>> {
        Ok(Err(ErrorCode::AccessDenied))
    }
}

impl tcp_create_socket::Host for Sockets<'_> {
    fn create_tcp_socket(
        &mut self,
        _: IpAddressFamily,
    ) -> wasmtime::Result<Refused<Resource<Never>>> {
        Ok(Err(ErrorCode::AccessDenied))
    }
}

impl udp_create_socket::Host for Sockets<'_> {
    fn create_udp_socket(
        &mut self,
        _: IpAddressFamily,
    ) -> wasmtime::Result<Refused<Resource<Never>>> {
        Ok(Err(ErrorCode::AccessDenied))
    }
}

impl tcp::Host for Sockets<'_> {}
impl udp::Host for Sockets<'_> {}

/// The functions of a socket, one a line: nobody has one to call them with.
macro_rules! of_no_socket {
    ($($name:ident($($argument:ty),*) -> $answer:ty;)*) => {
        $(fn $name(
            &mut self,
            socket: Resource<Never>,
            $(_: $argument),*
        ) -> wasmtime::Result<$answer> {
            self.none(&socket)
        })*

        fn drop(&mut self, socket: Resource<Never>) -> wasmtime::Result<()> {
            self.none(&socket)
        }
    };
}

type Streams = (Resource<InputStream>, Resource<OutputStream>);

impl ip_name_lookup::HostResolveAddressStream for Sockets<'_> {
    of_no_socket! {
        resolve_next_address() -> Refused<Option<IpAddress>>;
        subscribe() -> Resource<DynPollable>;
    }
}

impl tcp::HostTcpSocket for Sockets<'_> {
    of_no_socket! {
        start_bind(Resource<Network>, IpSocketAddress) -> Refused<()>;
        finish_bind() -> Refused<()>;
        start_connect(Resource<Network>, IpSocketAddress) -> Refused<()>;
        finish_connect() -> Refused<Streams>;
        start_listen() -> Refused<()>;
        finish_listen() -> Refused<()>;
        accept() -> Refused<(Resource<Never>, Resource<InputStream>, Resource<OutputStream>)>;
        local_address() -> Refused<IpSocketAddress>;
        remote_address() -> Refused<IpSocketAddress>;
        is_listening() -> bool;
        address_family() -> IpAddressFamily;
        set_listen_backlog_size(u64) -> Refused<()>;
        keep_alive_enabled() -> Refused<bool>;
        set_keep_alive_enabled(bool) -> Refused<()>;
        keep_alive_idle_time() -> Refused<Duration>;
        set_keep_alive_idle_time(Duration) -> Refused<()>;
        keep_alive_interval() -> Refused<Duration>;
        set_keep_alive_interval(Duration) -> Refused<()>;
        keep_alive_count() -> Refused<u32>;
        set_keep_alive_count(u32) -> Refused<()>;
        hop_limit() -> Refused<u8>;
        set_hop_limit(u8) -> Refused<()>;
        receive_buffer_size() -> Refused<u64>;
        set_receive_buffer_size(u64) -> Refused<()>;
        send_buffer_size() -> Refused<u64>;
        set_send_buffer_size(u64) -> Refused<()>;
        subscribe() -> Resource<DynPollable>;
        shutdown(ShutdownType) -> Refused<()>;
    }
}

impl udp::HostUdpSocket for Sockets<'_> {
    of_no_socket! {
        start_bind(Resource<Network>, IpSocketAddress) -> Refused<()>;
        finish_bind() -> Refused<()>;
        stream(Option<IpSocketAddress>) -> Refused<(Resource<Never>, Resource<Never>)>;
        local_address() -> Refused<IpSocketAddress>;
        remote_address() -> Refused<IpSocketAddress>;
        address_family() -> IpAddressFamily;
        unicast_hop_limit() -> Refused<u8>;
        set_unicast_hop_limit(u8) -> Refused<()>;
        receive_buffer_size() -> Refused<u64>;
        set_receive_buffer_size(u64) -> Refused<()>;
        send_buffer_size() -> Refused<u64>;
        set_send_buffer_size(u64) -> Refused<()>;
        subscribe() -> Resource<DynPollable>;
    }
}

impl udp::HostIncomingDatagramStream for Sockets<'_> {
    of_no_socket! {
        receive(u64) -> Refused<Vec<IncomingDatagram>>;
        subscribe() -> Resource<DynPollable>;
    }
}

impl udp::HostOutgoingDatagramStream for Sockets<'_> {
    of_no_socket! {
        check_send() -> Refused<u64>;
        send(Vec<OutgoingDatagram>) -> Refused<u64>;
        subscribe() -> Resource<DynPollable>;
    }
}
