package simulator

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// connector hands on what is published to a topic to something outside. It is stored by its name alone, whatever the tenant.
type connector struct {
	Tenant   string          `json:"tenant"`
	Name     string          `json:"connector_name"`
	Type     string          `json:"connector_type"`
	Config   json.RawMessage `json:"config"`
	Strategy failureStrategy `json:"failure_strategy"`
	Topic    string          `json:"topic_name"`
	Status   string          `json:"status"`
	// Broker is the node that runs it; 0: none yet.
	Broker     uint64 `json:"broker_id,omitempty"`
	CreateTime int64  `json:"create_time"`
	UpdateTime int64  `json:"update_time"`
}

const (
	connectorIdle    = "Idle"
	connectorRunning = "Running"
	connectorStopped = "Stop"
)

func (c connector) key() string { return kindConnector + c.Name }

// labels of its metrics.
func (c connector) labels() []string { return []string{c.Tenant, c.Type, c.Name} }

// failureStrategy is what becomes of messages that could not be handed on.
type failureStrategy struct {
	Strategy string  `json:"strategy"`
	Retries  *uint32 `json:"retry_total_times,omitempty"`
	WaitMS   *uint64 `json:"wait_time_ms,omitempty"`
	Topic    *string `json:"topic_name,omitempty"` // of dead messages
}

const (
	discard           = "discard"
	discardAfterRetry = "discard_after_retry"
	deadMessageQueue  = "dead_message_queue"
)

// filled has what was not given. RobustMQ has checks of it that are never made: a word that it does not know is as good as "discard", and none of the numbers is refused (seen on 0.4.11).
func (s failureStrategy) filled() failureStrategy {
	s.Strategy = strings.ToLower(s.Strategy)
	retries, wait, dead := uint32(3), uint64(1000), "dead_letter_queue"
	if s.Retries == nil {
		s.Retries = &retries
	}
	if s.WaitMS == nil {
		s.WaitMS = &wait
	}
	if s.Topic == nil {
		s.Topic = &dead
	}
	return s
}

// fileConnector is the type that writes messages into a file of the server's machine.
const fileConnector = "file"

// connectorTypes are the names of the types, and how the admin API's list calls their configuration.
var connectorTypes = map[string]string{
	"kafka": "Kafka", fileConnector: "LocalFile", "greptime": "GreptimeDB", "pulsar": "Pulsar", "postgres": "Postgres", "mongodb": "MongoDB", "rabbitmq": "RabbitMQ", "mysql": "MySQL",
	"elasticsearch": "Elasticsearch", "redis": "Redis", "webhook": "Webhook", "opentsdb": "OpenTSDB", "mqtt": "MqttBridge", "clickhouse": "ClickHouse", "influxdb": "InfluxDB",
	"cassandra": "Cassandra", "s3": "S3",
}

// fileTarget is the configuration of a connector of the type "file".
type fileTarget struct {
	Path     string `json:"local_file_path"`
	Rotation string `json:"rotation_strategy"`
	MaxGB    uint64 `json:"max_size_gb"`
}

var rotations = []string{"none", "size", "hourly", "daily"}

// parseFileTarget checks as the server does when a connector is created.
func parseFileTarget(config string) (fileTarget, error) {
	t := fileTarget{Rotation: "none", MaxGB: 1}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(config), &fields); err != nil {
		return t, err
	}
	if _, given := fields["local_file_path"]; !given {
		return t, say("missing field `local_file_path` at line 1 column %d", len(config))
	}
	if err := json.Unmarshal([]byte(config), &t); err != nil {
		return t, err
	}
	const longest = 4096
	switch {
	case !slices.Contains(rotations, t.Rotation):
		return t, say("%s at line 1 column %d", unknownVariant(t.Rotation, rotations), strings.Index(config, t.Rotation)+len(t.Rotation)+1)
	case t.Path == "":
		return t, say("local_file_path cannot be empty")
	case len(t.Path) > longest:
		return t, say("local_file_path length cannot exceed %d characters", longest)
	case strings.Contains(t.Path, "\x00"):
		return t, say("local_file_path contains invalid null byte")
	case !filepath.IsAbs(t.Path):
		return t, say(`local_file_path must be an absolute path (e.g., /var/log/mqtt.log or C:\logs\mqtt.log)`)
	case slices.Contains(strings.Split(t.Path, "/"), ".."):
		return t, say("local_file_path cannot contain '..' directory traversal")
	case strings.Trim(t.Path, "/.") == "":
		return t, say("local_file_path must include a filename")
	case t.Rotation == "size" && (t.MaxGB < 1 || t.MaxGB > 10):
		return t, say("max_size_gb must be between 1 and 10")
	}
	return t, nil
}

// parseTarget is what is stored of a connector's configuration.
func parseTarget(kind, config string) (json.RawMessage, error) {
	if kind == fileConnector {
		t, err := parseFileTarget(config)
		return mustJSON(t), err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(config), &fields); err != nil {
		return nil, err
	}
	return json.RawMessage(config), nil
}

// shownTarget is a configuration as the admin API's list has it.
func (c connector) shownTarget() string {
	return fmt.Sprintf(`{%q:%s}`, connectorTypes[c.Type], c.Config)
}
