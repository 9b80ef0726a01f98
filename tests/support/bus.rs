//! A peer of a NATS server: it hears what is said there, and says what it is given.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, RootCertStore};
use superstream_nats::{Address, Connection, Error, Message, Options};

use crate::driver::PATIENCE;

/// Who it is, where the server asks.
pub const USER: &str = "service";
/// How often a thread that waits looks whether it is still wanted.
const GLANCE: Duration = Duration::from_millis(200);
/// Between two tries to reach a server that is not there.
const PAUSE: Duration = Duration::from_millis(20);

/// A subject, and what is published to it.
pub type Said = (String, Vec<u8>);

/// The peer: a thread and a connection that listen, and a pair that speaks. They end with it.
pub struct Bus {
    giver: Mutex<Sender<Said>>,
    life: Arc<Life>,
}

struct Life {
    /// The server's.
    port: u16,
    is_over: AtomicBool,
    /// How often it has subscribed to everything.
    joined: AtomicUsize,
}

impl Bus {
    /// Joins, and hears all messages of these subjects from then on, with something to answer by.
    pub fn join(
        port: u16,
        subjects: &'static [&str],
        mut hear: impl FnMut(Message, &Sender<Said>) + Send + 'static,
    ) -> Self {
        let life = Arc::new(Life {
            port,
            is_over: AtomicBool::new(false),
            joined: AtomicUsize::new(0),
        });
        let (giver, given) = channel();
        let speaking = Arc::clone(&life);
        thread::spawn(move || speaking.speak(&given));
        let (listening, answers) = (Arc::clone(&life), giver.clone());
        thread::spawn(move || {
            let mut hear = |message| hear(message, &answers);
            while listening.goes_on() {
                // A server that goes away is what some tests are about.
                let _ = listening.listen(subjects, &mut hear);
                thread::sleep(PAUSE);
            }
        });
        let bus = Self {
            giver: Mutex::new(giver),
            life,
        };
        bus.wait_until_joined(1);
        bus
    }

    pub fn publish(&self, subject: impl Into<String>, payload: impl Into<Vec<u8>>) {
        let giver = self.giver.lock().unwrap();
        giver.send((subject.into(), payload.into())).unwrap();
    }

    /// Returns once all subjects are heard of a server that was started again.
    pub fn wait_for_the_next(&self, start: impl FnOnce()) {
        let before = self.life.joined.load(Ordering::SeqCst);
        start();
        self.wait_until_joined(before + 1);
    }

    #[track_caller]
    fn wait_until_joined(&self, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.life.joined.load(Ordering::SeqCst) < times {
            assert!(Instant::now() < deadline, "the service cannot join");
            thread::sleep(PAUSE / 10);
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.life.is_over.store(true, Ordering::SeqCst);
    }
}

impl Life {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }

    fn connect(&self) -> Result<Connection, Error> {
        connect(self.port)
    }

    fn listen(&self, subjects: &[&str], hear: &mut impl FnMut(Message)) -> Result<(), Error> {
        let mut connection = self.connect()?;
        for subject in subjects {
            connection.subscribe(subject, None, soon())?;
        }
        connection.flush(soon())?;
        self.joined.fetch_add(1, Ordering::SeqCst);
        while self.goes_on() {
            if let Some(message) = connection.next(Instant::now() + GLANCE)? {
                hear(message);
            }
        }
        Ok(())
    }

    fn speak(&self, given: &Receiver<Said>) {
        let mut connection = None;
        while self.goes_on() {
            match given.recv_timeout(GLANCE) {
                Ok(said) => {
                    while self.goes_on() && self.say(&mut connection, &said).is_err() {
                        connection = None;
                        thread::sleep(PAUSE);
                    }
                }
                // The server asks now and then whether somebody is there.
                Err(RecvTimeoutError::Timeout) => {
                    let heard = connection
                        .as_mut()
                        .map(|one: &mut Connection| one.next(Instant::now()));
                    if matches!(heard, Some(Err(_))) {
                        connection = None;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn say(&self, connection: &mut Option<Connection>, said: &Said) -> Result<(), Error> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(self.connect()?),
        };
        connection.publish(&said.0, None, &said.1, soon())
    }
}

/// A connection of the service's own.
pub fn connect(port: u16) -> Result<Connection, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let options = Options {
        server: Address {
            host: "127.0.0.1".to_owned(),
            port,
            tls: false,
        },
        user: Some(USER.to_owned()),
        password: Some(USER.to_owned()),
        name: "a service under the control of a test".to_owned(),
        tls: Arc::new(tls),
        ping_every: PATIENCE,
        max_kept_bytes: 64 * 1024 * 1024,
    };
    Connection::open(&options, &[], soon())
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}
