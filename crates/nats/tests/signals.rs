//! Programs in which signals are as a C program has them: SIGPIPE ends it, and handlers interrupt
//! whatever waits. A program of its own, for both are the whole process's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, RootCertStore};
use superstream_nats::{Address, Connection, Options};
use superstream_nats_server::NatsServer;

static INTERRUPTIONS: AtomicU64 = AtomicU64::new(0);

extern "C" fn interrupt(_signal: libc::c_int) {
    INTERRUPTIONS.fetch_add(1, Ordering::Relaxed);
}

/// Interrupts the thread that has started it, every other millisecond.
struct Interrupted {
    over: Arc<AtomicBool>,
    interrupting: Option<thread::JoinHandle<()>>,
}

impl Interrupted {
    fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        // SAFETY: asks who the calling thread is.
        let thread = unsafe { libc::pthread_self() };
        let is_over = Arc::clone(&over);
        let interrupting = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(2));
                // SAFETY: the thread lives, for it joins this one before it ends.
                unsafe { libc::pthread_kill(thread, libc::SIGALRM) };
            }
        });
        Self {
            over,
            interrupting: Some(interrupting),
        }
    }
}

impl Drop for Interrupted {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.interrupting.take().map(thread::JoinHandle::join);
    }
}

fn options(address: &str) -> Options {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Options {
        server: Address::parse(address).unwrap(),
        user: None,
        password: None,
        name: "a test".to_owned(),
        tls: Arc::new(config),
        ping_every: Duration::from_secs(60),
        max_kept_bytes: 1024 * 1024,
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Says that it goes, and goes on reading nothing: the first write after that is answered with a
/// reset, and the second raises SIGPIPE in one who does not take care.
fn leaving() -> (Options, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        let mut stream: TcpStream = listener.accept().unwrap().0;
        stream
            .write_all(b"INFO {\"max_payload\":8388608}\r\n")
            .unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"PING\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            read.push(byte[0]);
        }
        // More PINGs than one look takes: each of them asks for a write.
        stream.write_all(b"PONG\r\n").unwrap();
        stream.write_all(&b"PING\r\n".repeat(10_000)).unwrap();
    });
    (options(&address), serving)
}

#[test]
fn neither_a_broken_pipe_nor_an_interruption_ends_the_program_or_a_wait() {
    // SAFETY: gives signals their dispositions, one of them a handler that only counts.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut action: libc::sigaction = std::mem::zeroed();
        // Without SA_RESTART.
        action.sa_sigaction = interrupt as extern "C" fn(libc::c_int) as usize;
        assert_eq!(
            libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()),
            0
        );
    }

    let (options_of_leaving, serving) = leaving();
    let mut connection = Connection::open(&options_of_leaving, &[], soon()).unwrap();
    serving.join().unwrap();
    while connection.next(soon()).is_ok() {}
    assert!(connection.closed().is_some());

    let server = NatsServer::start();
    let _interrupted = Interrupted::start();
    let mut connection = Connection::open(&options(&server.url()), &[], soon()).unwrap();
    connection.subscribe("a", None, soon()).unwrap();
    let until = Instant::now() + Duration::from_millis(300);
    assert_eq!(connection.next(until).unwrap(), None);
    assert!(Instant::now() >= until);
    let (deadline, mut rounds) = (soon(), 0);
    // As often as it takes until whoever interrupts has had its turns.
    while rounds < 20 || INTERRUPTIONS.load(Ordering::Relaxed) <= 10 {
        assert!(Instant::now() < deadline, "nobody interrupts");
        rounds += 1;
        connection
            .publish("a", None, &vec![b'x'; 900_000], soon())
            .unwrap();
        assert_eq!(
            connection.next(soon()).unwrap().unwrap().payload.len(),
            900_000
        );
    }
}
