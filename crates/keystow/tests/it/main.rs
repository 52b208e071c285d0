//! Tests of the whole house from outside: the program, real servers, raw requests.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod api;
mod audit;
mod bad_input;
mod commands;
mod diff;
mod documents;
mod downloads;
mod golden;
mod lab;
mod monitoring;
mod outputs;
mod policies;
mod proxies;
mod relabel;
mod restore;
mod rooms;
mod shutdown;
mod sign;
mod tls;
