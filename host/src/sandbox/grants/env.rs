//! The environment a component sees: the settings it declared, by name, and nothing else.
//!
//! Which values those are, and that no secret is among them, is `settings`' business.

use wasmtime_wasi::WasiCtxBuilder;

pub fn grant(wasi: &mut WasiCtxBuilder, environment: &[(String, String)]) {
    wasi.envs(environment);
}
