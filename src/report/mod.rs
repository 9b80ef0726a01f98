//! What is known of each client, and how it is told: to the service, and by the status call.

pub mod board;
pub mod hooks;
pub mod identity;
pub mod language;
pub mod masking;
pub mod record;
mod schema;
pub mod slots;
pub mod status;
