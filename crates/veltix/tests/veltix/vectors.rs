//! The bytes that the Python library was seen to send.

use superstream_veltix::frames::{Decoder, Wire};
use superstream_veltix::{MessageType, RequestId};

/// Name, type, payload, milliseconds since 1970, id and what was captured.
type Captured = (&'static str, u16, &'static [u8], u64, u32, &'static str);

const CAPTURED: [Captured; 8] = [
    (
        "HELLO of a server",
        10,
        b"\x00\x051.6.3",
        1_795_249_276_537,
        0x29a9_f846,
        "000a00000007853cf6ee000001a1fd32067929a9f8460005312e362e33",
    ),
    (
        "HELLO_ACK of a client",
        11,
        b"\x00\x051.6.3",
        1_795_249_278_740,
        0xaabb_ccdd,
        "000b00000007853cf6ee000001a1fd320f14aabbccdd0005312e362e33",
    ),
    (
        "PING of a server",
        0,
        b"",
        1_795_249_276_738,
        0x074d_b1ef,
        "00000000000000000000000001a1fd320742074db1ef",
    ),
    (
        "PONG of a server",
        1,
        b"",
        1_795_249_276_737,
        0x0102_0304,
        "00010000000000000000000001a1fd32074101020304",
    ),
    (
        "PING of a client",
        0,
        b"",
        1_795_249_278_740,
        0xdbb2_c0c0,
        "00000000000000000000000001a1fd320f14dbb2c0c0",
    ),
    (
        "PONG of a client",
        1,
        b"",
        1_795_249_279_041,
        0x0a0b_0c0d,
        "00010000000000000000000001a1fd3210410a0b0c0d",
    ),
    (
        "request",
        200,
        b"Hello Server!",
        1_795_249_279_041,
        0xdead_beef,
        "00c80000000d2b8cf0b3000001a1fd321041deadbeef48656c6c6f2053657276657221",
    ),
    (
        "empty request",
        200,
        b"",
        1_795_249_279_041,
        1,
        "00c80000000000000000000001a1fd32104100000001",
    ),
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn captured_frames_are_read_and_written_byte_for_byte() {
    for (name, code, payload, timestamp, id, hex) in CAPTURED {
        let captured = bytes(hex);
        let mut decoder = Decoder::new(Wire::V1, 1024);
        let frame = decoder
            .next(&mut captured.as_slice())
            .unwrap()
            .unwrap_or_else(|| panic!("{name}: incomplete"));
        assert_eq!(frame.message_type, MessageType::of(code), "{name}");
        assert_eq!(frame.payload, payload, "{name}");
        assert_eq!(frame.timestamp_ms, timestamp, "{name}");
        assert_eq!(frame.id, RequestId(id), "{name}");
        let mut written = Vec::new();
        Wire::V1.encode(
            frame.message_type,
            frame.id,
            timestamp,
            payload,
            &mut written,
        );
        assert_eq!(written, captured, "{name}");
    }
}

#[test]
fn frames_of_2_0_0_are_as_its_source_says() {
    let mut written = Vec::new();
    Wire::V2.encode(
        MessageType::of(200),
        RequestId(0x0102),
        99,
        b"Hello Server!",
        &mut written,
    );
    assert_eq!(
        written,
        bytes("56580000c80000000d2b8cf0b3010248656c6c6f2053657276657221")
    );
    let frame = Decoder::new(Wire::V2, 1024)
        .next(&mut written.as_slice())
        .unwrap()
        .unwrap();
    assert_eq!(frame.id, RequestId(0x0102));
    assert_eq!(frame.timestamp_ms, 0);
    assert_eq!(frame.payload, b"Hello Server!");
}
