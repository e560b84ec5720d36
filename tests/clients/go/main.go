// CloudEvents by the Go SDK, through sarama; see tests/clients/README.md.
//
//	clients publish BOOTSTRAP FILE
//	clients read BOOTSTRAP ENDS
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"log"
	"os"
	"strings"
	"sync"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
)

type order struct {
	Topic, Key, Mode, Data, Codec string
	Event                         json.RawMessage
}

func main() {
	var err error
	brokers := strings.Split(os.Args[2], ",")
	if os.Args[1] == "publish" {
		err = publish(brokers, os.Args[3])
	} else {
		err = read(brokers, os.Args[3])
	}
	if err != nil {
		log.Fatal(err)
	}
}

func publish(brokers []string, file string) error {
	opened, err := os.Open(file)
	if err != nil {
		return err
	}
	defer opened.Close()
	producers := map[string]sarama.SyncProducer{}
	lines := bufio.NewScanner(opened)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var each order
		if err := json.Unmarshal(lines.Bytes(), &each); err != nil {
			return err
		}
		if producers[each.Codec] == nil {
			if producers[each.Codec], err = producer(brokers, each.Codec); err != nil {
				return err
			}
			defer producers[each.Codec].Close()
		}
		message, err := message(each)
		if err != nil {
			return err
		}
		if _, _, err := producers[each.Codec].SendMessage(message); err != nil {
			return err
		}
	}
	return lines.Err()
}

func producer(brokers []string, codec string) (sarama.SyncProducer, error) {
	config := sarama.NewConfig()
	config.Version = sarama.V2_1_0_0 // zstd is refused for less
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	if err := config.Producer.Compression.UnmarshalText([]byte(codec)); err != nil {
		return nil, err
	}
	config.Producer.Partitioner = sarama.NewCustomPartitioner(
		sarama.WithAbsFirst(), sarama.WithCustomHashFunction(func() hash.Hash32 { return new(murmur2) }))
	return sarama.NewSyncProducer(brokers, config)
}

func message(from order) (*sarama.ProducerMessage, error) {
	var made event.Event
	if err := json.Unmarshal(from.Event, &made); err != nil {
		return nil, err
	}
	var data any
	if err := json.Unmarshal(made.Data(), &data); err != nil {
		return nil, err
	}
	if from.Data == "bytes" {
		data = made.Data()
	}
	if err := made.SetData(event.ApplicationJSON, data); err != nil {
		return nil, err
	}
	ctx := kafka_sarama.WithSkipKeyMapping(context.Background())
	if from.Mode == "structured" {
		ctx = binding.WithForceStructured(ctx)
	} else {
		ctx = binding.WithForceBinary(ctx)
	}
	message := &sarama.ProducerMessage{Topic: from.Topic, Key: sarama.StringEncoder(from.Key)}
	return message, kafka_sarama.WriteProducerMessage(ctx, binding.ToMessage(&made), message)
}

// murmur2 hashes a key as Kafka's own (Java) partitioner does; sarama's default is FNV-1a.
type murmur2 struct{ key []byte }

func (m *murmur2) Write(p []byte) (int, error) { m.key = append(m.key, p...); return len(p), nil }
func (m *murmur2) Sum(b []byte) []byte         { return binary.BigEndian.AppendUint32(b, m.Sum32()) }
func (m *murmur2) Reset()                      { m.key = m.key[:0] }
func (m *murmur2) Size() int                   { return 4 }
func (m *murmur2) BlockSize() int              { return 4 }

func (m *murmur2) Sum32() uint32 {
	const mul = 0x5bd1e995
	rest := m.key
	h := 0x9747b28c ^ uint32(len(rest))
	for ; len(rest) >= 4; rest = rest[4:] {
		k := binary.LittleEndian.Uint32(rest) * mul
		h = h*mul ^ (k^k>>24)*mul
	}
	for i := len(rest) - 1; i >= 0; i-- {
		h ^= uint32(rest[i]) << (8 * i)
	}
	if len(rest) > 0 {
		h *= mul
	}
	h = (h ^ h>>13) * mul
	return h ^ h>>15
}

type line struct {
	Topic       string          `json:"topic"`
	Partition   int32           `json:"partition"`
	Offset      int64           `json:"offset"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Subject     *string         `json:"subject"`
	Time        *string         `json:"time"`
	Traceparent any             `json:"traceparent"`
	Data        json.RawMessage `json:"data"`
	Error       string          `json:"error,omitempty"`
}

func read(brokers []string, argument string) error {
	var ends map[string]map[int32]int64
	if err := json.Unmarshal([]byte(argument), &ends); err != nil {
		return err
	}
	config := sarama.NewConfig()
	config.Version = sarama.V2_1_0_0
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	consumer, err := sarama.NewConsumer(brokers, config)
	if err != nil {
		return err
	}
	defer consumer.Close()
	var all sync.WaitGroup
	lines := make(chan line)
	for topic, lasts := range ends {
		for partition, last := range lasts {
			records, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
			if err != nil {
				return err
			}
			all.Add(1)
			go func() {
				defer all.Done()
				for record := range records.Messages() {
					if record.Offset <= last {
						lines <- describe(record)
					}
					if record.Offset >= last {
						return
					}
				}
			}()
		}
	}
	go func() { all.Wait(); close(lines) }()
	for each := range lines {
		text, err := json.Marshal(each)
		if err != nil {
			return err
		}
		fmt.Println(string(text))
	}
	return nil
}

func describe(record *sarama.ConsumerMessage) line {
	found := line{Topic: record.Topic, Partition: record.Partition, Offset: record.Offset}
	read, err := binding.ToEvent(context.Background(), kafka_sarama.NewMessageFromConsumerMessage(record))
	if err == nil {
		err = read.Validate()
	}
	if err != nil {
		found.Error = err.Error()
		return found
	}
	found.ID, found.Source, found.Type = read.ID(), read.Source(), read.Type()
	if subject := read.Subject(); subject != "" {
		found.Subject = &subject
	}
	if !read.Time().IsZero() {
		time := read.Time().Format("2006-01-02T15:04:05.999999999Z07:00")
		found.Time = &time
	}
	found.Traceparent, found.Data = read.Extensions()["traceparent"], read.Data()
	return found
}
