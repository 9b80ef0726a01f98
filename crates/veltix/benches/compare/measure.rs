//! Clocks, memory, and what is made of many figures.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use superstream_veltix::{
    Client, ClientConfig, MessageType, PerformanceMode, Server, ServerConfig,
};

pub const PLAYER_MOVE: MessageType = MessageType::of(401);
pub const PLAYER_SHOOT: MessageType = MessageType::of(402);

pub fn server() -> Server {
    server_in(PerformanceMode::default())
}

pub fn server_in(mode: PerformanceMode) -> Server {
    let mut config = ServerConfig::new("127.0.0.1", 0);
    config.performance_mode = mode;
    Server::new(config).unwrap()
}

pub fn connect(server: &Server) -> Client {
    connect_in(server, PerformanceMode::default())
}

pub fn connect_in(server: &Server, mode: PerformanceMode) -> Client {
    let port = server.local_addr().unwrap().port();
    let mut config = ClientConfig::new("127.0.0.1", port);
    config.performance_mode = mode;
    let client = Client::new(config).unwrap();
    client.connect().unwrap();
    client
}

/// Kilobytes that the process has in memory.
pub fn ram_kb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Processor time of the whole process.
pub fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: u64 = stat[stat.rfind(')').unwrap() + 2..]
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(10 * ticks)
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub fn stdev(values: &[f64]) -> f64 {
    let mean = mean(values);
    let sum: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (sum / (values.len() - 1) as f64).sqrt()
}

/// As the original: `sorted[int(n * p / 100)]`.
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

pub fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// With so many digits behind the point.
pub fn round(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}

/// Microseconds of single round trips.
pub fn distribution(values: Vec<f64>) -> Value {
    let values = sorted(values);
    json!({
        "count": values.len(),
        "avg_us": round(mean(&values), 2),
        "p50_us": round(percentile(&values, 50), 2),
        "p95_us": round(percentile(&values, 95), 2),
        "p99_us": round(percentile(&values, 99), 2),
        "max_us": round(values[values.len() - 1], 2),
    })
}

pub fn system() -> Value {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!({
        "cpu_logical": processors,
        "os": std::env::consts::OS,
        "machine": std::env::consts::ARCH,
        "load_average": load.split(' ').next(),
    })
}
