#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod error;
pub mod frames;
mod message;
pub mod session;

pub use error::{CloseReason, Error};
pub use message::{MessageType, Range, Request, RequestId, Response};
