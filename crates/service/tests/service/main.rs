//! The service from outside: started as a process, spoken to over HTTP. One program, because
//! linking the service takes longer than testing it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod advice;
mod api;
mod common;
mod limits;
mod lists;
mod metrics;
mod nats;
mod process;
mod reports;
mod savings;
mod veltix;
