package messages

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/robustmq/admin"
)

// Dial opens a connection; where to is the caller's knowledge.
type Dial func(ctx context.Context) (net.Conn, error)

// Admin is the admin API of one server, used with the user's own name and password as a person would.
type Admin struct {
	Dial               Dial
	Username, Password string
}

// CreateTopic makes a topic that MQTT clients can use, with so many copies of each message, and returns whether it is new. RobustMQ 0.3.9 and later.
func (a Admin) CreateTopic(ctx context.Context, name string, copies int32) (made bool, err error) {
	return a.create(ctx, "topic "+name, "/api/cluster/topic/create", map[string]any{
		"tenant": "default", "topic_name": name, "storage_type": "EngineRocksDB", "source": "MQTT", "partition": 1, "replication": copies,
	})
}

// CreateUser makes an MQTT user, and returns whether it is new.
func (a Admin) CreateUser(ctx context.Context, name, password string) (made bool, err error) {
	return a.create(ctx, "user "+name, "/api/cluster/user/create", map[string]any{"tenant": "default", "username": name, "password": password, "is_superuser": false})
}

// DeleteUser removes an MQTT user.
func (a Admin) DeleteUser(ctx context.Context, name string) error {
	if _, err := a.post(ctx, "/api/cluster/user/delete", map[string]any{"tenant": "default", "username": name}); err != nil {
		return fmt.Errorf("deleting user %s: %w", name, err)
	}
	return nil
}

// DeleteTopic removes a topic, with its messages.
func (a Admin) DeleteTopic(ctx context.Context, name string) error {
	if _, err := a.post(ctx, "/api/cluster/topic/delete", map[string]any{"tenant": "default", "topic_name": name}); err != nil {
		return fmt.Errorf("deleting topic %s: %w", name, err)
	}
	return nil
}

// CreateFileConnector makes a connector that appends what is published to a topic to a file of the server that comes to run it, and drops what cannot be written; it returns whether it is new.
func (a Admin) CreateFileConnector(ctx context.Context, name, topic, path string) (made bool, err error) {
	target, err := json.Marshal(map[string]any{"local_file_path": path, "rotation_strategy": "none"})
	if err != nil {
		return false, err
	}
	return a.create(ctx, "connector "+name, "/api/cluster/connector/create", map[string]any{
		"tenant": "default", "connector_name": name, "connector_type": "file", "config": string(target), "failure_strategy": map[string]any{"strategy": "discard"}, "topic_name": topic,
	})
}

// DeleteConnector removes a connector.
func (a Admin) DeleteConnector(ctx context.Context, name string) error {
	if _, err := a.post(ctx, "/api/cluster/connector/delete", map[string]any{"tenant": "default", "connector_name": name}); err != nil {
		return fmt.Errorf("deleting connector %s: %w", name, err)
	}
	return nil
}

// Users are the MQTT users that the server knows, at most 100,000.
func (a Admin) Users(ctx context.Context) ([]string, error) {
	return a.names(ctx, "users", "/api/cluster/user/list?limit=100000", "username")
}

// Topics are the topics that the server knows, its own among them, at most 100,000.
func (a Admin) Topics(ctx context.Context) ([]string, error) {
	return a.names(ctx, "topics", "/api/cluster/topic/list?limit=100000", "topic_name")
}

// names are one field of every row of a list.
func (a Admin) names(ctx context.Context, what, path, field string) ([]string, error) {
	data, err := a.loggedIn(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", what, err)
	}
	var list struct {
		Data []map[string]any `json:"data"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("listing %s: %w", what, err)
	}
	var names []string
	for _, row := range list.Data {
		name, ok := row[field].(string)
		if !ok {
			return nil, fmt.Errorf("listing %s: a row has no %s", what, field)
		}
		names = append(names, name)
	}
	return names, nil
}

// Read returns what is stored of a topic, RobustMQ 0.4.11: the first 100 messages, whatever is asked for.
func (a Admin) Read(ctx context.Context, topic string) ([]string, error) {
	data, err := a.post(ctx, "/api/cluster/message/read", map[string]any{"tenant": "default", "topic": topic, "offset": 0})
	if err != nil {
		return nil, fmt.Errorf("reading topic %s: %w", topic, err)
	}
	var list struct {
		Messages []struct {
			Content string `json:"content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("reading topic %s: %w", topic, err)
	}
	var out []string
	for _, m := range list.Messages {
		out = append(out, m.Content)
	}
	return out, nil
}

func (a Admin) post(ctx context.Context, path string, body any) (json.RawMessage, error) {
	return a.loggedIn(ctx, http.MethodPost, path, body)
}

// loggedIn logs in, as a person would, and makes a call.
func (a Admin) loggedIn(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	http1 := &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return a.Dial(ctx) },
		DisableKeepAlives: true,
	}}
	data, err := a.call(ctx, http1, "", http.MethodPost, "/api/v1/login", map[string]any{"username": a.Username, "password": a.Password})
	if err != nil {
		return nil, fmt.Errorf("logging in to the admin API: %w", err)
	}
	var session struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(data, &session); err != nil || session.Token == "" {
		return nil, fmt.Errorf("logging in to the admin API: no token in the answer (%w)", err)
	}
	return a.call(ctx, http1, session.Token, method, path, body)
}

func (a Admin) create(ctx context.Context, what, path string, body any) (made bool, err error) {
	_, err = a.post(ctx, path, body)
	var refused *admin.Error
	if errors.As(err, &refused) && strings.Contains(refused.Message, "already exist") {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("creating %s: %w", what, err)
	}
	return true, nil
}

// call sends a body unless it is nil.
func (a Admin) call(ctx context.Context, c *http.Client, token, method, path string, body any) (json.RawMessage, error) {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://robustmq"+path, bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 32<<20))
	if err != nil {
		return nil, err
	}
	return admin.DecodeEnvelope(response.StatusCode, answer)
}
