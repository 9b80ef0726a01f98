// The default build: an engine linked statically.
module reach

go 1.21

require github.com/confluentinc/confluent-kafka-go/v2 v2.11.1
