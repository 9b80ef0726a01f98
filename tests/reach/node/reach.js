// Produces records and consumes them again, in this process and in two that it forks.
'use strict';

const { fork } = require('node:child_process');
const { once } = require('node:events');
const { Worker, isMainThread } = require('node:worker_threads');
const Kafka = require(Object.keys(require('./package.json').dependencies)[0]);

const record = (number) => Buffer.from(`record ${number}${'.'.repeat(100)}`);

async function connected(client) {
  client.on('event.error', (error) => console.error(error));
  client.connect();
  await once(client, 'ready');
  return client;
}

// Delivers the records; what the engine's statistics then tell.
async function produce(brokers, topic, count) {
  const producer = await connected(
    new Kafka.Producer({
      'bootstrap.servers': brokers,
      'statistics.interval.ms': 100,
      event_cb: true,
      dr_cb: true,
    }),
  );
  let produced = 0;
  const counted = new Promise((resolve, reject) => {
    producer.on('delivery-report', (error) => (error ? reject(error) : produced++));
    producer.on('event.stats', ({ message }) => {
      if (produced === count) resolve(JSON.parse(message));
    });
  });
  producer.setPollInterval(10);
  for (let number = 0; number < count; number++) {
    producer.produce(topic, 0, record(number));
  }
  const { tx_bytes: sent, txmsg_bytes: payload } = await counted;
  await new Promise((resolve) => producer.disconnect(resolve));
  return { produced, sent, payload };
}

async function consume(brokers, topic, count) {
  const consumer = await connected(
    new Kafka.KafkaConsumer({ 'bootstrap.servers': brokers, 'group.id': 'reach' }, {}),
  );
  let consumed = 0;
  let checksum = 0;
  consumer.assign([{ topic, partition: 0, offset: 0 }]);
  await new Promise((resolve) => {
    consumer.on('data', ({ value }) => {
      value.forEach((byte, place) => (checksum += (place + 1) * byte));
      if (++consumed === count) resolve();
    });
    consumer.consume();
  });
  await new Promise((resolve) => consumer.disconnect(resolve));
  return { consumed, checksum };
}

async function work(brokers, topic, count) {
  const produced = await produce(brokers, topic, Number(count));
  return { ...produced, ...(await consume(brokers, topic, Number(count))) };
}

async function inProcess(...job) {
  const child = fork(__filename, job);
  const [result] = await once(child, 'message');
  await once(child, 'exit');
  return result;
}

// Neither binding can be loaded by two threads of one process: Node says so, whoever listens.
async function inThread() {
  const [error] = await once(new Worker(__filename), 'error');
  return error.code;
}

async function main(brokers, topic, count) {
  const results = await Promise.all([
    work(brokers, topic, count),
    inProcess(brokers, `${topic}-1`, count),
    inProcess(brokers, `${topic}-2`, count),
  ]);
  const total = (key) => results.reduce((sum, result) => sum + result[key], 0);
  const keys = ['produced', 'consumed', 'checksum', 'sent', 'payload'];
  const totals = Object.fromEntries(keys.map((key) => [key, total(key)]));
  const thread = await inThread();
  console.log(JSON.stringify({ engine: Kafka.librdkafkaVersion, ...totals, thread }));
}

if (isMainThread) {
  const [brokers, topic, count] = process.argv.slice(2);
  if (process.send) {
    work(brokers, topic, count).then((result) => {
      process.send(result, () => process.disconnect());
    });
  } else {
    main(brokers, topic, count);
  }
}
