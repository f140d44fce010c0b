//! The wasm shell: implements the ports with waki and WASI, and offers the job as `job` and as `wasi:cli/run`.
//!
//! The only folder that names waki, wit-bindgen or WASI. It decides nothing: what is fetched, kept or refused is the core's
//! business. What a run without our host needs besides is in `standalone`, which is pure.

pub mod standalone;

#[cfg(target_family = "wasm")]
mod exports;
#[cfg(target_family = "wasm")]
mod files;
#[cfg(target_family = "wasm")]
mod http;
#[cfg(target_family = "wasm")]
mod standalone_run;
