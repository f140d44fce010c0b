//! Settings: what was given ([`inputs::Inputs`]), and what will be done ([`host::HostPlan`], [`plan::Plan`]).
//!
//! The host's are rows of the catalogue, the component declares its own. Inputs are read once, in one pass; whatever comes
//! behind reads that table alone.

pub mod alerts;
mod auth;
pub mod catalogue;
pub mod columns;
pub mod component_settings;
mod conflicts;
pub mod data_file;
pub mod database_url;
pub mod env_file;
pub mod exposed;
mod fingerprint;
pub mod granted;
pub mod host;
pub mod inputs;
pub mod job_file;
pub mod layers;
pub mod mistaken;
mod parse;
pub mod plan;
pub mod policy;
pub mod shown;
pub mod suggest;
pub mod traces;
