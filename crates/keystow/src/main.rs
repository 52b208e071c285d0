//! Keystow: self-hosted backups for Redis and Valkey.

mod api;
mod cli;
mod client;
mod config;
mod failure;
mod http;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let json = cli.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = keystow_engine::Error::internal("the runtime cannot be started", error);
            return failure::report(&cli.unable(error.into()), json);
        }
    };
    let result = runtime.block_on(cli::run(cli));
    // A blocking read of a dead source must not hold the exit up.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(failure) => failure::report(&failure, json),
    }
}
