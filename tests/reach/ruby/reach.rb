# Produces records and consumes them again. ruby-ffi finds the functions by dlopen and dlsym.
require 'ffi'
require 'json'

module Kafka
  extend FFI::Library
  ffi_lib 'librdkafka.so.1'
  PRODUCER = 0
  CONSUMER = 1
  COPY = 2

  class Message < FFI::Struct
    layout :err, :int, :rkt, :pointer, :partition, :int32, :payload, :pointer, :len, :size_t
  end

  attach_function :rd_kafka_version_str, [], :string
  attach_function :rd_kafka_conf_new, [], :pointer
  attach_function :rd_kafka_conf_set, %i[pointer string string pointer size_t], :int
  attach_function :rd_kafka_conf_get, %i[pointer string pointer pointer], :int
  attach_function :rd_kafka_conf, %i[pointer], :pointer
  attach_function :rd_kafka_new, %i[int pointer pointer size_t], :pointer
  attach_function :rd_kafka_topic_new, %i[pointer string pointer], :pointer
  attach_function :rd_kafka_produce,
                  %i[pointer int32 int string size_t pointer size_t pointer], :int
  attach_function :rd_kafka_poll, %i[pointer int], :int, blocking: true
  attach_function :rd_kafka_flush, %i[pointer int], :int, blocking: true
  attach_function :rd_kafka_outq_len, %i[pointer], :int
  attach_function :rd_kafka_topic_partition_list_new, %i[int], :pointer
  attach_function :rd_kafka_topic_partition_list_add, %i[pointer string int32], :pointer
  attach_function :rd_kafka_topic_partition_list_set_offset,
                  %i[pointer string int32 int64], :int
  attach_function :rd_kafka_topic_partition_list_destroy, %i[pointer], :void
  attach_function :rd_kafka_assign, %i[pointer pointer], :int
  attach_function :rd_kafka_consumer_poll, %i[pointer int], Message.by_ref, blocking: true
  attach_function :rd_kafka_message_destroy, %i[pointer], :void
  attach_function :rd_kafka_consumer_close, %i[pointer], :int, blocking: true
  attach_function :rd_kafka_topic_destroy, %i[pointer], :void
  attach_function :rd_kafka_destroy, %i[pointer], :void, blocking: true
end

BROKERS, TOPIC, COUNT = ARGV[0], ARGV[1], Integer(ARGV[2])

def client(kind, properties)
  conf = Kafka.rd_kafka_conf_new
  text = FFI::MemoryPointer.new(:char, 512)
  { 'bootstrap.servers' => BROKERS, **properties }.each do |name, value|
    raise text.read_string unless Kafka.rd_kafka_conf_set(conf, name, value, text, 512).zero?
  end
  rk = Kafka.rd_kafka_new(kind, conf, text, 512)
  raise text.read_string if rk.null?

  rk
end

def effective(client, name)
  value = FFI::MemoryPointer.new(:char, 256)
  size = FFI::MemoryPointer.new(:size_t)
  size.write(:size_t, value.size)
  Kafka.rd_kafka_conf_get(Kafka.rd_kafka_conf(client), name, value, size)
  value.read_string
end

def produce(producer)
  rkt = Kafka.rd_kafka_topic_new(producer, TOPIC, nil)
  COUNT.times do |i|
    value = "record #{i}#{'.' * 100}"
    until Kafka.rd_kafka_produce(rkt, 0, Kafka::COPY, value, value.size, nil, 0, nil).zero?
      Kafka.rd_kafka_poll(producer, 100)
    end
  end
  Kafka.rd_kafka_flush(producer, 60_000)
  Kafka.rd_kafka_topic_destroy(rkt)
  COUNT - Kafka.rd_kafka_outq_len(producer)
end

def consume(consumer)
  list = Kafka.rd_kafka_topic_partition_list_new(1)
  Kafka.rd_kafka_topic_partition_list_add(list, TOPIC, 0)
  Kafka.rd_kafka_topic_partition_list_set_offset(list, TOPIC, 0, 0)
  Kafka.rd_kafka_assign(consumer, list)
  Kafka.rd_kafka_topic_partition_list_destroy(list)
  consumed = checksum = idle = 0
  while consumed < COUNT && idle < 60
    message = Kafka.rd_kafka_consumer_poll(consumer, 1000)
    next idle += 1 if message.null?

    if message[:err].zero?
      bytes = message[:payload].read_bytes(message[:len]).bytes
      bytes.each.with_index(1) { |byte, place| checksum += place * byte }
      consumed += 1
      idle = 0
    end
    Kafka.rd_kafka_message_destroy(message)
  end
  Kafka.rd_kafka_consumer_close(consumer)
  [consumed, checksum]
end

producer = client(Kafka::PRODUCER, {})
settings = %w[linger.ms compression.type].to_h { |name| [name, effective(producer, name)] }
produced = produce(producer)
Kafka.rd_kafka_destroy(producer)
consumer = client(Kafka::CONSUMER, { 'group.id' => 'reach' })
consumed, checksum = consume(consumer)
Kafka.rd_kafka_destroy(consumer)
puts JSON.generate({ engine: Kafka.rd_kafka_version_str, produced: produced,
                     consumed: consumed, checksum: checksum }.merge(settings))
