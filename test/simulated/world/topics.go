package world

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

const mqttPort = "1883"

// Segment is a topic's only segment as one server believes it is.
type Segment struct {
	Shard    string
	Leader   uint64
	Replicas []uint64
	ISR      []uint64
	Status   string
}

// CreateTopic makes a topic with one partition and so many copies, through a pod's server.
func (w *World) CreateTopic(pod, name string, copies int) {
	w.T.Helper()
	_, err := w.admin(pod, http.MethodPost, "/api/cluster/topic/create", map[string]any{
		"tenant": "default", "topic_name": name, "storage_type": "EngineRocksDB", "source": "MQTT", "partition": 1, "replication": copies,
	})
	if err != nil {
		w.T.Fatalf("topic %s: %v", name, err)
	}
}

// DeleteTopic removes one.
func (w *World) DeleteTopic(pod, name string) {
	w.T.Helper()
	if _, err := w.admin(pod, http.MethodPost, "/api/cluster/topic/delete", map[string]string{"tenant": "default", "topic_name": name}); err != nil {
		w.T.Fatalf("topic %s: %v", name, err)
	}
}

// Segment asks a pod's server for a topic's segment.
func (w *World) Segment(pod, topic string) (Segment, error) {
	var s Segment
	var topics struct {
		Data []struct {
			Storage map[string]string `json:"storage_name_list"`
		} `json:"data"`
	}
	if err := w.read(&topics, pod, http.MethodGet, "/api/cluster/topic/list?limit=10&topic_name="+topic, nil); err != nil {
		return s, err
	}
	if len(topics.Data) != 1 {
		return s, fmt.Errorf("%s knows %d topics called %s", pod, len(topics.Data), topic)
	}
	s.Shard = topics.Data[0].Storage["0"]
	var list struct {
		Segments []struct {
			Segment struct {
				Leader   uint64   `json:"leader"`
				ISR      []uint64 `json:"isr"`
				Status   string   `json:"status"`
				Replicas []struct {
					Node uint64 `json:"node_id"`
				} `json:"replicas"`
			} `json:"segment"`
		} `json:"segment_list"`
	}
	if err := w.read(&list, pod, http.MethodPost, "/api/storage-engine/segment/list", map[string]string{"shard_name": s.Shard}); err != nil {
		return s, err
	}
	if len(list.Segments) != 1 {
		return s, fmt.Errorf("%s knows %d segments of %s", pod, len(list.Segments), topic)
	}
	found := list.Segments[0].Segment
	s.Leader, s.ISR, s.Status = found.Leader, found.ISR, found.Status
	for _, r := range found.Replicas {
		s.Replicas = append(s.Replicas, r.Node)
	}
	return s, nil
}

func (w *World) read(into any, pod, method, path string, body any) error {
	raw, err := w.admin(pod, method, path, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// PodOf is the pod of a node.
func (w *World) PodOf(node uint64) string {
	w.T.Helper()
	for _, c := range w.clusters() {
		for _, m := range c.Status.Members {
			if uint64(m.NodeID) == node { //nolint:gosec // never negative
				return m.Pod
			}
		}
	}
	w.T.Fatalf("no pod is node %d", node)
	return ""
}

// Kept are the messages of a topic that can still be read: those that the leader of its segment has stored, as a member's server names it.
func (w *World) Kept(member, topic string) ([]string, error) {
	s, err := w.Segment(member, topic)
	if err != nil {
		return nil, err
	}
	if s.Status != "Write" {
		return nil, fmt.Errorf("the segment of %s is %s", topic, s.Status)
	}
	pod := w.PodOf(s.Leader)
	w.mu.Lock()
	server := w.servers[pod]
	w.mu.Unlock()
	if server == nil {
		return nil, fmt.Errorf("%s, which leads %s, does not run", pod, topic)
	}
	return server.node.Payloads(s.Shard), nil
}

// Missing are the acknowledged messages of a traffic that can no longer be read.
func (w *World) Missing(member, topic string, t *messages.Traffic) ([]string, error) {
	kept, err := w.Kept(member, topic)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, payload := range t.Payloads() {
		if !slices.Contains(kept, payload) {
			missing = append(missing, payload)
		}
	}
	slices.Sort(missing)
	return missing, nil
}

// MQTT are the brokers of these pods as clients reach them. They are reached past every fault of the network, in the order given.
func (w *World) MQTT(pods ...string) []messages.Endpoint {
	w.T.Helper()
	cluster := w.clusters()[0]
	var login corev1.Secret
	if err := w.Client.Get(w.ctx, client.ObjectKey{Namespace: w.Namespace, Name: manifests.MQTTSecretName(&cluster)}, &login); err != nil {
		w.T.Fatal(err)
	}
	var all []messages.Endpoint
	for _, pod := range pods {
		all = append(all, messages.Endpoint{
			Username: string(login.Data[corev1.BasicAuthUsernameKey]), Password: string(login.Data[corev1.BasicAuthPasswordKey]),
			Dial: func(ctx context.Context) (net.Conn, error) {
				address := w.Kubelet.AddressOf(pod)
				if address == "" {
					return nil, fmt.Errorf("%s has no address", pod)
				}
				var d net.Dialer
				return d.DialContext(ctx, "tcp", net.JoinHostPort(address, mqttPort))
			},
		})
	}
	return all
}
