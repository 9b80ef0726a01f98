//! The environment of this process. What its variables mean is told by `superstream-settings`.

pub use superstream_settings::{Endpoint, Reading, Settings, Token};
pub use superstream_switch::is_on;

use crate::{debug, log};

/// Turns the log on or off by `SUPERSTREAM_DEBUG`, before the rest of the environment is read.
#[cfg(not(feature = "embedded-engine"))]
pub fn enable_log() {
    let debug = std::env::var_os("SUPERSTREAM_DEBUG");
    log::enable(debug.is_some_and(|value| superstream_settings::is_true(&value)));
}

/// Reads the process's environment.
pub fn read() -> Reading {
    if !is_on() {
        return Reading::Off;
    }
    superstream_settings::parse(|name| std::env::var_os(name))
}

/// Reads the process's environment, and tells the log what is wrong with it. `None` where
/// Superstream stays off.
pub fn read_and_tell() -> Option<Box<Settings>> {
    match read() {
        Reading::Off => None,
        Reading::Unusable { debug, reason } => {
            log::enable(debug);
            debug!("{reason}");
            None
        }
        Reading::On {
            settings,
            complaints,
        } => {
            log::enable(settings.debug);
            for complaint in complaints {
                debug!("{complaint}");
            }
            Some(settings)
        }
    }
}
