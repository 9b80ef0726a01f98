//! What a record costs the application's thread, beside the engine's own work: no allocation and no
//! system call, in few topics and in more than are told apart.

use std::fs;

use superstream_tests::fault_service::FaultService;
use superstream_tests::{Library, compile, run, scratch, tool, unique, with_library};

const RECORDS: u32 = 20_000;
/// Few, and more than reports tell apart.
const TOPICS: [u32; 2] = [3, 200];

#[test]
fn records_allocate_no_more_than_without_us() {
    let program = compile("tests/c/per_record.c");
    let service = FaultService::advising(serde_json::json!({}));
    for topics in TOPICS {
        let [stock, ours] = [Library::Stock, Library::DropIn].map(|library| {
            let mut command = with_library(library, &program);
            command.args([topics.to_string(), RECORDS.to_string()]);
            command
                .env("SUPERSTREAM_HOST", service.url())
                .env("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
            run(&mut command).trim().parse::<u32>().unwrap()
        });
        assert!(stock >= RECORDS, "{topics} topics: {stock}");
        assert_eq!(ours, stock, "{topics} topics");
    }
    // Each of ours had its client registered, so it was counted.
    let registered = service.requests();
    let registered = registered.iter().filter(|request| request.registers());
    assert_eq!(registered.count(), TOPICS.len());
}

#[test]
fn records_make_no_system_calls() {
    let program = compile("tests/c/per_record.c");
    let service = FaultService::advising(serde_json::json!({}));
    for topics in TOPICS {
        let trace = unique(scratch(), "per-record");
        let folder = Library::DropIn.folder();
        let mut command = tool("strace");
        command
            .args(["-f", "-o"])
            .arg(&trace)
            .arg("-E")
            .arg(format!("LD_LIBRARY_PATH={}", folder.display()))
            .arg("-E")
            .arg(format!("SUPERSTREAM_HOST={}", service.url()))
            .args(["-E", "SUPERSTREAM_RESPONSE_TIMEOUT=60000"])
            .arg(&program)
            .args([topics.to_string(), RECORDS.to_string()]);
        run(&mut command);
        let text = fs::read_to_string(&trace).unwrap();
        let calls = between_marks(&text);
        // The engine takes memory, and its locks may be contended.
        assert!(
            calls.len() < RECORDS as usize / 10,
            "{topics} topics: {} system calls, as {:?}",
            calls.len(),
            &calls[..20]
        );
        fs::remove_file(trace).unwrap();
    }
    let registered = service.requests();
    let registered = registered.iter().filter(|request| request.registers());
    assert_eq!(registered.count(), TOPICS.len());
}

/// The system calls of the thread that set the marks.
fn between_marks(trace: &str) -> Vec<&str> {
    let is_mark = |line: &&str| line.contains("getppid(");
    let thread = trace.lines().find(is_mark).expect("no mark");
    let thread = thread.split_whitespace().next().unwrap();
    let its = trace
        .lines()
        .filter(|line| line.split_whitespace().next() == Some(thread));
    let behind = its.skip_while(|line| !is_mark(line)).skip(1);
    behind.take_while(|line| !is_mark(line)).collect()
}
