//! What a component says of a first look, as it comes: the records of `tidegate:sync/probe`, read by hand because a component
//! may leave that interface out. What the host takes of it is [`super::said`]'s business.

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift};

use super::bindings::exports::tidegate::sync::job::Failure;

/// What one request showed.
#[derive(Debug, Clone, ComponentType, Lift, Serialize, Deserialize)]
#[component(record)]
pub struct Sighting {
    /// What was understood, in the order in which a person should read it.
    pub findings: Vec<Finding>,
    /// The first record as it came, cut where it is long.
    #[component(name = "first-record")]
    pub first_record: Option<String>,
    /// The request that would come next.
    #[component(name = "next-request")]
    pub next_request: Option<String>,
    /// Settings that would fit.
    pub suggestions: Vec<Suggestion>,
    /// Why a run would fail on this answer.
    #[component(name = "would-fail")]
    pub would_fail: Option<Failure>,
}

/// One thing that was understood.
#[derive(Debug, Clone, ComponentType, Lift, Serialize, Deserialize)]
#[component(record)]
pub struct Finding {
    /// What it is about.
    pub topic: String,
    pub found: String,
}

/// A line for the settings file.
#[derive(Debug, Clone, ComponentType, Lift, Serialize, Deserialize)]
#[component(record)]
pub struct Suggestion {
    pub name: String,
    /// The value that fits.
    pub value: String,
    pub reason: String,
}
