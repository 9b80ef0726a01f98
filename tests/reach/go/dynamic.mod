// For -tags dynamic: the newest release that takes Debian's librdkafka 2.0.2.
module reach

go 1.19

require github.com/confluentinc/confluent-kafka-go/v2 v2.0.2
