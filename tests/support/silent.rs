//! A Kafka that takes connections and never answers.

use std::io::Read;
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::driver::PATIENCE;

/// Its threads end with the test's process.
pub struct Silent {
    /// The value for `bootstrap.servers`.
    pub brokers: String,
    heard: Arc<(Mutex<Vec<u8>>, Condvar)>,
}

impl Silent {
    /// Listens on a port that the system picks.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let brokers = listener.local_addr().unwrap().to_string();
        let heard = Arc::<(Mutex<Vec<u8>>, Condvar)>::default();
        let hearing = Arc::clone(&heard);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let heard = Arc::clone(&hearing);
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        heard.0.lock().unwrap().extend(&buffer[..length]);
                        heard.1.notify_all();
                    }
                });
            }
        });
        Self { brokers, heard }
    }

    /// Waits until a client with this `client.id` asks something.
    #[track_caller]
    pub fn wait_for(&self, client_id: &str) {
        let name = client_id.as_bytes();
        let is_missing = |heard: &mut Vec<u8>| !heard.windows(name.len()).any(|part| part == name);
        let heard = self.heard.0.lock().unwrap();
        let waited = self.heard.1.wait_timeout_while(heard, PATIENCE, is_missing);
        assert!(!waited.unwrap().1.timed_out(), "{client_id} asked nothing");
    }
}
