//! Tests of the whole house from outside: the program, real servers, raw requests.

mod api;
mod bad_input;
mod commands;
mod documents;
mod downloads;
mod lab;
mod rooms;
mod shutdown;
