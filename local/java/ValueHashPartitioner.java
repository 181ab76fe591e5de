import java.util.Arrays;

import org.apache.flink.connector.kafka.sink.KafkaPartitioner;

/**
 * Chooses a record's partition by the hash of its value, as Confluent Cloud does for tables without a key.
 *
 * <p>A retraction has the same value as the record that added the row. So both are in the same partition, in order, and
 * a reader never sees a row retracted before it was added. Kafka's default for records without a key does not ensure it.
 */
public final class ValueHashPartitioner implements KafkaPartitioner<Object> {

    private static final long serialVersionUID = 1L;

    @Override
    public int partition(Object row, byte[] key, byte[] value, String topic, int[] partitions) {
        return partitions[Math.floorMod(Arrays.hashCode(value), partitions.length)];
    }
}
