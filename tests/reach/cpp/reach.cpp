// Produces records and consumes them again through librdkafka++, which calls the C functions.
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafkacpp.h>

using ConfPtr = std::unique_ptr<RdKafka::Conf>;

static ConfPtr configure(const std::map<std::string, std::string> &properties) {
  std::string error;
  ConfPtr conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
  for (const auto &property : properties)
    if (conf->set(property.first, property.second, error) != RdKafka::Conf::CONF_OK)
      throw std::runtime_error(error);
  return conf;
}

// The wrapper keeps a copy of what it was given, so the running client itself is asked.
static std::string effective(RdKafka::Handle &client, const char *name) {
  char value[256];
  size_t size = sizeof(value);
  rd_kafka_conf_get(rd_kafka_conf(client.c_ptr()), name, value, &size);
  return value;
}

static std::string record(int number) {
  return "record " + std::to_string(number) + std::string(100, '.');
}

static int produce(RdKafka::Producer &producer, const std::string &topic, int count) {
  for (int i = 0; i < count; i++) {
    std::string value = record(i);
    RdKafka::ErrorCode code;
    while ((code = producer.produce(topic, 0, RdKafka::Producer::RK_MSG_COPY, &value[0],
                                    value.size(), nullptr, 0, 0, nullptr)) ==
           RdKafka::ERR__QUEUE_FULL)
      producer.poll(100);
    if (code)
      throw std::runtime_error(RdKafka::err2str(code));
  }
  producer.flush(60 * 1000);
  return count - producer.outq_len();
}

static int consume(RdKafka::KafkaConsumer &consumer, const std::string &topic, int count,
                   unsigned long long &checksum) {
  std::unique_ptr<RdKafka::TopicPartition> first(RdKafka::TopicPartition::create(topic, 0, 0));
  consumer.assign({first.get()});
  int consumed = 0;
  for (int idle = 0; consumed < count && idle < 60;) {
    std::unique_ptr<RdKafka::Message> message(consumer.consume(1000));
    idle = message->err() ? idle + 1 : 0;
    if (message->err())
      continue;
    const auto *bytes = static_cast<const unsigned char *>(message->payload());
    for (size_t i = 0; i < message->len(); i++)
      checksum += (i + 1) * bytes[i];
    consumed++;
  }
  consumer.close();
  return consumed;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    std::cerr << "usage: reach BROKERS TOPIC COUNT\n";
    return 2;
  }
  const std::string topic = argv[2];
  const int count         = std::stoi(argv[3]);
  std::string error;

  std::unique_ptr<RdKafka::Producer> producer(
      RdKafka::Producer::create(configure({{"bootstrap.servers", argv[1]}}).get(), error));
  if (!producer)
    throw std::runtime_error(error);
  const int produced = produce(*producer, topic, count);

  std::unique_ptr<RdKafka::KafkaConsumer> consumer(
      RdKafka::KafkaConsumer::create(
          configure({{"bootstrap.servers", argv[1]}, {"group.id", "reach"}}).get(), error));
  if (!consumer)
    throw std::runtime_error(error);
  unsigned long long checksum = 0;
  const int consumed          = consume(*consumer, topic, count, checksum);

  std::cout << "{\"engine\":\"" << RdKafka::version_str() << "\",\"produced\":" << produced
            << ",\"consumed\":" << consumed << ",\"checksum\":" << checksum
            << ",\"linger.ms\":\"" << effective(*producer, "linger.ms")
            << "\",\"compression.type\":\"" << effective(*producer, "compression.type")
            << "\"}\n";
  return 0;
}
