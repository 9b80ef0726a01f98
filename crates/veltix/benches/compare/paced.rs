//! Players who all move at each tick: how long a tick takes, and how much processor time.

use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use superstream_veltix::Request;

use crate::measure::*;

pub fn fps(players: usize, rate: u32) -> Value {
    let server = server();
    let received = Arc::new(Mutex::new(0_usize));
    let count = Arc::clone(&received);
    server.on_recv(move |_, _| *count.lock().unwrap() += 1);
    server.start().unwrap();
    sleep(Duration::from_millis(500));
    let mut clients = Vec::new();
    for _ in 0..players {
        clients.push(connect(&server));
        sleep(Duration::from_millis(5));
    }
    sleep(Duration::from_millis(500));
    let senders: Vec<_> = clients.iter().map(|client| client.sender()).collect();
    let moves = Request::new(PLAYER_MOVE, vec![0; 32]);
    let shots = Request::new(PLAYER_SHOOT, vec![0; 16]);
    let before = ram_kb();
    let interval = 1.0 / f64::from(rate);
    let (mut sent, mut overruns) = (0_usize, 0_usize);
    let mut ticks = Vec::new();

    let (start, cpu_start) = (Instant::now(), cpu());
    while start.elapsed() < Duration::from_secs(5) {
        let tick = Instant::now();
        for (index, sender) in senders.iter().enumerate() {
            sender.send(&moves).unwrap();
            sent += 1;
            let tenth = (start.elapsed().as_secs_f64() * 10.0) as usize;
            if index % 10 == tenth % 10 {
                sender.send(&shots).unwrap();
                sent += 1;
            }
        }
        let took = tick.elapsed().as_secs_f64();
        ticks.push(took * 1000.0);
        if took > interval {
            overruns += 1;
        } else {
            sleep(Duration::from_secs_f64(interval - took));
        }
    }
    let whole = start.elapsed().as_secs_f64();
    let used = cpu() - cpu_start;
    sleep(Duration::from_millis(500));
    let after = ram_kb();

    let count = *received.lock().unwrap();
    let ticks = sorted(ticks);
    for client in &clients {
        client.disconnect();
    }
    server.close_all();
    json!({
        "players": players,
        "tick_rate": rate,
        "actual_tick_rate": round(ticks.len() as f64 / whole, 2),
        "duration_s": round(whole, 3),
        "total_sent": sent,
        "total_recv": count,
        "msg_per_sec": round(sent as f64 / whole, 1),
        "success_rate": round(count as f64 / sent as f64 * 100.0, 2),
        "ram_delta_mb": round((after - before) / 1024.0, 2),
        "errors": 0,
        "tick_avg_ms": round(mean(&ticks), 3),
        "tick_min_ms": round(ticks[0], 3),
        "tick_max_ms": round(ticks[ticks.len() - 1], 3),
        "tick_stdev_ms": round(stdev(&ticks), 3),
        "tick_budget_pct": round((1.0 - overruns as f64 / ticks.len() as f64) * 100.0, 1),
        "overrun_ticks": overruns,
        "cpu_percent": round(used.as_secs_f64() / whole * 100.0, 1),
    })
}
