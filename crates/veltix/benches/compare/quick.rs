//! Memory, and 10,000 messages of one client.

use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use superstream_veltix::Request;

use crate::measure::*;

pub fn memory() -> Value {
    let baseline = ram_kb();
    let server = server();
    server.start().unwrap();
    sleep(Duration::from_millis(300));
    let idle = ram_kb() - baseline;
    let mut clients = Vec::new();
    let mut costs = Vec::new();
    for _ in 0..10 {
        let before = ram_kb();
        clients.push(connect(&server));
        sleep(Duration::from_millis(50));
        costs.push(ram_kb() - before);
    }
    let ram_10 = ram_kb();
    for _ in 0..40 {
        clients.push(connect(&server));
        sleep(Duration::from_millis(10));
    }
    sleep(Duration::from_millis(500));
    let ram_50 = ram_kb();
    for client in &clients {
        client.disconnect();
    }
    server.close_all();
    sleep(Duration::from_millis(500));
    let after = ram_kb();
    let costs = sorted(costs);
    let thread = idle_thread_kb();
    json!({
        "idle_thread_kb": thread,
        "baseline_kb": baseline,
        "server_idle_kb": idle,
        "client_cost_avg_kb": round(mean(&costs), 1),
        "client_cost_min_kb": costs[0],
        "client_cost_max_kb": costs[9],
        "client_cost_median_kb": round((costs[4] + costs[5]) / 2.0, 1),
        "client_cost_stdev_kb": round(stdev(&costs), 1),
        "ram_10_clients_kb": ram_10,
        "ram_50_clients_kb": ram_50,
        "client_cost_10_to_50_kb": round((ram_50 - ram_10) / 40.0, 2),
        "ram_after_teardown_kb": after,
        "leak_kb": after - baseline,
    })
}

/// What a thread for each connection would cost, before it does anything.
fn idle_thread_kb() -> f64 {
    const COUNT: usize = 50;
    let before = ram_kb();
    let (ends, end) = std::sync::mpsc::channel::<()>();
    let end = Arc::new(Mutex::new(end));
    let threads: Vec<_> = (0..COUNT)
        .map(|_| {
            let end = Arc::clone(&end);
            std::thread::spawn(move || {
                // Until nobody can send any more.
                let _ = end.lock().map(|end| end.recv());
            })
        })
        .collect();
    sleep(Duration::from_millis(100));
    let cost = (ram_kb() - before) / COUNT as f64;
    drop(ends);
    for thread in threads {
        thread.join().unwrap();
    }
    round(cost, 2)
}

pub fn burst() -> Value {
    const COUNT: usize = 10_000;
    const SIZE: usize = 64;
    let server = server();
    let received = Arc::new(Mutex::new(Vec::new()));
    let stamps = Arc::clone(&received);
    server.on_recv(move |_, _| stamps.lock().unwrap().push(Instant::now()));
    server.start().unwrap();
    sleep(Duration::from_millis(300));
    let client = connect(&server);
    sleep(Duration::from_millis(200));
    let sender = client.sender();
    let request = Request::new(PLAYER_MOVE, vec![b'X'; SIZE]);

    let start = Instant::now();
    for _ in 0..COUNT {
        sender.send(&request).unwrap();
    }
    let sending = start.elapsed().as_secs_f64();
    while received.lock().unwrap().len() < COUNT && start.elapsed() < Duration::from_secs(10) {
        sleep(Duration::from_millis(50));
    }
    let whole = start.elapsed().as_secs_f64();

    let stamps = received.lock().unwrap().clone();
    let latencies = sorted(
        stamps
            .iter()
            .map(|stamp| (*stamp - start).as_secs_f64() * 1000.0)
            .collect(),
    );
    let gaps: Vec<f64> = latencies.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let last = latencies[latencies.len() - 1];
    client.disconnect();
    server.close_all();
    json!({
        "count": COUNT,
        "payload_bytes": SIZE,
        "send_throughput": round(COUNT as f64 / sending, 1),
        "recv_throughput": round(stamps.len() as f64 / whole, 1),
        "recv_throughput_by_last_arrival": round(stamps.len() as f64 / last * 1000.0, 1),
        "data_mbps": round((stamps.len() * SIZE) as f64 / whole / 1_048_576.0, 3),
        "success_rate": round(stamps.len() as f64 / COUNT as f64 * 100.0, 2),
        "duration_s": round(whole, 4),
        "send_duration_s": round(sending, 4),
        "recv_lat_p50_ms": round(percentile(&latencies, 50), 3),
        "recv_lat_p95_ms": round(percentile(&latencies, 95), 3),
        "recv_lat_p99_ms": round(percentile(&latencies, 99), 3),
        "recv_lat_max_ms": round(last, 3),
        "recv_jitter_ms": round(stdev(&gaps), 4),
    })
}
