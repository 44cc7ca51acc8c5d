package simulator

import (
	"bytes"
	"context"
	"maps"
	"os"
	"time"
)

// handing hands on what a topic has to a file, in batches (connector/src/loops.rs, 0.4.11).
type handing struct {
	c    *connectors
	of   connector
	file *os.File
	// next are the offsets to read from, by shard.
	next map[string]uint64
}

const (
	batchMessages = 100
	handingPause  = 100 * time.Millisecond
)

func (h *handing) run(ctx context.Context) {
	for ctx.Err() == nil {
		h.c.n.frozen.wait(ctx)
		batch, next, exists, err := h.read(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case !exists:
			// It stops for good, and stays listed as one that runs until it is deleted.
			h.unread()
			h.of.Status, h.of.UpdateTime = connectorStopped, h.c.n.now()
			h.c.update(h.of)
			return
		case err != nil:
			h.unread()
			h.c.n.log.error("connector::loops", "failed to read topic data: %v", err)
			h.pause(ctx, handingPause)
			continue
		}
		h.c.mu.Lock()
		h.c.beats[h.of.Name] = time.Now()
		h.c.mu.Unlock()
		if len(batch) == 0 {
			h.pause(ctx, handingPause)
			continue
		}
		if h.handOn(ctx, batch) {
			h.next = next
			h.c.n.offsets.commit(h.of.group(), next)
		}
	}
}

// pause waits; not shorter than 20 ms of the machine's, since whoever asks costs the shard's leader an answer.
func (h *handing) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(h.c.n.t.patience(d, 20*time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// unread counts that the topic could not be read.
func (h *handing) unread() {
	h.c.n.metrics.add("mqtt_connector_source_read_failure_total", 1, h.of.labels()...)
	h.failed(0)
}

// read returns the next messages and the offsets behind them. exists is whether this node knows the topic.
func (h *handing) read(ctx context.Context) (batch []message, next map[string]uint64, exists bool, err error) {
	n := h.c.n
	t, exists := n.cache.topic(h.of.Tenant, h.of.Topic)
	if !exists {
		return nil, nil, false, nil
	}
	if h.next == nil {
		if h.next, err = n.offsets.read(ctx, h.of.group()); err != nil {
			return nil, nil, true, err
		}
	}
	next = maps.Clone(h.next)
	for _, p := range sortedKeys(t.StorageNameList) {
		shard := t.StorageNameList[p]
		rows, err := n.engine.rowsFrom(ctx, shard, next[shard])
		if err != nil {
			return nil, nil, true, err
		}
		for _, m := range rows {
			next[shard] = m.Offset + 1
		}
		batch = append(batch, rows...)
	}
	return batch, next, true, nil
}

// handOn does with a batch what is to be done; false when it was cut short.
func (h *handing) handOn(ctx context.Context, batch []message) bool {
	n, count := h.c.n, float64(len(batch))
	begin := time.Now()
	for tried := uint32(0); ctx.Err() == nil; tried++ {
		err := h.write(batch)
		if err == nil {
			n.metrics.add("mqtt_connector_messages_sent_success", count, h.of.labels()...)
			n.metrics.add("mqtt_connector_messages_sent_success_agg", count)
			n.metrics.took("mqtt_connector_send_duration_ms", begin, h.of.labels()...)
			n.metrics.took("mqtt_connector_send_duration_ms_agg", begin)
			return true
		}
		if tried == 0 {
			h.failed(count)
		}
		n.log.error("connector::loops", "failed to send batch: %v", err)
		if h.givenUp(ctx, batch, tried, err) {
			h.pause(ctx, handingPause)
			return true
		}
	}
	return false
}

func (h *handing) failed(count float64) {
	h.c.n.metrics.add("mqtt_connector_messages_sent_failure", count, h.of.labels()...)
	h.c.n.metrics.add("mqtt_connector_messages_sent_failure_agg", count)
}

// write appends a line a message.
func (h *handing) write(batch []message) error {
	var b bytes.Buffer
	for _, m := range batch {
		b.Write(m.Payload)
		b.WriteByte('\n')
	}
	_, err := h.file.Write(b.Bytes())
	return err
}

// givenUp does with a batch that could not be written what the connector's strategy says (connector/src/failure.rs, 0.4.11). false: it is tried again.
func (h *handing) givenUp(ctx context.Context, batch []message, tried uint32, cause error) bool {
	m, s := h.c.n.metrics, h.of.Strategy
	labels := func(last string) []string { return append(h.of.labels(), last) }
	if s.Strategy != discardAfterRetry && s.Strategy != deadMessageQueue {
		m.add("mqtt_connector_messages_discarded_total", float64(len(batch)), labels(discard)...)
		return true
	}
	wait := time.Duration(*s.WaitMS) * time.Millisecond
	if tried < *s.Retries {
		m.add("mqtt_connector_retry_total", 1, labels(s.Strategy)...)
		h.pause(ctx, wait)
		return false
	}
	if s.Strategy == discardAfterRetry {
		m.add("mqtt_connector_messages_discarded_total", float64(len(batch)), labels(s.Strategy)...)
		return true
	}
	if err := h.bury(ctx, batch, tried, cause); err != nil {
		m.add("mqtt_connector_dlq_messages_total", float64(len(batch)), labels("failure")...)
		h.c.n.log.error("connector::failure", "Failed to write dead letter queue for connector '%s', will retry. reason: %v", h.of.Name, err)
		h.pause(ctx, wait)
		return false
	}
	m.add("mqtt_connector_dlq_messages_total", float64(len(batch)), labels("success")...)
	return true
}

// deadLetter is what the topic of dead messages gets.
type deadLetter struct {
	Connector string  `json:"connector_name"`
	Topic     string  `json:"source_topic"`
	Error     string  `json:"error_message"`
	Retries   uint32  `json:"retry_times"`
	Record    message `json:"record"`
}

func (h *handing) bury(ctx context.Context, batch []message, tried uint32, cause error) error {
	n, name := h.c.n, *h.of.Strategy.Topic
	t, exists := n.cache.topic(h.of.Tenant, name)
	if !exists {
		return say("Topic %s not found in broker cache, tenant: %s", name, h.of.Tenant)
	}
	limit := int64(0)
	if t.Config.MaxRecordNum != nil {
		limit = *t.Config.MaxRecordNum
	}
	for _, m := range batch {
		letter := deadLetter{h.of.Name, h.of.Topic, cause.Error(), tried, m}
		if _, err := n.engine.publish(ctx, t.StorageNameList["0"], message{Payload: mustJSON(letter), Timestamp: n.now(), QoS: 1, Topic: name, Tenant: h.of.Tenant}, limit); err != nil {
			return err
		}
	}
	return nil
}
