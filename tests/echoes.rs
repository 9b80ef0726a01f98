//! The service, or a server of NATS before it, says the token wherever it can say anything. It is in the
//! first word of each connection, and in nothing else that anybody may see.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use serde_json::{Value, json};
use superstream_nats_server::{NatsServer, wait_until};
use superstream_tests::deployed::{self, update};
use superstream_tests::driver::Driver;
use superstream_tests::fault_service::proxy::Greeting;
use superstream_tests::fault_service::{FaultService, Nats, Request, Veltix, advise, reply};
use superstream_tests::faulty::veltix::greeting;
use superstream_tests::marks::{Marks, Seen};
use superstream_tests::transports::Transport;
use superstream_tests::{Library, over_each_transport};

over_each_transport!(nats, veltix: in_an_answer, in_updates);

struct Scene {
    service: FaultService,
    driver: Driver,
    marks: Marks,
    seen: Seen,
    token: String,
}

impl Scene {
    /// An application with a token, in front of a service that knows the token too.
    fn new(serve: impl FnOnce(&str) -> FaultService) -> Self {
        let mut marks = Marks::default();
        let (token, _) = (marks.of("SUPERSTREAM_TOKEN"), marks.of("nothing"));
        let service = serve(&token);
        let environment = service.environment(&[
            ("SUPERSTREAM_TOKEN", &token),
            ("SUPERSTREAM_DEBUG", "true"),
            ("SUPERSTREAM_RESPONSE_TIMEOUT", "20000"),
        ]);
        let driver = Driver::start(Library::DropIn, &environment);
        Self {
            service,
            driver,
            marks,
            seen: Seen::default(),
            token,
        }
    }

    /// Creates a client, and looks at it.
    fn create(&mut self) -> Value {
        self.driver.create("producer");
        self.status()
    }

    fn status(&mut self) -> Value {
        let status = self.driver.status(0);
        self.seen.add("the status", status.to_string());
        status
    }

    /// Looks at all that there is to see.
    #[track_caller]
    fn end(mut self) -> String {
        self.status();
        self.driver.expect("destroy 0", "destroyed");
        let log = self.driver.end().stderr;
        let (carriers, rest) = self.service.around_the_token();
        let carries = |one: &String| one.matches("zqmark").count() == 1;
        assert!(carriers.iter().all(carries), "{carriers:#?}");
        self.seen.add("the traffic", rest);
        self.seen.add("the log", log.clone());
        self.marks.assert_none_in(&self.seen);
        log
    }
}

/// A service that is well, behind this.
fn well(nats: Nats) -> FaultService {
    FaultService::over_nats(nats, |request, stream| {
        advise(request, stream, &json!({"linger.ms": 50}))
    })
}

fn in_an_answer(transport: Transport) {
    let answers: [fn(&str) -> Value; 5] = [
        |token| json!({"error": format!("no {token}"), "status": 403}),
        |token| json!({"error": format!("no {token}")}),
        |token| json!({"client_hash": token, "account_name": token, "start": true}),
        |token| json!({"client_hash": "h", "account_name": token, "start": false, "error": token}),
        |token| {
            let advice = json!({"client.id": token, "linger.ms": token, token: token});
            json!({"client_hash": "h", "start": true, "optimized_configuration": advice})
        },
    ];
    for answer in answers {
        let mut scene = Scene::new(|token| {
            let said = answer(token).to_string();
            transport.serve(move |request, stream| match request.registers() {
                true => reply(stream, "200 OK", &said),
                false => advise(request, stream, &json!({})),
            })
        });
        scene.create();
        scene.end();
    }
}

#[test]
fn in_a_word_to_start() {
    let mut scene = Scene::new(|token| {
        let no = json!({"start": false, "error": format!("not with {token}")});
        let yes = json!({"start": true, "optimized_configuration": {"client.id": token, token: 1}});
        deployed::serve(move |client| {
            client.is_named()?;
            for _ in 0..20 {
                client.is_told(&no.to_string());
            }
            client.starts(&yes);
            Ok(())
        })
    });
    let status = scene.create();
    assert_eq!(
        status["refusals"].as_array().unwrap().len(),
        2,
        "{status:#}"
    );
    scene.end();
}

