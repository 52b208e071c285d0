//! Stories of the engine with a real redis-server, a real folder and a real catalog file.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod fake;
mod harmed;
mod lab;
mod proxy;
mod world;

mod access_log;
mod audit;
mod cancel;
mod copies;
mod copies_hurt;
mod discovery;
mod drill;
mod encoded;
mod faults;
mod fuzz_corpus;
mod harm;
mod import;
mod links;
mod policies;
mod rebuild;
mod remove;
mod restore;
mod restore_faults;
mod restore_resumed;
mod scrub;
mod sources;
mod sweep;
mod take;
mod tenants;
mod tokens;
mod webhooks;
