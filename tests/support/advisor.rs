//! A service that says yes to everything and gives whatever advice the test put into it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// The service's one thread ends with the test's process.
pub struct Advisor {
    /// The value for `SUPERSTREAM_HOST`.
    pub host: String,
    advice: Arc<Mutex<Value>>,
}

impl Advisor {
    /// Listens on a port that the system picks.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("http://{}", listener.local_addr().unwrap());
        let advice = Arc::new(Mutex::new(json!({})));
        let given = Arc::clone(&advice);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // A client may go away at any time.
                let _ = answer_all(connection, &given);
            }
        });
        Self { host, advice }
    }

    /// What the next client is told.
    pub fn advise(&self, advice: Value) {
        *self.advice.lock().unwrap() = advice;
    }
}

fn answer_all(connection: TcpStream, advice: &Mutex<Value>) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    loop {
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let answer = json!({
            "client_hash": "h",
            "start": true,
            "optimized_configuration": *advice.lock().unwrap(),
        })
        .to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        reader.get_mut().write_all((head + &answer).as_bytes())?;
    }
}
