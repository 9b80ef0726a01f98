//! A service inside a program.

use std::sync::Arc;

use crate::directory::Directory;
use crate::server::{Options, Running, StartError, start};

/// A service for programs that are not asynchronous, on threads of its own. It stops when this
/// is dropped, which must not be inside an asynchronous program.
pub struct InProcess {
    running: Option<Running>,
    runtime: tokio::runtime::Runtime,
}

impl InProcess {
    /// Starts a service. When this returns, it listens.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let running = runtime.block_on(start(options))?;
        Ok(Self {
            running: Some(running),
            runtime,
        })
    }

    /// Where it listens, as clients are told.
    pub fn url(&self) -> String {
        self.running.as_ref().map(Running::url).unwrap_or_default()
    }

    /// Where it listens for links, as clients are told.
    pub fn veltix_url(&self) -> Option<String> {
        self.running.as_ref().and_then(Running::veltix_url)
    }

    /// What it knows of its clients.
    pub fn directory(&self) -> Option<&Arc<Directory>> {
        self.running.as_ref().map(Running::directory)
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }
}
