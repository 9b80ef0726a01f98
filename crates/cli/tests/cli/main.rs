//! The program as a user meets it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bindings;
mod doctor;
mod fake_service;
mod refusals;
mod run;
mod service;
mod status;
mod support;
mod top;
mod top_screen;
