//! What a backup is, and everything that can be done with one.
//!
//! `model`, `error` and `clock` are the words. `redis`, `vault`, `catalog`, `access`, `links` and `notify` each do
//! one thing and do not know each other. `ops` has one file for each verb and puts them together; `work` calls the
//! verbs that outlive a request.

pub mod access;
pub mod catalog;
pub mod clock;
pub mod crash;
pub mod error;
pub mod links;
pub mod model;
pub mod notify;
pub mod ops;
pub mod redis;
pub mod vault;
pub mod work;

pub use error::{Error, Kind, Result};
