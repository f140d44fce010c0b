//! The examples of connectors, `guest/examples`, that have a toolchain of their own: built by their `build.sh`, and run
//! against a scripted server.

/// CSV over HTTP, in Python.
mod csv;
