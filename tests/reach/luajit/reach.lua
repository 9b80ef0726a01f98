-- Produces records and consumes them again. LuaJIT's ffi finds the functions by dlopen and dlsym.
local ffi = require 'ffi'

ffi.cdef [[
typedef struct rd_kafka_message_s {
  int err; void *rkt; int32_t partition;
  const unsigned char *payload; size_t len;
} rd_kafka_message_t;
const char *rd_kafka_version_str(void);
void *rd_kafka_conf_new(void);
int rd_kafka_conf_set(void *conf, const char *name, const char *value, char *errstr, size_t size);
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
]]

local PRODUCER, CONSUMER, COPY = 0, 1, 2
local brokers, topic, count = arg[1], arg[2], tonumber(arg[3])
local kafka = ffi.load('librdkafka.so.1')
local text = ffi.new('char[512]')

local function client(kind, properties)
  local conf = kafka.rd_kafka_conf_new()
  properties['bootstrap.servers'] = brokers
  for name, value in pairs(properties) do
    assert(kafka.rd_kafka_conf_set(conf, name, value, text, 512) == 0, ffi.string(text))
  end
  local rk = kafka.rd_kafka_new(kind, conf, text, 512)
  assert(rk ~= nil, ffi.string(text))
  return rk
end

local function effective(rk, name)
  local size = ffi.new('size_t[1]', 512)
  kafka.rd_kafka_conf_get(kafka.rd_kafka_conf(rk), name, text, size)
  return ffi.string(text)
end

local producer = client(PRODUCER, {})
local linger, compression =
  effective(producer, 'linger.ms'), effective(producer, 'compression.type')
local rkt = kafka.rd_kafka_topic_new(producer, topic, nil)
for i = 0, count - 1 do
  local value = 'record ' .. i .. ('.'):rep(100)
  while kafka.rd_kafka_produce(rkt, 0, COPY, value, #value, nil, 0, nil) ~= 0 do
    kafka.rd_kafka_poll(producer, 100)
  end
end
kafka.rd_kafka_flush(producer, 60000)
local produced = count - kafka.rd_kafka_outq_len(producer)
kafka.rd_kafka_topic_destroy(rkt)
kafka.rd_kafka_destroy(producer)

local consumer = client(CONSUMER, { ['group.id'] = 'reach' })
local list = kafka.rd_kafka_topic_partition_list_new(1)
kafka.rd_kafka_topic_partition_list_add(list, topic, 0)
kafka.rd_kafka_topic_partition_list_set_offset(list, topic, 0, 0)
kafka.rd_kafka_assign(consumer, list)
kafka.rd_kafka_topic_partition_list_destroy(list)
local consumed, checksum, idle = 0, 0, 0
while consumed < count and idle < 60 do
  local message = kafka.rd_kafka_consumer_poll(consumer, 1000)
  if message == nil then
    idle = idle + 1
  else
    if message.err == 0 then
      for i = 0, tonumber(message.len) - 1 do
        checksum = checksum + (i + 1) * message.payload[i]
      end
      consumed, idle = consumed + 1, 0
    else
      idle = idle + 1
    end
    kafka.rd_kafka_message_destroy(message)
  end
end
kafka.rd_kafka_consumer_close(consumer)
kafka.rd_kafka_destroy(consumer)

print(('{"engine":"%s","produced":%d,"consumed":%d,"checksum":%.0f,'):format(
  ffi.string(kafka.rd_kafka_version_str()), produced, consumed, checksum)
  .. ('"linger.ms":"%s","compression.type":"%s"}'):format(linger, compression))
