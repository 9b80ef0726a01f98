//! What is known of each client, and how it is told: to the service, and by the status call.

pub mod board;
pub mod identity;
pub mod masking;
pub mod record;
pub mod status;
