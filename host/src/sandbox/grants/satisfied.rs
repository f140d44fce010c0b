//! The world `satisfied`: what toolchains import whether a connector needs it or not. Each import is there, and grants nothing.
//!
//! stdin is at its end, there is no terminal, and stdout is written where stderr is ([`super::log`]). Random numbers are the
//! host's, and counted ([`random`]). Every socket is refused ([`sockets`]). `exit` ends the call, as a trap does ([`Exited`]).

mod random;
mod sockets;

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::p2::bindings::cli;

pub use self::random::RandomNumbers;
use super::Granted;

/// Marks the error that ends a component which called `exit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the component exited ({0}) in place of returning")]
pub struct Exited(u8);

/// Offers the interfaces of the world `satisfied`.
pub fn link(linker: &mut Linker<Granted>) -> wasmtime::Result<()> {
    cli::stdin::add_to_linker::<Granted, WasiCli>(linker, Granted::cli)?;
    cli::stdout::add_to_linker::<Granted, WasiCli>(linker, Granted::cli)?;
    cli::terminal_input::add_to_linker::<Granted, WasiCli>(linker, Granted::cli)?;
    cli::terminal_output::add_to_linker::<Granted, WasiCli>(linker, Granted::cli)?;
    cli::terminal_stdin::add_to_linker::<Granted, WasiCli>(linker, Granted::cli)?;
    cli::terminal_stdout::add_to_linker::<Granted, WasiCli>(linker, Granted::cli)?;
    cli::terminal_stderr::add_to_linker::<Granted, WasiCli>(linker, Granted::cli)?;
    cli::exit::add_to_linker::<Granted, Exits>(linker, |_| Exits)?;
    random::link(linker, |granted| &mut granted.random)?;
    sockets::link(linker, |granted| sockets::Sockets(&mut granted.table))
}

/// `wasi:cli/exit`.
struct Exits;

impl HasData for Exits {
    type Data<'a> = Self;
}

impl cli::exit::Host for Exits {
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        self.exit_with_code(u8::from(status.is_err()))
    }

    fn exit_with_code(&mut self, code: u8) -> wasmtime::Result<()> {
        Err(Exited(code).into())
    }
}
