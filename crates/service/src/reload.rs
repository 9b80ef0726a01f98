//! Takes changed rules while the service runs.
//!
//! The file's text is compared, not its time or its inode: that is right for editors which write
//! in place, for those which rename a new file over the old one, and for mounted directories
//! where nothing notifies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::directory::Directory;
use crate::rules::Rules;

/// How often the file is looked at.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// Reads rules for the first time, or says why they cannot be used.
pub fn load(file: &Path) -> Result<(Rules, String), String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let rules = Rules::parse(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok((rules, text))
}

/// Looks at a rules file again and again.
pub struct Watch {
    file: PathBuf,
    directory: Arc<Directory>,
    /// What the file held when it was last taken or refused.
    judged: Result<String, String>,
    /// What it held at the last look.
    seen: Result<String, String>,
}

impl Watch {
    /// Watches a file whose text has been taken already.
    pub fn new(file: PathBuf, text: String, directory: Arc<Directory>) -> Self {
        Self {
            file,
            directory,
            judged: Ok(text.clone()),
            seen: Ok(text),
        }
    }

    /// Looks for as long as the service runs.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let text = tokio::fs::read_to_string(&self.file).await;
            self.look(text.map_err(|error| error.to_string()));
        }
    }

    /// Judges a text that is new and stood still since the last look: an editor that writes in
    /// place may have been met half way.
    fn look(&mut self, text: Result<String, String>) {
        let steady = text == self.seen;
        self.seen = text;
        if !steady || self.seen == self.judged {
            return;
        }
        self.judged = self.seen.clone();
        let file = self.file.display();
        let rules = match &self.judged {
            Ok(text) => Rules::parse(text).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        match rules {
            Ok(rules) => {
                log::info!("{file} has changed: {} rules from now on", rules.count());
                self.directory.set_rules(rules);
            }
            Err(error) => {
                log::error!("{file} has changed and is refused, the old rules stay: {error}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Masker;
    use crate::store::Store;
    use superstream_protocol::Mode;

    #[test]
    fn only_a_steady_and_valid_file_is_taken() {
        let store = Store::in_memory(Duration::from_secs(600)).unwrap();
        let rules = Rules::parse("").unwrap();
        let directory = Arc::new(Directory::new(store, rules, Masker::default(), false));
        let mut watch = Watch::new("rules".into(), String::new(), directory.clone());
        let observe = || Ok("mode = \"observe\"".to_owned());

        watch.look(observe());
        assert_eq!(directory.mode(), Mode::Active, "seen once");
        watch.look(observe());
        assert_eq!(directory.mode(), Mode::Observe, "seen twice");
        for bad in [Ok("mode = ".to_owned()), Err("no such file".to_owned())] {
            watch.look(bad.clone());
            watch.look(bad);
            assert_eq!(directory.mode(), Mode::Observe, "the old rules stay");
        }
        watch.look(Ok(String::new()));
        watch.look(Ok(String::new()));
        assert_eq!(directory.mode(), Mode::Active);
    }
}
