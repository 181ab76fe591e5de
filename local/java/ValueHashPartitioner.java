import java.util.Arrays;

import org.apache.flink.connector.kafka.sink.KafkaPartitioner;

/**
 * Chooses a record's partition by its value, as Confluent Cloud does for tables without a key.
 *
 * <p>The record that takes a row back thus lies in the partition of the record that added it, behind it: a reader never
 * sees a row taken back before it was added. Kafka's own choice for a record without a key would not give that.
 */
public final class ValueHashPartitioner implements KafkaPartitioner<Object> {

    private static final long serialVersionUID = 1L;

    @Override
    public int partition(Object row, byte[] key, byte[] value, String topic, int[] partitions) {
        return partitions[Math.floorMod(Arrays.hashCode(value), partitions.length)];
    }
}
