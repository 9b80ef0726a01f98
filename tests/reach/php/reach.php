<?php
// Produces records and consumes them again. PHP's own FFI finds the functions by dlopen and
// dlsym; with the extension of this folder, clients are created by the extension.

const PRODUCER = 0;
const CONSUMER = 1;
const COPY = 2;

[, $brokers, $topic, $count] = $argv;
$count = (int) $count;

$kafka = FFI::cdef(<<<'C'
    typedef struct rd_kafka_message_s {
      int err; void *rkt; int32_t partition; char *payload; size_t len;
    } rd_kafka_message_t;
    const char *rd_kafka_version_str(void);
    void *rd_kafka_conf_new(void);
    int rd_kafka_conf_set(void *conf, const char *name, const char *value, char *errstr, size_t n);
    int rd_kafka_conf_get(const void *conf, const char *name, char *value, size_t *size);
    const void *rd_kafka_conf(void *rk);
    void *rd_kafka_new(int type, void *conf, char *errstr, size_t size);
    void *rd_kafka_topic_new(void *rk, const char *topic, void *conf);
    int rd_kafka_produce(void *rkt, int32_t partition, int flags, const char *payload, size_t len,
                         const void *key, size_t key_len, void *opaque);
    int rd_kafka_poll(void *rk, int timeout_ms);
    int rd_kafka_flush(void *rk, int timeout_ms);
    int rd_kafka_outq_len(void *rk);
    void *rd_kafka_topic_partition_list_new(int size);
    void *rd_kafka_topic_partition_list_add(void *list, const char *topic, int32_t partition);
    int rd_kafka_topic_partition_list_set_offset(void *list, const char *topic, int32_t partition,
                                                 int64_t offset);
    void rd_kafka_topic_partition_list_destroy(void *list);
    int rd_kafka_assign(void *rk, const void *list);
    rd_kafka_message_t *rd_kafka_consumer_poll(void *rk, int timeout_ms);
    void rd_kafka_message_destroy(rd_kafka_message_t *message);
    int rd_kafka_consumer_close(void *rk);
    void rd_kafka_topic_destroy(void *rkt);
    void rd_kafka_destroy(void *rk);
    C, 'librdkafka.so.1');

function client(FFI $kafka, int $type, array $properties): FFI\CData
{
    $conf = $kafka->rd_kafka_conf_new();
    $text = FFI::new('char[512]');
    foreach ($properties as $name => $value) {
        if ($kafka->rd_kafka_conf_set($conf, $name, $value, $text, 512) !== 0) {
            throw new RuntimeException(FFI::string($text));
        }
    }
    if (function_exists('reach_new')) {
        $address = FFI::new('intptr_t');
        $address->cdata = reach_new($type, FFI::cast('intptr_t *', FFI::addr($conf))[0]);
        return FFI::cast('void **', FFI::addr($address))[0];
    }
    return $kafka->rd_kafka_new($type, $conf, $text, 512)
        ?? throw new RuntimeException(FFI::string($text));
}

function effective(FFI $kafka, FFI\CData $client, string $name): string
{
    $value = FFI::new('char[256]');
    $size = FFI::new('size_t');
    $size->cdata = 256;
    $kafka->rd_kafka_conf_get($kafka->rd_kafka_conf($client), $name, $value, FFI::addr($size));
    return FFI::string($value);
}

function produce(FFI $kafka, FFI\CData $producer, string $topic, int $count): int
{
    $rkt = $kafka->rd_kafka_topic_new($producer, $topic, null);
    for ($i = 0; $i < $count; $i++) {
        $value = "record $i" . str_repeat('.', 100);
        while ($kafka->rd_kafka_produce($rkt, 0, COPY, $value, strlen($value), null, 0, null)) {
            $kafka->rd_kafka_poll($producer, 100);
        }
    }
    $kafka->rd_kafka_flush($producer, 60000);
    $kafka->rd_kafka_topic_destroy($rkt);
    return $count - $kafka->rd_kafka_outq_len($producer);
}

function consume(FFI $kafka, FFI\CData $consumer, string $topic, int $count): array
{
    $list = $kafka->rd_kafka_topic_partition_list_new(1);
    $kafka->rd_kafka_topic_partition_list_add($list, $topic, 0);
    $kafka->rd_kafka_topic_partition_list_set_offset($list, $topic, 0, 0);
    $kafka->rd_kafka_assign($consumer, $list);
    $kafka->rd_kafka_topic_partition_list_destroy($list);
    $consumed = $checksum = $idle = 0;
    while ($consumed < $count && $idle < 60) {
        $message = $kafka->rd_kafka_consumer_poll($consumer, 1000);
        $idle++;
        if ($message === null) {
            continue;
        }
        if ($message->err === 0) {
            $value = FFI::string($message->payload, $message->len);
            foreach (unpack('C*', $value) as $place => $byte) {
                $checksum += $place * $byte;
            }
            $consumed++;
            $idle = 0;
        }
        $kafka->rd_kafka_message_destroy($message);
    }
    $kafka->rd_kafka_consumer_close($consumer);
    return ['consumed' => $consumed, 'checksum' => $checksum];
}

$producer = client($kafka, PRODUCER, ['bootstrap.servers' => $brokers]);
$result = [
    'engine' => $kafka->rd_kafka_version_str(),
    'linger.ms' => effective($kafka, $producer, 'linger.ms'),
    'compression.type' => effective($kafka, $producer, 'compression.type'),
    'produced' => produce($kafka, $producer, $topic, $count),
];
$kafka->rd_kafka_destroy($producer);
$consumer = client($kafka, CONSUMER, ['bootstrap.servers' => $brokers, 'group.id' => 'reach']);
$result += consume($kafka, $consumer, $topic, $count);
$kafka->rd_kafka_destroy($consumer);
echo json_encode($result), "\n";
