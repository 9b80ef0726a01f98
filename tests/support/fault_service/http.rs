//! The service over HTTP, plain or inside TLS.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::{Bytes, Request, Script, Shared, Stream, Then};

/// Serves whoever comes, each in a thread of its own that ends with the test's process; the port.
pub(super) fn listen(
    shared: &Arc<Shared>,
    wrap: impl Fn(TcpStream) -> Option<Box<dyn Bytes>> + Send + Sync + 'static,
    script: Arc<Script>,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let wrap = Arc::new(wrap);
    let accepting = Arc::clone(shared);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (shared, script) = (Arc::clone(&accepting), Arc::clone(&script));
            let wrap = Arc::clone(&wrap);
            let stream = stream.unwrap();
            let connection = shared.connected();
            thread::spawn(move || {
                if let Some(bytes) = wrap(stream) {
                    // A peer that goes away in the middle is no fault of the test.
                    let _ = serve(&shared, connection, &*script, &mut Http(bytes));
                }
            });
        }
    });
    port
}

/// A connection that speaks HTTP.
struct Http(Box<dyn Bytes>);

impl Read for Http {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Http {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Http {
    fn answer(&mut self, status: &str, body: &str) -> io::Result<()> {
        if body.is_empty() && status.starts_with("204 ") {
            return self.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes());
        }
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.write_all(format!("{head}{body}").as_bytes())
    }
}

/// Requests are read one after the other until somebody closes.
fn serve(
    shared: &Shared,
    connection: usize,
    script: &Script,
    stream: &mut dyn Stream,
) -> io::Result<()> {
    while let Some(mut request) = read_request(shared, stream)? {
        request.connection = connection;
        shared.came(&mut request);
        if script(&request, stream)? != Then::KeepAlive {
            break;
        }
    }
    Ok(())
}

fn read_request(shared: &Shared, stream: &mut dyn Stream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if !read_some(shared, stream, &mut bytes)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default().to_owned();
    let path = first.next().unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + length {
        if !read_some(shared, stream, &mut bytes)? {
            return Ok(None);
        }
    }
    let request = Request {
        method,
        path,
        headers,
        body: bytes.split_off(head_end),
        registrations_before: 0,
        connection: 0,
    };
    Ok(Some(request))
}

fn read_some(shared: &Shared, stream: &mut dyn Stream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    let length = stream.read(&mut buffer)?;
    bytes.extend_from_slice(&buffer[..length]);
    shared.received(&buffer[..length]);
    Ok(length > 0)
}
