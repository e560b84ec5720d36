// CloudEvents by the JavaScript SDK, through kafkajs; see tests/clients/README.md.
//
//   node client.mjs publish BOOTSTRAP FILE
//   node client.mjs read BOOTSTRAP ENDS
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { compress as zstdCompress, decompress as zstdDecompress, init as initZstd } from "@bokuweb/zstd-wasm";
import { CloudEvent, Kafka as binding } from "cloudevents";
import kafkajs from "kafkajs";
import snappy from "kafkajs-snappy";
import lz4 from "lz4-napi";

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;
const CODECS = {
  none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD,
};

// kafkajs has gzip built in; the others are plugged in, as its documentation says.
await initZstd();
CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstdCompress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(zstdDecompress(buffer)),
});

function message({ key, mode, data, event }) {
  const content = data === "bytes" ? Buffer.from(JSON.stringify(event.data)) : event.data;
  const { headers, value } = binding[mode](new CloudEvent({ ...event, data: content }));
  // What every user of both has to do in binary mode: the SDK gives headers that are undefined and an object as the value,
  // and kafkajs throws.
  const defined = Object.fromEntries(Object.entries(headers).filter(([, text]) => text !== undefined));
  const bytes = typeof value === "string" || ArrayBuffer.isView(value) ? value : JSON.stringify(value);
  return { key, headers: defined, value: bytes };
}

async function publish(kafka, file) {
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  const batches = new Map();
  for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
    const order = JSON.parse(line);
    const batch = JSON.stringify([order.topic, order.codec]);
    batches.set(batch, [...(batches.get(batch) ?? []), message(order)]);
  }
  for (const [batch, messages] of batches) {
    const [topic, codec] = JSON.parse(batch);
    await producer.send({ topic, messages, compression: CODECS[codec], acks: -1 });
  }
  await producer.disconnect();
}

// What an application does before it asks the SDK: kafkajs gives headers as buffers, the SDK wants text.
function asText(headers) {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value?.toString()]));
}

function describe(record) {
  try {
    const event = binding.toEvent({ ...record, headers: asText(record.headers), value: record.value?.toString() });
    const { id, source, type, subject = null, time = null, traceparent = null, data } = event;
    return { id, source, type, subject, time, traceparent, data };
  } catch (error) {
    return { error: String(error) };
  }
}

async function read(kafka, ends) {
  const open = new Set(Object.entries(ends).flatMap(([topic, of]) => Object.keys(of).map((n) => `${topic}/${n}`)));
  const consumer = kafka.consumer({ groupId: `clients-${randomUUID()}`, readUncommitted: false });
  await consumer.connect();
  await consumer.subscribe({ topics: Object.keys(ends), fromBeginning: true });
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    consumer.run({
      autoCommit: false,
      eachMessage: async ({ topic, partition, message: record }) => {
        const last = ends[topic][partition] ?? -1;
        const offset = Number(record.offset);
        if (offset <= last) console.log(JSON.stringify({ topic, partition, offset, ...describe(record) }));
        if (offset >= last) open.delete(`${topic}/${partition}`);
        if (open.size === 0) resolve();
      },
    }).catch(reject);
  });
  await consumer.disconnect();
}

const [command, bootstrap, argument] = process.argv.slice(2);
const kafka = new Kafka({ brokers: bootstrap.split(","), logLevel: logLevel.ERROR });
await (command === "publish" ? publish(kafka, argument) : read(kafka, JSON.parse(argument)));
