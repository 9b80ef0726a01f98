import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.NativeLong;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.NativeLongByReference;
import java.util.Map;

/** Produces records and consumes them again. JNA finds the functions by dlopen and dlsym. */
public final class Reach {
    private static final int PRODUCER = 0;
    private static final int CONSUMER = 1;
    private static final int COPY = 2;

    /** As much of rdkafka.h as this program uses; NativeLong is as wide as size_t. */
    public interface Kafka extends Library {
        String rd_kafka_version_str();
        Pointer rd_kafka_conf_new();
        int rd_kafka_conf_set(Pointer conf, String name, String value, byte[] errstr, NativeLong n);
        int rd_kafka_conf_get(Pointer conf, String name, byte[] value, NativeLongByReference size);
        Pointer rd_kafka_conf(Pointer rk);
        Pointer rd_kafka_new(int type, Pointer conf, byte[] errstr, NativeLong size);
        Pointer rd_kafka_topic_new(Pointer rk, String topic, Pointer conf);
        int rd_kafka_produce(Pointer rkt, int partition, int flags, byte[] payload,
                             NativeLong length, Pointer key, NativeLong keyLength, Pointer opaque);
        int rd_kafka_poll(Pointer rk, int timeout);
        int rd_kafka_flush(Pointer rk, int timeout);
        int rd_kafka_outq_len(Pointer rk);
        Pointer rd_kafka_topic_partition_list_new(int size);
        Pointer rd_kafka_topic_partition_list_add(Pointer list, String topic, int partition);
        int rd_kafka_topic_partition_list_set_offset(Pointer list, String topic, int partition,
                                                     long offset);
        void rd_kafka_topic_partition_list_destroy(Pointer list);
        int rd_kafka_assign(Pointer rk, Pointer list);
        Pointer rd_kafka_consumer_poll(Pointer rk, int timeout);
        void rd_kafka_message_destroy(Pointer message);
        int rd_kafka_consumer_close(Pointer rk);
        void rd_kafka_topic_destroy(Pointer rkt);
        void rd_kafka_destroy(Pointer rk);
    }

    private static final Kafka KAFKA = Native.load("librdkafka.so.1", Kafka.class);

    private static Pointer client(int type, Map<String, String> properties) {
        Pointer conf = KAFKA.rd_kafka_conf_new();
        byte[] text = new byte[512];
        NativeLong size = new NativeLong(text.length);
        properties.forEach((name, value) -> {
            if (KAFKA.rd_kafka_conf_set(conf, name, value, text, size) != 0) {
                throw new IllegalArgumentException(Native.toString(text));
            }
        });
        Pointer rk = KAFKA.rd_kafka_new(type, conf, text, size);
        if (rk == null) {
            throw new IllegalStateException(Native.toString(text));
        }
        return rk;
    }

    private static String effective(Pointer client, String name) {
        byte[] value = new byte[256];
        NativeLongByReference size = new NativeLongByReference(new NativeLong(value.length));
        KAFKA.rd_kafka_conf_get(KAFKA.rd_kafka_conf(client), name, value, size);
        return Native.toString(value);
    }

    private static int produce(Pointer producer, String topic, int count) {
        Pointer rkt = KAFKA.rd_kafka_topic_new(producer, topic, null);
        NativeLong none = new NativeLong(0);
        for (int i = 0; i < count; i++) {
            byte[] value = ("record " + i + ".".repeat(100)).getBytes();
            NativeLong length = new NativeLong(value.length);
            while (KAFKA.rd_kafka_produce(rkt, 0, COPY, value, length, null, none, null) != 0) {
                KAFKA.rd_kafka_poll(producer, 100);
            }
        }
        KAFKA.rd_kafka_flush(producer, 60_000);
        KAFKA.rd_kafka_topic_destroy(rkt);
        return count - KAFKA.rd_kafka_outq_len(producer);
    }

    /** The number of records that came, and their checksum. */
    private static long[] consume(Pointer consumer, String topic, int count) {
        Pointer list = KAFKA.rd_kafka_topic_partition_list_new(1);
        KAFKA.rd_kafka_topic_partition_list_add(list, topic, 0);
        KAFKA.rd_kafka_topic_partition_list_set_offset(list, topic, 0, 0);
        KAFKA.rd_kafka_assign(consumer, list);
        KAFKA.rd_kafka_topic_partition_list_destroy(list);
        long consumed = 0;
        long checksum = 0;
        for (int idle = 0; consumed < count && idle < 60; idle++) {
            Pointer message = KAFKA.rd_kafka_consumer_poll(consumer, 1000);
            if (message == null) {
                continue;
            }
            // rd_kafka_message_t on a system of 64 bits: err, rkt, partition, payload, len.
            if (message.getInt(0) == 0) {
                int length = (int) message.getLong(32);
                byte[] value = message.getPointer(24).getByteArray(0, length);
                for (int i = 0; i < length; i++) {
                    checksum += (i + 1L) * (value[i] & 0xff);
                }
                consumed++;
                idle = 0;
            }
            KAFKA.rd_kafka_message_destroy(message);
        }
        KAFKA.rd_kafka_consumer_close(consumer);
        return new long[] {consumed, checksum};
    }

    public static void main(String[] arguments) {
        String brokers = arguments[0];
        String topic = arguments[1];
        int count = Integer.parseInt(arguments[2]);

        Pointer producer = client(PRODUCER, Map.of("bootstrap.servers", brokers));
        String linger = effective(producer, "linger.ms");
        String compression = effective(producer, "compression.type");
        int produced = produce(producer, topic, count);
        KAFKA.rd_kafka_destroy(producer);

        Pointer consumer =
            client(CONSUMER, Map.of("bootstrap.servers", brokers, "group.id", "reach"));
        long[] seen = consume(consumer, topic, count);
        KAFKA.rd_kafka_destroy(consumer);

        System.out.printf(
            "{\"engine\":\"%s\",\"produced\":%d,\"consumed\":%d,\"checksum\":%d,"
                + "\"linger.ms\":\"%s\",\"compression.type\":\"%s\"}%n",
            KAFKA.rd_kafka_version_str(), produced, seen[0], seen[1], linger, compression);
    }
}
