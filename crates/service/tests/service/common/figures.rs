//! Figures as a client would report them.

use serde_json::{Value, json};

use super::Service;

/// What a client has produced to a topic since its creation.
#[derive(Clone, Copy)]
pub struct Produced {
    pub topic: &'static str,
    pub ms: u64,
    pub records: u64,
    pub bytes: u64,
    pub requests: u64,
    pub wire_bytes: u64,
}

/// Enough to compare others with: 2 records a request, and 1.1 bytes sent for each of payload.
pub const STOCK: Produced = Produced {
    topic: "orders",
    ms: 1_000,
    records: 2_000,
    bytes: 200_000,
    requests: 1_000,
    wire_bytes: 220_000,
};

/// A tenth of the requests and a quarter of the bytes of [`STOCK`].
pub const TUNED: Produced = Produced {
    requests: 100,
    wire_bytes: 55_000,
    ..STOCK
};

impl Produced {
    pub fn times(self, factor: u64) -> Self {
        Self {
            ms: self.ms * factor,
            records: self.records * factor,
            bytes: self.bytes * factor,
            requests: self.requests * factor,
            wire_bytes: self.wire_bytes * factor,
            ..self
        }
    }

    pub fn measured(self) -> Value {
        let records = json!({"records": self.records, "bytes": self.bytes});
        json!({
            "duration_ms": self.ms,
            "topics": {self.topic: {"accepted": records, "delivered": records}},
            "brokers": [{
                "id": 1, "name": "kafka:9092/1",
                "sent": {"requests": self.requests + 2, "bytes": self.wire_bytes + 80},
                "produce": {"requests": self.requests, "bytes": self.wire_bytes},
                "round_trip_us": {"80": self.requests},
            }],
            "delivery_latency_us": {"100": self.records},
            "latency_sampled": 1,
        })
    }

    pub fn report(self, hash: &str, sequence: u64) -> Value {
        json!({"client_hash": hash, "sequence": sequence, "measured": self.measured()})
    }
}

pub fn producer(client_id: &str) -> Value {
    json!({"type": "producer", "config": {"client.id": client_id}})
}

/// A new client that runs without changes.
pub fn stock(service: &Service, client_id: &str) -> String {
    configured(service, client_id, &json!({"changes": []}))
}

/// A new client that took advice.
pub fn tuned(service: &Service, client_id: &str) -> String {
    configured(service, client_id, &changed())
}

/// The configuration of a client that took advice.
pub fn changed() -> Value {
    let change = json!({"key": "linger.ms", "new": "100", "reason": "advice"});
    json!({"changes": [change]})
}

pub fn configured(service: &Service, client_id: &str, config: &Value) -> String {
    registered(service, &producer(client_id), config)
}

/// A new client of this registration and configuration.
pub fn registered(service: &Service, registration: &Value, config: &Value) -> String {
    let hash = service.register(registration);
    let path = format!("/v1/clients/{hash}/config");
    assert_eq!(service.send("PUT", &path, config).0, 204);
    hash
}

/// Sends reports together; what became of each.
pub fn send(service: &Service, reports: &[Value]) -> Vec<Value> {
    let (status, answer) = service.send("POST", "/v1/reports", &json!({"reports": reports}));
    assert_eq!(status, 200, "{answer}");
    answer["reports"].as_array().unwrap().clone()
}

/// What is shown of a client.
pub fn shown(service: &Service, hash: &str) -> Value {
    let (status, client) = service.get(&format!("/v1/clients/{hash}"));
    assert_eq!(status, 200, "{client}");
    client
}
