// Produces records through the C++ wrapper, librdkafka++, which calls librdkafka's C functions.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include <librdkafka/rdkafkacpp.h>

class Reports : public RdKafka::DeliveryReportCb {
 public:
  void dr_cb(RdKafka::Message &message) override {
    if (message.err())
      std::cerr << "delivery failed: " << message.errstr() << "\n";
    else
      delivered++;
  }

  int delivered = 0;
};

static void set(RdKafka::Conf &conf, const std::string &key, const std::string &value) {
  std::string error;
  if (conf.set(key, value, error) != RdKafka::Conf::CONF_OK) {
    std::cerr << key << ": " << error << "\n";
    std::exit(2);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) {
    std::cerr << "usage: producer BROKERS TOPIC COUNT\n";
    return 2;
  }
  const std::string topic = argv[2];
  const int count         = std::atoi(argv[3]);

  std::unique_ptr<RdKafka::Conf> conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
  Reports reports;
  std::string error;
  set(*conf, "bootstrap.servers", argv[1]);
  if (conf->set("dr_cb", &reports, error) != RdKafka::Conf::CONF_OK) {
    std::cerr << error << "\n";
    return 2;
  }
  std::unique_ptr<RdKafka::Producer> producer(RdKafka::Producer::create(conf.get(), error));
  if (!producer) {
    std::cerr << "cannot create the producer: " << error << "\n";
    return 2;
  }

  for (int i = 0; i < count; i++) {
    const std::string key   = "key-" + std::to_string(i % 100);
    const std::string value = "record " + std::to_string(i);
    RdKafka::ErrorCode code;
    while ((code = producer->produce(topic, RdKafka::Topic::PARTITION_UA,
                                     RdKafka::Producer::RK_MSG_COPY,
                                     const_cast<char *>(value.data()), value.size(), key.data(),
                                     key.size(), 0, nullptr, nullptr)) ==
           RdKafka::ERR__QUEUE_FULL)
      producer->poll(100);
    if (code != RdKafka::ERR_NO_ERROR) {
      std::cerr << "cannot produce: " << RdKafka::err2str(code) << "\n";
      return 2;
    }
    producer->poll(0);
  }
  producer->flush(60 * 1000);

  std::cout << "librdkafka " << RdKafka::version_str() << "\n"
            << "delivered " << reports.delivered << " of " << count << "\n";
  return reports.delivered == count ? 0 : 1;
}
