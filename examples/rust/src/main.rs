//! Produces records and consumes them again with `rdkafka`, linked dynamically.

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [brokers, topic, count] = arguments.as_slice() else {
        return Err("usage: produce-consume BROKERS TOPIC COUNT".into());
    };
    let count: usize = count.parse()?;

    println!("librdkafka {}", rdkafka::util::get_rdkafka_version().1);
    produce(brokers, topic, count)?;
    println!("produced {count}");
    let values = consume(brokers, topic, count)?;
    println!("consumed {}", values.len());
    let complete = values == (0..count).map(record).collect();
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn record(number: usize) -> String {
    format!("record {number}")
}

fn produce(brokers: &str, topic: &str, count: usize) -> Result<(), KafkaError> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()?;
    for number in 0..count {
        let (key, value) = (format!("key-{}", number % 100), record(number));
        let mut next = BaseRecord::to(topic).key(&key).payload(&value);
        loop {
            match producer.send(next) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                    next = unsent;
                    producer.poll(Duration::from_millis(100));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
    producer.flush(PATIENCE)
}

fn consume(brokers: &str, topic: &str, count: usize) -> Result<BTreeSet<String>, KafkaError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "rust-example")
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[topic])?;
    let mut values = BTreeSet::new();
    let start = Instant::now();
    while values.len() < count && start.elapsed() < PATIENCE {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            let message = message?;
            let value = message.payload().unwrap_or_default();
            values.insert(String::from_utf8_lossy(value).into_owned());
        }
    }
    Ok(values)
}
