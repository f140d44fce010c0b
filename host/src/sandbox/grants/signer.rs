//! `tidegate:sync/signer`: stand-ins for signatures. The key is in the parent, which replaces them.

use wasmtime::component::{HasData, Linker};

use self::bindings::tidegate::sync::signer::{self, Encoding, Refusal};
use crate::egress;
use crate::limits::SIGNED_MESSAGE_BYTES_MAX;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package tidegate:host; world signing { import tidegate:sync/signer@0.1.0; }",
        world: "tidegate:host/signing",
        imports: { default: trappable },
    });
}

/// Makes stand-ins, where there is a key.
pub struct StandIns {
    mark: Option<String>,
}

impl StandIns {
    /// Stand-ins that begin with `mark`; none without.
    pub fn new(mark: Option<String>) -> Self {
        Self { mark }
    }

    /// True if and only if something can be signed.
    pub fn has_key(&self) -> bool {
        self.mark.is_some()
    }
}

/// Names [`StandIns`] to the linker.
struct HasStandIns;

impl HasData for HasStandIns {
    type Data<'a> = &'a mut StandIns;
}

/// Offers `tidegate:sync/signer`.
pub fn link<T: Send + 'static>(
    linker: &mut Linker<T>,
    signer: fn(&mut T) -> &mut StandIns,
) -> wasmtime::Result<()> {
    signer::add_to_linker::<T, HasStandIns>(linker, signer)
}

impl signer::Host for StandIns {
    fn sign(
        &mut self,
        message: Vec<u8>,
        encoding: Encoding,
    ) -> wasmtime::Result<Result<String, Refusal>> {
        let Some(mark) = &self.mark else {
            return Ok(Err(Refusal::NoKey));
        };
        if message.len() > SIGNED_MESSAGE_BYTES_MAX {
            return Ok(Err(Refusal::TooLong));
        }
        let encoding = match encoding {
            Encoding::Hex => egress::Encoding::Hex,
            Encoding::Base64 => egress::Encoding::Base64,
            Encoding::Base64url => egress::Encoding::Base64Url,
            Encoding::Base64InQuery => egress::Encoding::Base64InQuery,
        };
        Ok(Ok(egress::stand_in(mark, &message, encoding)))
    }
}
