//! The same application with the SDK and with our library: what both tell, field by field.

use std::time::Duration;

use superstream_tests::driver::PATIENCE;
use superstream_tests::python::python;
use superstream_tests::{Cluster, preload};

use crate::application::Application;
use crate::compare::{Listed, Of, problems};
use crate::differences::{ALWAYS, WITH_A_DEPLOYED_SERVICE, WITH_OUR_SERVICE};
use crate::messages::{CONFIG, TYPE, Told};
use crate::recorder::at_last;
use crate::scene::{PATIENT, Scene};
use crate::{RECORDS, has};

/// The client that the SDK is made of, without it.
const PLAIN: &str = "2.4.0";

const WRITES: &str = "writes";
const READS: &str = "reads";

/// What the application's producer and its consumer tell.
fn told(scene: &Scene, mut application: Application, patience: Duration) -> Option<[Told; 2]> {
    let is_known = |client: &Told| has(client, &[TYPE]) || has(client, &[CONFIG]);
    for (kind, name) in [("producer", WRITES), ("consumer", READS)] {
        application.create(kind, name);
        // What the SDK does before it is ready, it does not tell.
        scene
            .recorder
            .wait_until(&format!("that {name} is a {kind}"), |told| {
                told.iter()
                    .any(|client| client.name() == name && is_known(client))
            });
    }
    application.produce(WRITES, RECORDS);
    application.consume(READS, RECORDS);
    let told = scene.recorder.wait_within(patience, |told| {
        let is_complete = |each| has(each, &[CONFIG]) && each.has_topics();
        told.len() == 2 && told.iter().all(is_complete)
    });
    application.close(READS);
    application.end();
    told.map(|told| told.try_into().unwrap())
}

/// Both tell the same to services like these, but for what is listed.
#[track_caller]
fn assert_alike(scene: fn() -> Scene, listed: &[&[Listed]]) {
    let cluster = Cluster::start(&["orders:1"]);
    let run = |patience, application: fn(&Scene, &str) -> Application| {
        let scene = scene();
        let mut told = told(&scene, application(&scene, &cluster.brokers), patience)?;
        for client in &mut told {
            client.forget(&cluster.brokers);
        }
        Some(told)
    };
    let sdk = at_last(|patience| {
        run(patience, |scene, brokers| {
            scene.sdk(brokers, "orders", &PATIENT)
        })
    });
    let ours = run(PATIENCE, |scene, brokers| {
        let library = preload();
        let mut environment = PATIENT.to_vec();
        environment.push(("LD_PRELOAD", library.to_str().unwrap()));
        scene.application(&python(PLAIN), brokers, "orders", &environment)
    })
    .expect("our library has not told everything");
    let listed: Vec<_> = listed.iter().copied().flatten().collect();
    let mut all = Vec::new();
    for (of, (sdk, ours)) in [Of::Producers, Of::Consumers]
        .into_iter()
        .zip(sdk.iter().zip(&ours))
    {
        let found = problems(of, sdk, ours, &listed);
        all.extend(
            found
                .into_iter()
                .map(|problem| format!("{of:?}: {problem}")),
        );
    }
    assert!(
        all.is_empty(),
        "{} differences:\n{}",
        all.len(),
        all.join("\n")
    );
}

#[test]
fn with_our_service() {
    assert_alike(|| Scene::with_services(1), &[ALWAYS, WITH_OUR_SERVICE]);
}

#[test]
fn with_a_service_that_knows_the_sdk_alone() {
    assert_alike(
        Scene::with_a_deployed_service,
        &[ALWAYS, WITH_A_DEPLOYED_SERVICE],
    );
}
