//! A NATS server with our services behind it and somebody who writes everything down.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use superstream_nats_server::{NatsServer, wait_until};
use superstream_tests::bus::USER;
use superstream_tests::deployed;
use superstream_tests::fault_service::FaultService;
use superstream_tests::python::python;
use superstream_tests::service::{RULES, Service, TOKEN};
use superstream_tests::{scratch, unique};

use crate::application::Application;
use crate::messages::REGISTER;
use crate::recorder::Recorder;

/// Superstream's own client for Python, unchanged.
const SDK: &str = "superstream-2.4.0.4";

/// What those rules come to: kind, property, value.
pub const ADVICE: &[(&str, &str, &str)] = &[
    ("producer", "compression.type", "zstd"),
    ("producer", "linger.ms", "50"),
    ("consumer", "fetch.min.bytes", "1000"),
];

/// A property that stays at home: nobody logs in with it.
pub const PASSWORD: &str = "hunter2-of-the-peers";

/// Whoever waits for the service waits for as long as it takes.
pub const PATIENT: [(&str, &str); 1] = [("SUPERSTREAM_RESPONSE_TIMEOUT", "60000")];
pub const PATIENT_FOR: Duration = Duration::from_secs(60);

pub struct Scene {
    // In this order they end.
    pub services: Vec<Service>,
    pub recorder: Recorder,
    /// Where services of ours are.
    pub server: Option<NatsServer>,
    /// A service that is none of ours, with a server of its own.
    deployed: Option<FaultService>,
    port: u16,
    folder: PathBuf,
}

impl Scene {
    /// With so many instances of the service, on one database.
    pub fn with_services(count: usize) -> Self {
        // Clients and services are one user of NATS, the recorder another.
        let server = NatsServer::with(&format!(
            "authorization {{ timeout: 60, users: [\n\
             {{ user: superstream_internal, password: {TOKEN} }}\n\
             {{ user: {USER}, password: {USER} }}\n] }}"
        ));
        let url = server.url();
        let mut scene = Self::at(server.port());
        scene.server = Some(server);
        let database = scene.folder.join("db");
        let options = ["--nats", &url, "--db"].map(OsStr::new);
        let options: Vec<_> = options.into_iter().chain([database.as_os_str()]).collect();
        for _ in 0..count {
            let service = Service::start(RULES, TOKEN, &options, Stdio::inherit());
            scene.services.push(service);
        }
        wait_until("services that listen", || scene.listening() == count);
        scene
    }

    /// With a service that knows no more than the deployed SDKs do.
    pub fn with_a_deployed_service() -> Self {
        let service = deployed::advising(json!({
            "compression.type": "zstd", "linger.ms": 50, "fetch.min.bytes": 1000,
        }));
        let mut scene = Self::at(service.port);
        scene.deployed = Some(service);
        scene
    }

    fn at(port: u16) -> Self {
        let folder = unique(scratch(), "peers");
        fs::create_dir_all(&folder).unwrap();
        Self {
            services: Vec::new(),
            recorder: Recorder::join(port),
            server: None,
            deployed: None,
            port,
            folder,
        }
    }

    /// How many services hear of registrations. The recorder hears of everything.
    pub fn listening(&self) -> usize {
        let connections = self.server.as_ref().unwrap().connections();
        let hears = |connection: &&Value| {
            let subjects = connection["subscriptions_list"].as_array();
            subjects.is_some_and(|all| all.iter().any(|subject| subject == REGISTER))
        };
        connections.iter().filter(hears).count()
    }

    /// An application with the SDK in it.
    pub fn sdk(&self, brokers: &str, topic: &str, environment: &[(&str, &str)]) -> Application {
        self.application(&python(SDK), brokers, topic, environment)
    }

    /// An application with whatever this Python has.
    pub fn application(
        &self,
        python: &Path,
        brokers: &str,
        topic: &str,
        environment: &[(&str, &str)],
    ) -> Application {
        let host = format!("127.0.0.1:{}", self.port);
        let mut all = vec![("SUPERSTREAM_HOST", &*host), ("SUPERSTREAM_TOKEN", TOKEN)];
        all.extend(environment);
        let password = format!("sasl.password={PASSWORD}");
        Application::start(python, brokers, topic, &[&password], &all)
    }

    /// The one client of this name, as the services show it.
    #[track_caller]
    pub fn shown(&self, name: &str) -> Value {
        let clients = self.services[0].clients();
        let mut named = clients.iter().filter(|client| client["client_id"] == name);
        let client = named
            .next()
            .unwrap_or_else(|| panic!("{name} is not in {clients:#?}"));
        assert!(
            named.next().is_none(),
            "{name} is there twice: {clients:#?}"
        );
        client.clone()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.services.clear();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
