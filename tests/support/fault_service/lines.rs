//! What a NATS client says, as far as tests need to know: who it is and where it listens.

use serde_json::Value;

/// Reads along, however the bytes are cut.
#[derive(Default)]
pub struct Lines {
    /// The last CONNECT.
    pub connect: Option<Value>,
    /// The subjects of all SUBs, ended or not, and their numbers.
    pub subscriptions: Vec<(String, String)>,
    /// How often it has answered that it is there.
    pub pongs: usize,
    /// All bytes.
    pub length: usize,
    line: Vec<u8>,
    /// So many bytes are still of a payload.
    payload: usize,
}

impl Lines {
    pub fn heed(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len();
        while let Some(first) = bytes.first() {
            if self.payload > 0 {
                let skipped = self.payload.min(bytes.len());
                self.payload -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            if *first == b'\n' {
                self.control();
            } else {
                self.line.push(*first);
            }
            bytes = &bytes[1..];
        }
    }

    fn control(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let line = line.trim_end();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word.to_ascii_uppercase().as_str() {
            "CONNECT" => self.connect = serde_json::from_str(rest).ok(),
            "SUB" => {
                let mut words = rest.split_whitespace().map(str::to_owned);
                let both = words.next().zip(words.next_back());
                self.subscriptions.extend(both);
            }
            "PUB" | "HPUB" => {
                let length = rest.split_whitespace().next_back();
                // With the CR and LF behind it.
                self.payload = length.map_or(0, |length| length.parse().unwrap_or(0)) + 2;
            }
            "PONG" => self.pongs += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_read_along_however_its_bytes_are_cut() {
        let said =
            b"CONNECT {\"pass\":\"x\"}\r\nPING\r\nSUB _INBOX.a.* 7\r\nPUB a _INBOX.a.1 10\r\n\
                     SUB b 8\r\n \r\nSUB c group 9\r\nPONG\r\n";
        for length in [1, 3, said.len()] {
            let mut lines = Lines::default();
            for piece in said.chunks(length) {
                lines.heed(piece);
            }
            assert_eq!(lines.connect.unwrap()["pass"], "x");
            let expected = [("_INBOX.a.*", "7"), ("c", "9")];
            let expected = expected.map(|(subject, sid)| (subject.to_owned(), sid.to_owned()));
            assert_eq!(lines.subscriptions, expected);
            assert_eq!((lines.pongs, lines.length), (1, said.len()));
        }
    }
}