fn in_updates(transport: Transport) {
    let mut scene = Scene::new(|_| transport.advising(json!({"linger.ms": 50})));
    scene.create();
    scene.service.wait_for_report("client-0");
    let (service, token) = (&scene.service, &*scene.token);
    let bodies = [
        token.to_owned(),
        json!({"enable_compression": token, "compression_type": token}).to_string(),
        json!({"enable_compression": true, "compression_type": token}).to_string(),
    ];
    for kind in [
        token,
        "CompressionUpdate",
        "ToggleReduction",
        "LearnedSchema",
    ] {
        for body in &bodies {
            service.tell("client-0", &update(kind, body));
        }
        let payload = json!({"type": kind, "payload": token}).to_string();
        service.tell("client-0", &payload);
    }
    service.tell("client-0", token);
    // It hears them in order.
    let last = json!({"enable_compression": true, "compression_type": "lz4"}).to_string();
    service.tell("client-0", &update("CompressionUpdate", &last));
    wait_until("the last one", || {
        let next = scene.status()["at_next_start"].clone();
        next["optimized_configuration"]["compression.type"] == "lz4"
    });
    scene
        .service
        .wait_for("what is no update is told", |request| {
            request.is("POST", "/v1/clients/client-0/errors")
        });
    let log = scene.end();
    assert!(log.contains("an update"), "{log}");
}

/// It is a part of what the connection is called at the service.
#[test]
fn in_the_name_of_the_server() {
    let mut scene = Scene::new(|token| {
        well(Nats {
            server: NatsServer::with(&format!("server_name: \"{token}\"")),
            ..Nats::new()
        })
    });
    scene.create();
    let asked = scene.service.wait_for("it", Request::registers).json();
    let id = asked["nats_connection_id"].as_str().unwrap();
    assert!(id.contains("masked") && id.contains(':'), "{id}");
    scene.service.wait_for_report("client-0");
    scene.end();
}

#[test]
fn in_an_error_of_the_server() {
    let mut scene = Scene::new(|token| {
        let error = format!("-ERR 'Authorization Violation of {token}'\r\n");
        FaultService::over_nats(Nats::new(), move |request, stream| {
            if request.registers() {
                // The client may hang up at once.
                let _ = stream.write_all(error.as_bytes());
            }
            advise(request, stream, &json!({"linger.ms": 50}))
        })
    });
    scene.create();
    scene.end();

    for quotes in ["", "'"] {
        let mut scene = Scene::new(|token| {
            let error = format!("-ERR {quotes}who is {token}?{quotes}\r\n");
            well(Nats::new().greeting(move |_, socket| {
                socket.write_all(error.as_bytes())?;
                Ok(Greeting::Close)
            }))
        });
        let status = scene.create();
        assert_eq!(status["service"]["state"], "down", "{status:#}");
        // The rest of it is told.
        let note = status["note"].as_str().unwrap();
        assert!(note.contains("who is "), "{note}");
        scene.end();
    }
}

#[test]
fn in_a_no_to_the_first_word() {
    let mut scene = Scene::new(|token| {
        let no = json!({"error": format!("who is {token}?"), "status": 403});
        let veltix = Veltix::new().welcoming(move |_, _| no.clone());
        FaultService::over_veltix(veltix, |request, stream| {
            advise(request, stream, &json!({}))
        })
    });
    let status = scene.create();
    let note = status["note"].as_str().unwrap();
    assert!(note.contains("who is "), "{note}");
    scene.end();
}

/// What the server calls its version is told where it is another one.
#[test]
fn in_a_greeting() {
    let mut scene = Scene::new(|token| {
        let hello = greeting(token);
        let greet = move |_: usize, socket: &mut TcpStream| {
            socket.write_all(&hello)?;
            Ok(Greeting::Close)
        };
        let greet = Arc::new(greet);
        FaultService::over_veltix(
            Veltix {
                greet,
                ..Veltix::new()
            },
            |request, stream| advise(request, stream, &json!({})),
        )
    });
    let status = scene.create();
    assert_eq!(status["service"]["state"], "down", "{status:#}");
    scene.end();
}
