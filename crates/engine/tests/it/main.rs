//! Stories of the engine with a real redis-server, a real folder and a real catalog file.

mod fake;
mod lab;
mod proxy;
mod world;

mod cancel;
mod faults;
mod links;
mod remove;
mod sources;
mod sweep;
mod take;
mod tenants;
