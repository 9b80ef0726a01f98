//! Nothing that could be a secret leaves the process. A mark of its own stands in every property and
//! in every variable that could hold one; then everything that anybody else may see is searched for
//! all marks: the traffic, the log, the status, what the tools say, what the service keeps and shows.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use superstream_tests::driver::{Driver, PATIENCE};
use superstream_tests::fault_service::{FaultService, Request, reply};
use superstream_tests::marks::{
    FAILURES, Marks, PRODUCTS, Product, Seen, environment, folder_named, set_marks,
};
use superstream_tests::service::Service;
use superstream_tests::transports::{Transport, answer};
use superstream_tests::{built, over_each_transport, scratch, tool, unique};

over_each_transport!(
    http, https, nats, nats_tls, veltix, veltix_tls:
    a_client_that_works,
    creations_that_fail,
);

/// What a tool of ours says of a process, whatever that is.
fn tool_says(arguments: &[&str], environment: &[(&'static str, String)]) -> Output {
    let mut command = tool(built().join("superstream"));
    command.args(arguments).envs(environment.iter().cloned());
    command.output().unwrap()
}

/// All that others may see of a process while it runs.
fn look_at(driver: &mut Driver, environment: &[(&'static str, String)], seen: &mut Seen) {
    let pid = driver.pid();
    let status = driver.say("status 0");
    assert!(status.contains("\"on\":true"), "{status}");
    seen.add("superstream_status()", status);
    for arguments in [
        &["status", "--pid", &pid][..],
        &["status", "--json", "--pid", &pid],
        &["doctor", "--pid", &pid],
        &["doctor", "--json", "--pid", &pid],
    ] {
        let output = tool_says(arguments, environment);
        assert!(!output.stdout.is_empty(), "{arguments:?}: {output:?}");
        seen.add(&format!("{arguments:?}"), output.stdout);
        seen.add(&format!("{arguments:?} on stderr"), output.stderr);
    }
    seen.add("the shared status", board(&pid));
}

/// The document in shared memory that other processes may read.
fn board(pid: &str) -> Vec<u8> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_board = |path: &PathBuf| {
        fs::read_link(path).is_ok_and(|target| target.to_string_lossy().contains("memfd:"))
    };
    let board = fs::read(paths.into_iter().find(is_board).expect("no board")).unwrap();
    assert!(String::from_utf8_lossy(&board).contains("\"clients\""));
    board
}

/// The token is where it belongs, in the header of every request or the first word of every connection,
/// and nowhere else.
fn traffic(service: &FaultService, token: &str, seen: &mut Seen) {
    let carries = format!("Bearer {token}");
    for request in service.requests() {
        assert_eq!(request.headers["authorization"], carries, "{request:?}");
    }
    let (carriers, rest) = service.around_the_token();
    let carries = |one: &String| one.matches("zqmark").count() == 1;
    assert!(carriers.iter().all(carries), "{carriers:#?}");
    seen.add("the traffic", rest);
}

/// A producer with marks everywhere: it is created, works, reports and ends.
fn works(driver: &mut Driver, client: u32) {
    driver.set(&[("client.id", "seen-by-all"), ("test.mock.num.brokers", "1")]);
    let made = driver.say("new producer");
    assert!(made.starts_with("created"), "{made}");
    driver.expect(&format!("produce {client} orders"), "NO_ERROR");
    let flushed = driver.say(&format!("flush {client}"));
    assert!(flushed.starts_with("NO_ERROR"), "{flushed}");
}

/// Starts an application with marks in its environment.
fn application(
    product: Product,
    host: &str,
    token: &str,
    marks: &mut Marks,
    more: &[(&'static str, String)],
) -> (Driver, Vec<(&'static str, String)>) {
    let mut all = environment(marks);
    all.extend([
        ("SUPERSTREAM_HOST", host.to_owned()),
        ("SUPERSTREAM_TOKEN", token.to_owned()),
        ("SUPERSTREAM_DEBUG", "true".to_owned()),
        ("SUPERSTREAM_RESPONSE_TIMEOUT", "60000".to_owned()),
    ]);
    all.extend(more.iter().cloned());
    let driver = Driver::spawn(product.command().envs(all.iter().cloned()));
    (driver, all)
}

/// The end of an application: what it has logged.
#[track_caller]
fn log_of(driver: Driver) -> String {
    let ended = driver.end();
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stderr.contains("superstream"), "no log: {ended:?}");
    ended.stderr
}

fn a_client_that_works(transport: Transport) {
    for product in PRODUCTS {
        eprintln!("{product:?}");
        let (mut marks, mut seen) = (Marks::default(), Seen::default());
        let service = transport.serve(answer);
        let token = marks.of("SUPERSTREAM_TOKEN");
        let (mut driver, all) = application(
            product,
            &service.host,
            &token,
            &mut marks,
            &service.environment,
        );
        set_marks(&mut driver, product, &mut marks);
        // A linger that brings a timeout which the engine does not take: the advice is refused.
        driver.say("tie");
        works(&mut driver, 0);
        service.wait_for("the refusal", |request| {
            request.is("POST", "/v1/clients/client-0/errors")
        });
        service.wait_for("a report of the topic", |request| {
            request.reports() && format!("{request:?}").contains("orders")
        });
        service.wait_for_several(2, "reports", Request::reports);
        look_at(&mut driver, &all, &mut seen);
        driver.expect("destroy 0", "destroyed");
        service.wait_for_goodbye("client-0");
        seen.add("the log", log_of(driver));
        traffic(&service, &token, &mut seen);
        assert!(seen.all().contains("seen-by-all"), "nothing is seen at all");
        marks.assert_none_in(&seen);
    }
}

fn creations_that_fail(transport: Transport) {
    for product in PRODUCTS {
        eprintln!("{product:?}");
        let (mut marks, mut seen) = (Marks::default(), Seen::default());
        let service = transport.serve(answer);
        let token = marks.of("SUPERSTREAM_TOKEN");
        let (mut driver, _) = application(
            product,
            &service.host,
            &token,
            &mut marks,
            &service.environment,
        );
        let mut failed = 0;
        for properties in FAILURES {
            for property in *properties {
                let mark = marks.of(property);
                driver.say(&format!("set {}", property.replace('%', &mark)));
            }
            failed += u32::from(driver.say("new producer").starts_with("failed"));
            driver.expect("conf-destroy", "destroyed");
        }
        assert!(failed >= 10, "{failed} failed");
        // The last one: what was told of the others came before it.
        driver.create("producer");
        service.wait_for_several(FAILURES.len() + 1, "them all", Request::registers);
        seen.add("the log", log_of(driver));
        traffic(&service, &token, &mut seen);
        marks.assert_none_in(&seen);
    }
}

#[test]
fn settings_that_are_wrong_for_http() {
    settings_that_are_wrong(Transport::Http);
}

#[test]
fn settings_that_are_wrong_for_nats() {
    settings_that_are_wrong(Transport::Nats);
}

#[test]
fn settings_that_are_wrong_for_veltix() {
    settings_that_are_wrong(Transport::Veltix);
}

/// Settings of our own that are wrong, or that a service repeats.
fn settings_that_are_wrong(transport: Transport) {
    let mut marks = Marks::default();
    let file = |text: String| {
        let file = unique(scratch(), "token");
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let service = transport.serve(|request, stream| {
        // It says what it was sent.
        let sent = request.headers.get("authorization");
        let problem = json!({ "error": format!("no such token: {sent:?}") });
        reply(stream, "403 Forbidden", &problem.to_string())
    });
    let url = service.url();
    let port = service.port;
    let two_lines = format!("{}\n{}\n", marks.of("a line"), marks.of("another line"));
    let cases = [
        (
            "SUPERSTREAM_HOST",
            transport.host(&format!("user:{}@127.0.0.1:{port}", marks.of("the host"))),
        ),
        (
            "SUPERSTREAM_HOST",
            format!("nats://{}@127.0.0.1:{port}", marks.of("another host")),
        ),
        (
            "SUPERSTREAM_HOST",
            format!("user:{}@127.0.0.1:{port}", marks.of("a bare host")),
        ),
        (
            "SUPERSTREAM_HOST",
            transport.host(&format!("127.0.0.1:{port}/?key={}", marks.of("a query"))),
        ),
        (
            "SUPERSTREAM_HOST",
            format!("{url}/#{}", marks.of("a fragment")),
        ),
        ("SUPERSTREAM_TOKEN", marks.of("a token")),
        (
            "SUPERSTREAM_TOKEN",
            format!("two {}", marks.of("a token of two words")),
        ),
        (
            "SUPERSTREAM_TOKEN_FILE",
            file(marks.of("a token in a file")),
        ),
        ("SUPERSTREAM_TOKEN_FILE", file(two_lines)),
        (
            "SUPERSTREAM_TAGS",
            format!("{{\"password\": \"{}", marks.of("tags")),
        ),
    ];
    let mut seen = Seen::default();
    for (name, value) in cases {
        let all = [
            ("SUPERSTREAM_HOST", url.clone()),
            ("SUPERSTREAM_RESPONSE_TIMEOUT", "60000".to_owned()),
            ("SUPERSTREAM_DEBUG", "true".to_owned()),
            (name, value),
        ];
        for product in PRODUCTS {
            let mut driver = Driver::spawn(product.command().envs(all.iter().cloned()));
            driver.create("producer");
            let pid = driver.pid();
            seen.add("superstream_status()", driver.say("status 0"));
            for arguments in [
                &["status", "--pid", &pid][..],
                &["doctor", "--pid", &pid],
                &["doctor", "--json", "--pid", &pid],
                &["top", "--once"],
                &["run", "--", "true"],
            ] {
                let output = tool_says(arguments, &all);
                let what = format!("{arguments:?} with {name}");
                seen.add(&what, [output.stdout, output.stderr].concat());
            }
            seen.add(name, log_of(driver));
        }
    }
    seen.add("the traffic", service.around_the_token().1);
    assert!(seen.all().contains("no such token"), "{}", seen.all());
    marks.assert_none_in(&seen);
}

const RULES: &str = "[[rule]]\n[rule.configuration]\n\"linger.ms\" = 50\n";

/// The reference service: what it keeps, what it logs, and what it shows.
#[test]
fn what_the_service_keeps_and_shows() {
    keeps_and_shows(Transport::Http);
}

#[test]
fn what_the_service_keeps_and_shows_of_clients_over_nats() {
    keeps_and_shows(Transport::Nats);
}

#[test]
fn what_the_service_keeps_and_shows_of_clients_over_veltix() {
    keeps_and_shows(Transport::Veltix);
}

fn keeps_and_shows(transport: Transport) {
    for product in PRODUCTS {
        let (mut marks, mut seen) = (Marks::default(), Seen::default());
        let token = marks.of("SUPERSTREAM_TOKEN");
        let folder = PathBuf::from(folder_named("service"));
        let log = folder.join("log");
        let options = ["--verbose", "--report-interval", "1s", "--db"].map(OsStr::new);
        let database = folder.join("db").into_os_string();
        let options = [&options[..], &[&database]].concat();
        let log_file = File::create(&log).unwrap();
        let service = Service::over(transport, RULES, &token, &options, log_file);
        let host = service.host.clone();
        let (mut driver, mut all) = application(product, &host, &token, &mut marks, &[]);
        // The tools ask the service over HTTP.
        all.push(("SUPERSTREAM_HOST", service.url.clone()));
        set_marks(&mut driver, product, &mut marks);
        works(&mut driver, 0);
        let deadline = Instant::now() + PATIENCE;
        while !service.text("/metrics").contains("orders")
            && !format!("{:?}", service.clients()).contains("orders")
        {
            assert!(
                Instant::now() < deadline,
                "no report: {:#?}",
                service.clients()
            );
            thread::sleep(Duration::from_millis(50));
        }
        look_at(&mut driver, &all, &mut seen);
        for path in ["/v1/clients", "/v1/totals", "/metrics", "/health"] {
            seen.add(path, service.text(path));
        }
        for client in service.clients() {
            let hash = client["client_hash"].as_str().unwrap();
            for of_client in ["", "/history", "/updates"] {
                let path = format!("/v1/clients/{hash}{of_client}");
                seen.add(&path, service.text(&path));
            }
        }
        for more in [&[][..], &["--json"]] {
            // Without --all, only who was heard of within three seconds.
            let arguments = &[&["top", "--once", "--all"], more].concat()[..];
            let output = tool_says(arguments, &all);
            let shown = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(shown.contains("seen-by-all"), "{output:?}");
            seen.add(
                &format!("{arguments:?}"),
                [output.stdout, output.stderr].concat(),
            );
        }
        driver.expect("destroy 0", "destroyed");
        seen.add("the log", log_of(driver));
        let files: Vec<PathBuf> = fs::read_dir(&folder)
            .unwrap()
            .map(|one| one.unwrap().path())
            .collect();
        assert!(files.len() >= 3, "no write-ahead log: {files:?}");
        for file in files {
            seen.add(&file.display().to_string(), fs::read(&file).unwrap());
        }
        marks.assert_none_in(&seen);
    }
}
