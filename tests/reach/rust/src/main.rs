//! Produces records and consumes them again with `rdkafka`, linked dynamically.

use rdkafka::bindings::{rd_kafka_conf, rd_kafka_conf_get};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::env;
use std::error::Error;
use std::ffi::{CStr, c_char};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [brokers, topic, count] = arguments.as_slice() else {
        return Err("usage: reach BROKERS TOPIC COUNT".into());
    };
    let count: usize = count.parse()?;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()?;
    let produced = produce(&producer, topic, count)?;
    let (consumed, checksum) = consume(brokers, topic, count)?;
    let engine = rdkafka::util::get_rdkafka_version().1;
    let linger = effective(&producer, c"linger.ms");
    let compression = effective(&producer, c"compression.type");
    println!(
        "{{\"engine\":{engine:?},\"produced\":{produced},\"consumed\":{consumed},\
         \"checksum\":{checksum},\"linger.ms\":{linger:?},\"compression.type\":{compression:?}}}"
    );
    Ok(())
}

fn produce(producer: &BaseProducer, topic: &str, count: usize) -> Result<usize, KafkaError> {
    for number in 0..count {
        let value = format!("record {number}{}", ".".repeat(100));
        let mut next = BaseRecord::<(), _>::to(topic).partition(0).payload(&value);
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
    producer.flush(PATIENCE)?;
    Ok(count - usize::try_from(producer.in_flight_count()).unwrap_or_default())
}

fn consume(brokers: &str, topic: &str, count: usize) -> Result<(usize, usize), Box<dyn Error>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "reach")
        .create()?;
    let mut first = TopicPartitionList::new();
    first.add_partition_offset(topic, 0, Offset::Offset(0))?;
    consumer.assign(&first)?;
    let (mut consumed, mut checksum) = (0, 0);
    while consumed < count {
        let message = consumer.poll(PATIENCE).ok_or("no record came")??;
        let value = message.payload().unwrap_or_default();
        let weighed = (1..).zip(value);
        checksum += weighed
            .map(|(place, byte)| place * usize::from(*byte))
            .sum::<usize>();
        consumed += 1;
    }
    Ok((consumed, checksum))
}

/// What the running client has, as the engine itself says.
fn effective(producer: &BaseProducer, name: &CStr) -> String {
    let mut value: [c_char; 256] = [0; 256];
    let mut size = value.len();
    // SAFETY: a living client, a C string, and a buffer of the size that is told; the engine
    // ends the value with a zero.
    unsafe {
        let conf = rd_kafka_conf(producer.client().native_ptr());
        rd_kafka_conf_get(conf, name.as_ptr(), value.as_mut_ptr(), &raw mut size);
        CStr::from_ptr(value.as_ptr())
            .to_string_lossy()
            .into_owned()
    }
}
