//! 100 clients, each with a thread that sends 100 messages.

use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use superstream_veltix::Request;

use crate::measure::*;

pub fn stress() -> Value {
    const CLIENTS: usize = 100;
    const EACH: usize = 100;
    const TOTAL: usize = CLIENTS * EACH;
    let server = server();
    // How many, the first and the last: under one lock, as in the original.
    let received = Arc::new(Mutex::new((0, None, None)));
    let state = Arc::clone(&received);
    server.on_recv(move |_, _| {
        let now = Instant::now();
        let mut state = state.lock().unwrap();
        state.0 += 1;
        state.1.get_or_insert(now);
        state.2 = Some(now);
    });
    server.start().unwrap();
    sleep(Duration::from_millis(500));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(connect(&server));
        sleep(Duration::from_millis(3));
    }
    sleep(Duration::from_millis(500));
    let senders: Vec<_> = clients.iter().map(|client| client.sender()).collect();
    let request = Request::new(PLAYER_MOVE, vec![0; 32]);
    let before = ram_kb();

    let start = Instant::now();
    let times: Vec<f64> = thread::scope(|scope| {
        let threads: Vec<_> = senders
            .iter()
            .map(|sender| {
                let request = &request;
                scope.spawn(move || {
                    let start = Instant::now();
                    for _ in 0..EACH {
                        sender.send(request).unwrap();
                    }
                    start.elapsed().as_secs_f64()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let sending = start.elapsed().as_secs_f64();
    while received.lock().unwrap().0 < TOTAL && start.elapsed() < Duration::from_secs(15) {
        sleep(Duration::from_millis(50));
    }
    let whole = start.elapsed().as_secs_f64();
    let after = ram_kb();

    let (count, first, last) = *received.lock().unwrap();
    let ms = |at: Option<Instant>| at.map_or(0.0, |at| (at - start).as_secs_f64() * 1000.0);
    let each = sorted(times.iter().map(|time| EACH as f64 / time).collect());
    for client in &clients {
        client.disconnect();
    }
    server.close_all();
    json!({
        "num_clients": CLIENTS,
        "msgs_per_client": EACH,
        "total_sent": TOTAL,
        "total_recv": count,
        "success_rate": round(count as f64 / TOTAL as f64 * 100.0, 2),
        "throughput": round(count as f64 / whole, 1),
        "throughput_by_last_arrival": round(count as f64 / ms(last) * 1000.0, 1),
        "duration_s": round(whole, 4),
        "ram_delta_mb": round((after - before) / 1024.0, 2),
        "send_phase_s": round(sending, 4),
        "drain_time_s": round(whole - sending, 4),
        "time_to_first_recv_ms": round(ms(first), 3),
        "last_recv_ms": round(ms(last), 3),
        "per_client_tps_avg": round(mean(&each), 1),
        "per_client_tps_min": round(each[0], 1),
        "per_client_tps_max": round(each[each.len() - 1], 1),
        "per_client_tps_stdev": round(stdev(&each), 1),
    })
}
