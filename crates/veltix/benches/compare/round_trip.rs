//! How long one message and its answer take.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use superstream_veltix::{
    Address, Connection, ConnectionOptions, MessageType, PerformanceMode, Request,
};

use crate::measure::*;

const TIMEOUT: Duration = Duration::from_secs(2);
const ECHO: MessageType = MessageType::of(200);

/// The original's row: 2,000 pings. Its figure is whole milliseconds of one way; ours is the round
/// trip.
pub fn latency() -> Value {
    let server = server();
    server.start().unwrap();
    thread::sleep(Duration::from_millis(300));
    let client = connect(&server);
    thread::sleep(Duration::from_millis(200));
    for _ in 0..20 {
        client.ping_server(TIMEOUT).unwrap();
    }
    let start = Instant::now();
    let samples: Vec<f64> = (0..2000)
        .map(|_| client.ping_server(TIMEOUT).unwrap().as_secs_f64() * 1000.0)
        .collect();
    let whole = start.elapsed().as_secs_f64();
    let samples = sorted(samples);
    client.disconnect();
    server.close_all();
    json!({
        "count": samples.len(),
        "avg_ms": round(mean(&samples), 4),
        "p50_ms": round(percentile(&samples, 50), 4),
        "p95_ms": round(percentile(&samples, 95), 4),
        "p99_ms": round(percentile(&samples, 99), 4),
        "min_ms": round(samples[0], 4),
        "max_ms": round(samples[samples.len() - 1], 4),
        "stdev_ms": round(stdev(&samples), 4),
        "ping_per_sec": round(samples.len() as f64 / whole, 1),
    })
}

fn many(mut once: impl FnMut()) -> Value {
    for _ in 0..100 {
        once();
    }
    let samples = (0..3000)
        .map(|_| {
            let start = Instant::now();
            once();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    distribution(samples)
}

/// By a monotonic clock, 3,000 of each.
pub fn round_trip() -> Value {
    let (ping, echo) = of_client(PerformanceMode::default());
    let (ping_high, echo_high) = of_client(PerformanceMode::High);
    json!({
        "ping": ping,
        "echo_64_bytes": echo,
        "ping_high": ping_high,
        "echo_64_bytes_high": echo_high,
        "ping_of_the_connection_without_a_thread": of_connection(),
        "two_bare_threads": many_bare(),
    })
}

/// A ping, and 64 bytes through a route.
fn of_client(mode: PerformanceMode) -> (Value, Value) {
    let server = server_in(mode);
    server.route(ECHO, |client, response| {
        let reply = Request::reply_to(&response, ECHO, response.content.clone());
        client.send(&reply).unwrap();
    });
    server.start().unwrap();
    let client = connect_in(&server, mode);
    let request = Request::new(ECHO, vec![b'x'; 64]);
    let ping = many(|| {
        client.ping_server(TIMEOUT).unwrap();
    });
    let echo = many(|| {
        client.send_and_wait(&request, TIMEOUT).unwrap();
    });
    client.disconnect();
    server.close_all();
    (ping, echo)
}

/// A ping, without an endpoint on the client's side.
fn of_connection() -> Value {
    let server = server();
    server.start().unwrap();
    let address = Address::new("127.0.0.1", server.local_addr().unwrap().port());
    let deadline = Instant::now() + Duration::from_secs(60);
    let options = ConnectionOptions::default();
    let mut connection = Connection::open(&address, &options, deadline).unwrap();
    let ping = many(|| {
        connection.ping(deadline).unwrap();
    });
    drop(connection);
    server.close_all();
    ping
}

/// What the system itself takes: 22 bytes to and fro between two threads that do nothing else.
fn many_bare() -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut there, _) = listener.accept().unwrap();
    here.set_nodelay(true).unwrap();
    there.set_nodelay(true).unwrap();
    let answering = thread::spawn(move || {
        let mut frame = [0; 22];
        while there.read_exact(&mut frame).is_ok() {
            there.write_all(&frame).unwrap();
        }
    });
    let mut frame = [0; 22];
    let result = many(|| {
        here.write_all(&frame).unwrap();
        here.read_exact(&mut frame).unwrap();
    });
    drop(here);
    answering.join().unwrap();
    result
}
