//! Asking the directory, for every transport.

use std::sync::Arc;

use crate::directory::{Directory, ServiceError};
use crate::problem::ApiError;

/// Asks the directory on a thread that may wait for the disk.
pub async fn ask<T: Send + 'static>(
    directory: Arc<Directory>,
    question: impl FnOnce(&Directory) -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(move || question(&directory)).await {
        Ok(answer) => Ok(answer?),
        Err(failure) => Err(ApiError::internal(&failure)),
    }
}
