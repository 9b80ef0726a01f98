//! The unchanged Python library as server and as client.

mod apart;
mod several;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use superstream_veltix::frames::Wire;
use superstream_veltix::{Address, Connection, MessageType, Next, Request, Server};

use crate::support::*;

const VERSIONS: [(&str, Wire); 2] = [("1.6.3", Wire::V1), ("2.0.0rc1", Wire::V2)];

/// The most that the Python library takes.
fn most(wire: Wire) -> usize {
    10 * 1024 * 1024 - wire.header_size()
}

/// The most that it gives: 2.0.0rc1 begins a frame again that does not go out in one piece.
fn most_back(wire: Wire) -> usize {
    match wire {
        Wire::V1 => most(wire),
        Wire::V2 => 10_000,
    }
}

/// A program of the Python library. It ends with this.
struct Python {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

fn interpreter(version: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(root.join("tests/python/venv"))
        .arg(format!("veltix-{version}"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

impl Python {
    fn client(version: &str, port: u16) -> Self {
        Self::new(version, &["client", &port.to_string()])
    }

    fn new(version: &str, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/veltix/peer.py");
        let mut child = Command::new(interpreter(version))
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // Its own logger's lines begin with the time, in brackets and perhaps in colours.
                if !line.starts_with(['[', '\x1b']) && sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            input: child.stdin.take().unwrap(),
            child,
            lines,
        }
    }

    fn server(version: &str, port: u16) -> Self {
        let python = Self::new(version, &["server", &port.to_string()]);
        python.says("ready");
        python
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Reads on until it says this, and gives all up to there.
    #[track_caller]
    fn says(&self, wanted: &str) -> Vec<String> {
        let mut heard: Vec<String> = Vec::new();
        while heard.last().is_none_or(|line| line != wanted) {
            let Ok(line) = self.lines.recv_timeout(LONG) else {
                panic!("not {wanted:?}, but {heard:?}");
            };
            assert!(!line.starts_with("failed "), "{line}, after {heard:?}");
            heard.push(line);
        }
        heard
    }

    /// Of 1.6.3 a send that takes longer than half a second is cut off in the middle, which long
    /// frames do on a machine that is busy with other tests. For those alone the program sets another
    /// time, by the library's own call for one socket.
    fn be_patient(&mut self) {
        self.tell("patient");
        self.says("patient True");
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn our_client_and_its_server() {
    for (version, wire) in VERSIONS {
        let reserved = Reserved::new();
        let port = reserved.port();
        let mut python = Python::server(version, port);
        let client = client_with(port, |config| {
            config.retry = 1000;
            config.retry_delay = Duration::from_millis(20);
            config.retry_delay_max = Duration::from_millis(100);
        });
        let (events, happened) = channel();
        let (connects, losses) = (events.clone(), events.clone());
        client.on_connect(move || connects.send("connect".to_owned()).unwrap());
        client.on_disconnect(move |state| {
            if state.attempt == 0 {
                losses.send(format!("lost {:?}", state.reason)).unwrap();
            }
        });
        client.on_recv(move |response| events.send(response.text().unwrap().to_owned()).unwrap());
        let sender = client.sender();
        client.route(CHAT, move |response| {
            let answer = format!("{}!", response.text().unwrap());
            sender
                .send(&Request::reply_to(&response, CHAT, answer))
                .unwrap();
        });
        client.connect().unwrap();
        assert_eq!(client.wire().unwrap(), wire);
        assert_eq!(next(&happened), "connect");
        python.says("connect");

        let ask = |content: &[u8]| {
            client
                .send_and_wait(&Request::new(CHAT, content).expecting(CHAT), LONG)
                .unwrap()
        };
        assert_eq!(ask(b"hello").content, b"hello");
        // Both look at one clock. In another byte order it would be centuries.
        let sane = |ms: i64| (0..LONG.as_millis() as i64).contains(&ms);
        let one_way = ask(b"hello").one_way_ms();
        match wire {
            Wire::V1 => assert!(one_way.is_some_and(sane), "{one_way:?}"),
            Wire::V2 => assert_eq!(one_way, None),
        }
        assert_eq!(ask(b"").content, b"");
        python.be_patient();
        let big = vec![b'7'; most_back(wire)];
        assert_eq!(ask(&big).content, big);
        client
            .send_within(&Request::new(OTHER, vec![7; most(wire)]), LONG)
            .unwrap();
        python.says(&format!("recv {} bytes of 7", most(wire)));
        client.ping_server(LONG).unwrap();
        python.tell("ping");
        python.says("pong True");
        python.tell("ask you");
        python.says("answer you!");
        python.tell("broadcast to all");
        python.says("sent True");
        assert_eq!(next(&happened), "to all");
        client.send(&Request::new(OTHER, "plain")).unwrap();
        python.says("recv plain");

        python.kill();
        let lost = next(&happened);
        assert!(lost.starts_with("lost "), "{lost}");
        let mut python = Python::server(version, port);
        assert_eq!(next(&happened), "connect");
        assert_eq!(ask(b"again").content, b"again");
        // Routes are still there.
        python.tell("ask you");
        python.says("answer you!");
        assert!(client.disconnect());
        python.says("disconnect");
    }
}

fn our_server(wire: Wire, port: u16) -> Server {
    let server = server_with(|config| {
        config.session.wire = Some(wire);
        config.port = port;
    });
    server.start().unwrap();
    server
}

#[test]
fn our_server_and_its_client() {
    for (version, wire) in VERSIONS {
        let reserved = Reserved::new();
        let port = reserved.port();
        let server = our_server(wire, port);
        let (messages, received) = channel();
        server.on_recv(move |_, response| {
            messages.send(response.text().unwrap().to_owned()).unwrap();
        });
        let mut python = Python::client(version, port);
        python.says("connected True");
        until("it is known", || server.clients().len() == 1);
        let peer = server.clients().remove(0);

        python.tell("ask hello");
        python.says("answer hello");
        python.be_patient();
        let size = most_back(wire);
        python.tell(&format!("big {size}"));
        python.says(&format!("answer {size} bytes of 120"));
        python.tell("ping");
        python.says("pong True");
        python.tell("send plain");
        assert_eq!(next(&received), "plain");
        peer.ping(LONG).unwrap();
        let reply = peer.send_and_wait(&Request::new(CHAT, "you"), LONG);
        assert_eq!(reply.unwrap().content, b"you");
        let big = Request::new(CHAT, vec![9; size]);
        assert_eq!(peer.send_and_wait(&big, LONG).unwrap().content, big.content);
        peer.send(&Request::new(OTHER, vec![8; most(wire)]))
            .unwrap();
        python.says(&format!("recv {} bytes of 8", most(wire)));
        assert_eq!(
            server.broadcast(&Request::new(OTHER, "to all"), &[]).sent,
            1
        );
        python.says("recv to all");

        // Our end goes away and comes back; it finds us by itself.
        assert!(server.close_all());
        drop(server);
        let server = our_server(wire, port);
        python.says("connect 2");
        until("it is known again", || server.clients().len() == 1);
        python.tell("ask again");
        python.says("answer again");
        let again = server.clients().remove(0);
        assert!(again.ping(LONG).is_ok());
        python.tell("disconnect");
        until("it is gone", || server.clients().is_empty());
    }
}

#[test]
fn our_connection_without_a_thread_and_its_server() {
    for (version, wire) in VERSIONS {
        let reserved = Reserved::new();
        let port = reserved.port();
        let mut python = Python::server(version, port);
        let address = Address::new("127.0.0.1", port);
        let later = || Instant::now() + LONG;
        let mut connection = Connection::open(&address, &unhurried(), later()).unwrap();
        assert_eq!(connection.wire(), wire);
        python.says("connect");
        python.be_patient();
        let request = Request::new(CHAT, vec![1; most_back(wire)]);
        let reply = connection.send_and_wait(&request, later()).unwrap();
        assert_eq!(reply.content, request.content);
        connection.ping(later()).unwrap();
        python.tell("send news");
        let Next::Message(news) = connection.next(later()).unwrap() else {
            panic!("no message");
        };
        assert_eq!((news.message_type, news.content), (OTHER, b"news".to_vec()));
        assert_eq!(news.message_type, MessageType::of(201));
        // A server of 1.6.3 never ends its side: it loses the socket, and keeps it open.
        let most = match wire {
            Wire::V1 => Duration::from_secs(1),
            Wire::V2 => LONG,
        };
        connection.close(Instant::now() + most).unwrap();
        python.says("disconnect");
    }
}
