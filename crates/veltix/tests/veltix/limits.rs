//! What a stranger may cost.

use std::io::{Read, Seek, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use superstream_veltix::frames::Wire;
use superstream_veltix::session::{Options, Role, Session};
use superstream_veltix::{Error, MessageType, Request, RequestId};

use crate::support::*;

#[test]
fn before_the_handshake_a_peer_gets_little_memory() {
    let server = echo_server();
    let port = port(&server);
    // A frame that would be taken after it.
    let mut raw = Raw::connect(port);
    raw.frame();
    let long = frame(CHAT, RequestId(1), &vec![0; 70_000]);
    let _ = raw.socket.write_all(&long);
    assert!(raw.closed());
    // Many frames, or much in them.
    for (count, size) in [(65, 0), (5, 20_000)] {
        let mut raw = Raw::connect(port);
        raw.frame();
        for _ in 0..count {
            let _ = raw
                .socket
                .write_all(&frame(CHAT, RequestId(1), &vec![0; size]));
        }
        assert!(raw.closed());
    }
    // Pings without end.
    let mut raw = Raw::connect(port);
    raw.frame();
    let _ = raw.socket.write_all(&[0; 22 * 17]);
    let mut pongs = 0;
    while let Some(frame) = raw.next() {
        assert_eq!(frame.message_type, MessageType::PONG);
        pongs += 1;
    }
    assert!(pongs <= 16);
    assert!(Raw::greeted(port).echoes());
}

#[test]
fn whom_nobody_trusts_sends_nothing_long() {
    const LONG_ONE: usize = 1 << 20;
    let server = server_with(|config| config.max_untrusted_message_size = Some(1000));
    let (reasons, left) = std::sync::mpsc::channel();
    server.on_disconnect(move |_, reason| reasons.send(reason.clone()).unwrap());
    server.on_recv(|client, response| {
        client.trust();
        let _ = client.send(&Request::reply_to(&response, OTHER, ""));
    });
    server.start().unwrap();
    let mut stranger = Raw::greeted(port(&server));
    stranger.send(CHAT, RequestId(1), &[0; 1000 - 22]);
    assert_eq!(stranger.frame().payload.len(), 1000 - 22);
    let _ = stranger
        .socket
        .write_all(&frame(CHAT, RequestId(1), &[0; LONG_ONE]));
    let too_large = superstream_veltix::CloseReason::TooLarge {
        size: LONG_ONE as u64 + 22,
        limit: 1000,
    };
    assert_eq!(next(&left), too_large);
    assert!(stranger.closed());
    // One that has shown who it is.
    let mut known = Raw::greeted(port(&server));
    known.send(OTHER, RequestId(1), b"it is me");
    assert_eq!(known.frame().message_type, OTHER);
    known.send(CHAT, RequestId(2), &[1; LONG_ONE]);
    assert_eq!(known.frame().payload.len(), LONG_ONE);
}

#[test]
fn a_peer_that_only_asks_and_never_reads_is_ended() {
    let server = server_with(|config| {
        config.session.max_message_size = 10_000;
        config.session.max_queued_bytes = 10_000;
        config.session.ping_interval = None;
    });
    let (reasons, left) = std::sync::mpsc::channel();
    server.on_disconnect(move |_, reason| reasons.send(reason.clone()).unwrap());
    server.start().unwrap();
    let mut raw = Raw::greeted(port(&server));
    let pings = vec![0; 22 * 10_000];
    while raw.socket.write_all(&pings).is_ok() {}
    let reason = next(&left);
    // The second, where the system was quicker to notice.
    assert!(
        matches!(
            reason,
            superstream_veltix::CloseReason::Stalled | superstream_veltix::CloseReason::Network(_)
        ),
        "{reason:?}"
    );
}

/// Two sides that have greeted.
fn conversation(options: &Arc<Options>) -> (Session<u32>, Session<u32>) {
    let now = Instant::now();
    let mut server = Session::new(Role::Server, options, now);
    let mut client = Session::new(Role::Client, options, now);
    while !client.is_ready() || !server.is_ready() {
        pass(&mut server, &mut client);
        pass(&mut client, &mut server);
    }
    (server, client)
}

fn pass(from: &mut Session<u32>, to: &mut Session<u32>) {
    while let Some(mut chunk) = from.take_chunk() {
        let length = chunk.remaining().len();
        to.receive(chunk.remaining(), Instant::now(), &mut Vec::new())
            .unwrap();
        chunk.advance(length);
        from.give_back(chunk, length, Instant::now());
    }
}

#[test]
fn nobody_who_waits_is_forgotten_where_no_id_is_free() {
    // Few ids are left beyond the window.
    let options = Arc::new(Options {
        wire: Some(Wire::V2),
        id_window: 63_000,
        ..Options::default()
    });
    let (server, client) = conversation(&options);
    for mut session in [server, client] {
        let mut waiters = 0;
        let request = Request::new(CHAT, "");
        while session.ask(&request, waiters, None).is_ok() {
            waiters += 1;
        }
        let asked = session.ask(&request, waiters, None);
        assert!(matches!(asked, Err(Error::BadId(_))), "{asked:?}");
        let pinged = session.ping(waiters, None);
        assert!(matches!(pinged, Err(Error::BadId(_))), "{pinged:?}");
        let mut all = session.forget_all();
        all.sort_unstable();
        assert_eq!(all, (0..waiters).collect::<Vec<_>>());
    }
}

#[test]
fn a_limit_above_that_of_python_has_an_effect() {
    let server = server_with(|config| config.session.max_message_size = 16 << 20);
    server.start().unwrap();
    let client = client_with(port(&server), |config| {
        config.session.max_message_size = 16 << 20;
    });
    client.connect().unwrap();
    let request = Request::new(CHAT, vec![1; 12 << 20]);
    let reply = client.send_and_wait(&request, LONG).unwrap();
    assert_eq!(reply.content, request.content);
}

/// Counts what the system refuses, without a file to write it to.
struct Refusals(AtomicUsize);

static REFUSALS: Refusals = Refusals(AtomicUsize::new(0));

impl log::Log for Refusals {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.args().to_string().contains("cannot be accepted") {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn flush(&self) {}
}

/// Run alone, by the test below: it uses up all files of the process.
#[test]
#[ignore = "run by the test of it"]
fn out_of_files() {
    let server = echo_server();
    let port = port(&server);
    let mut first = Raw::greeted(port);
    let mut clock = std::fs::File::open("/proc/self/stat").unwrap();
    let mut held = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        held.push(file);
    }
    // One for our own end of the connection, none for the server's.
    held.pop();
    log::set_logger(&REFUSALS).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let refusals = || REFUSALS.0.load(Ordering::SeqCst);
    let waiting = TcpStream::connect(("127.0.0.1", port)).unwrap();
    until("it is refused", || refusals() > 0);
    let (start, before, seen) = (Instant::now(), cpu_time(&mut clock), refusals());
    // Others who come meanwhile are no reason to try more often.
    let others = TcpStream::connect(("127.0.0.1", port));
    until("it is refused often", || refusals() >= seen + 4);
    let used = cpu_time(&mut clock) - before;
    let took = start.elapsed();
    assert!(others.is_err(), "there was no file left");
    assert!(took >= Duration::from_millis(550), "after {took:?}");
    assert!(used < took / 2, "it spins: {used:?} of {took:?}");
    assert!(first.echoes());
    drop(held);
    let mut waiting = Raw::of(waiting);
    waiting.greet();
    assert!(waiting.echoes());
}

#[test]
fn too_many_open_files_end_neither_the_server_nor_the_processor() {
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg("ulimit -n 64; exec \"$0\" --exact limits::out_of_files --ignored --test-threads 1")
        .arg(program)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}");
}

/// Of the whole process.
fn cpu_time(clock: &mut std::fs::File) -> Duration {
    let mut stat = String::new();
    clock.rewind().unwrap();
    clock.read_to_string(&mut stat).unwrap();
    let fields: Vec<u64> = stat[stat.rfind(')').unwrap() + 2..]
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    // A hundredth of a second, on every Linux.
    Duration::from_millis(10 * (fields[0] + fields[1]))
}
