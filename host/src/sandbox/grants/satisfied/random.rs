//! `wasi:random`: numbers of the host's generator, `insecure` ones too. How many bytes one call of a function may take, and all
//! of them together, is limited ([`Exceeded`]).

use rustls::crypto::SecureRandom;
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use super::super::exceeded::Exceeded;
use crate::limits::Limits;

/// The generator, and what may be taken from it.
pub struct RandomNumbers {
    generator: &'static dyn SecureRandom,
    call_bytes_max: u64,
    bytes_max: u64,
    bytes: u64,
}

/// Names [`RandomNumbers`] to the linker.
struct HasRandomNumbers;

impl HasData for HasRandomNumbers {
    type Data<'a> = &'a mut RandomNumbers;
}

/// Offers `wasi:random`.
pub fn link<T: Send + 'static>(
    linker: &mut Linker<T>,
    numbers: fn(&mut T) -> &mut RandomNumbers,
) -> wasmtime::Result<()> {
    random::add_to_linker::<T, HasRandomNumbers>(linker, numbers)?;
    insecure::add_to_linker::<T, HasRandomNumbers>(linker, numbers)?;
    insecure_seed::add_to_linker::<T, HasRandomNumbers>(linker, numbers)
}

impl RandomNumbers {
    /// Nothing taken so far.
    pub fn new(limits: &Limits) -> Self {
        Self {
            generator: rustls::crypto::ring::default_provider().secure_random,
            call_bytes_max: limits.random_call_bytes,
            bytes_max: limits.random_bytes,
            bytes: 0,
        }
    }

    /// So many new bytes.
    fn taken(&mut self, bytes: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes = self.bytes.saturating_add(bytes);
        if bytes > self.call_bytes_max {
            return Err(Exceeded::RandomCallBytes(self.call_bytes_max).into());
        }
        if self.bytes > self.bytes_max {
            return Err(Exceeded::RandomBytes(self.bytes_max).into());
        }
        let mut taken = vec![0; usize::try_from(bytes)?];
        let filled = self.generator.fill(&mut taken);
        filled.map_err(|_| wasmtime::format_err!("the host has no random numbers"))?;
        Ok(taken)
    }

    fn number(&mut self) -> wasmtime::Result<u64> {
        let bytes = self.taken(8)?;
        let bytes = bytes.as_slice().try_into()?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

impl random::Host for RandomNumbers {
    fn get_random_bytes(&mut self, bytes: u64) -> wasmtime::Result<Vec<u8>> {
        self.taken(bytes)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.number()
    }
}

impl insecure::Host for RandomNumbers {
    fn get_insecure_random_bytes(&mut self, bytes: u64) -> wasmtime::Result<Vec<u8>> {
        self.taken(bytes)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.number()
    }
}

impl insecure_seed::Host for RandomNumbers {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.number()?, self.number()?))
    }
}
