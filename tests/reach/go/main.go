// Produces records and consumes them again, as any program that uses confluent-kafka-go.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// What the engine counts, as its own statistics tell it: bytes sent to the broker, and bytes
// that the application gave it.
type counted struct {
	Sent    int64 `json:"tx_bytes"`
	Payload int64 `json:"txmsg_bytes"`
}

// Produce delivers the records and waits for statistics that count them all.
func produce(brokers, topic string, count int) (delivered int, wire counted) {
	producer, err := kafka.NewProducer(&kafka.ConfigMap{
		"bootstrap.servers":      brokers,
		"statistics.interval.ms": 100,
	})
	check(err)
	defer producer.Close()

	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for event := range producer.Events() {
			switch event := event.(type) {
			case *kafka.Message:
				check(event.TopicPartition.Error)
				delivered++
			case *kafka.Stats:
				if delivered == count {
					check(json.Unmarshal([]byte(event.String()), &wire))
					return
				}
			}
		}
	}()
	for i := 0; i < count; i++ {
		value := "record " + strconv.Itoa(i) + strings.Repeat(".", 100)
		check(producer.Produce(&kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: 0},
			Value:          []byte(value),
		}, nil))
	}
	<-finished
	return delivered, wire
}

func consume(brokers, topic string, count int) (consumed, checksum int) {
	consumer, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": brokers,
		"group.id":          "reach",
	})
	check(err)
	defer consumer.Close()
	check(consumer.Assign([]kafka.TopicPartition{{Topic: &topic, Partition: 0, Offset: 0}}))
	for consumed < count {
		message, err := consumer.ReadMessage(time.Minute)
		check(err)
		for place, character := range message.Value {
			checksum += (place + 1) * int(character)
		}
		consumed++
	}
	return consumed, checksum
}

func main() {
	if len(os.Args) != 4 {
		check(fmt.Errorf("usage: reach BROKERS TOPIC COUNT"))
	}
	brokers, topic := os.Args[1], os.Args[2]
	count, err := strconv.Atoi(os.Args[3])
	check(err)

	produced, wire := produce(brokers, topic, count)
	consumed, checksum := consume(brokers, topic, count)
	_, engine := kafka.LibraryVersion()
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"engine": engine, "produced": produced, "consumed": consumed, "checksum": checksum,
		"sent": wire.Sent, "payload": wire.Payload,
	}))
}
