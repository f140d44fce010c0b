//! Attacks that have no module of their own.

/// Of components, servers and neighbours.
mod more;
