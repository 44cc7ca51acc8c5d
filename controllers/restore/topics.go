package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/agents"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// inventory is what a broker says that the metadata holds: topics by their ids, with the names by which people know them, and how many there are of what a manifest counts.
type inventory struct {
	topics map[string]string
	counts map[string]int64
}

const (
	topicRows = 1000
	// maxTopicPages bounds what is listed, and kept in memory while a restore is under way.
	maxTopicPages = 100
	// maxOrphans and maxOrphanName are the schema's bounds of status.orphanTopics.
	maxOrphans    = 64
	maxOrphanName = 500
)

// takeStock asks the first broker that serves what the cluster holds; nil: nobody could be asked, or not everything was said in time. The members have no users in their caches, so brokers are asked.
func (r *Reconciler) takeStock(ctx context.Context, o *observation) *inventory {
	i := slices.IndexFunc(o.nodes, func(m member) bool {
		return m.role == v1alpha1.RoleMQTTBroker && m.state != nil && m.state.Server.Phase == protocol.ServerRunning && m.state.Server.MQTTOpen
	})
	if i < 0 {
		return nil
	}
	identity, err := agents.Identity(ctx, r.Client, o.cluster)
	if err != nil {
		return nil
	}
	agent, err := r.Agents.Client(client.ObjectKeyFromObject(o.cluster).String(), identity, o.nodes[i].address)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Observe)
	defer cancel()
	stock := &inventory{counts: map[string]int64{}}
	if stock.topics, err = listTopics(ctx, agent); err != nil {
		return nil
	}
	for name, path := range protocol.CountPaths {
		raw, err := agent.Admin(ctx, http.MethodGet, path+"?limit=1&page=1", nil)
		if err != nil {
			return nil
		}
		if stock.counts[name], err = readTotal(raw); err != nil {
			return nil
		}
	}
	return stock
}

// listTopics asks for all topics, page by page.
func listTopics(ctx context.Context, agent agentclient.Client) (map[string]string, error) {
	topics := map[string]string{}
	for page := 1; page <= maxTopicPages; page++ {
		raw, err := agent.Admin(ctx, http.MethodGet, fmt.Sprintf("%s?limit=%d&page=%d", protocol.CountPaths["topics"], topicRows, page), nil)
		if err != nil {
			return nil, fmt.Errorf("listing topics: %w", err)
		}
		rows, total, err := readList(raw)
		if err != nil {
			return nil, fmt.Errorf("listing topics: %w", err)
		}
		for _, row := range rows {
			if row.ID == "" || row.Name == "" {
				return nil, errors.New("listing topics: a row has no topic_id or topic_name")
			}
			topics[row.ID] = row.title()
		}
		if len(rows) < topicRows || int64(len(topics)) >= total {
			return topics, nil
		}
	}
	return nil, fmt.Errorf("listing topics: there are more than %d", topicRows*maxTopicPages)
}

// row is a topic in the admin API's list.
type row struct {
	ID     string `json:"topic_id"`
	Name   string `json:"topic_name"`
	Tenant string `json:"tenant"`
}

func (t row) title() string { return robustmq.TopicTitle(t.Tenant, t.Name) }

// readList reads a list of topics, which says how long it is beside the page that it answers.
func readList(raw []byte) (rows []row, total int64, err error) {
	var list struct {
		Data []row `json:"data"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, 0, fmt.Errorf("the list cannot be read: %w", err)
	}
	total, err = readTotal(raw)
	return list.Data, total, err
}

// readTotal is how long a list of the admin API is, whatever it lists.
func readTotal(raw []byte) (int64, error) {
	var list struct {
		Total *int64 `json:"total_count"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return 0, fmt.Errorf("the list cannot be read: %w", err)
	}
	if list.Total == nil || *list.Total < 0 {
		return 0, errors.New("the list does not say how long it is")
	}
	return *list.Total, nil
}

// orphans are the topics that there were before the restore and are no more: what lies in the engines of them is named by nothing. One that was made again under its name is another one.
func orphans(before, after *inventory) []string {
	if before == nil || after == nil {
		return nil
	}
	var out []string
	for id, name := range before.topics {
		if _, there := after.topics[id]; !there {
			out = append(out, cut(name, maxOrphanName))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// compared says how the counts are beside those of the manifest. They are for people: clients may have made or removed something since the brokers are back.
func compared(manifest map[string]int64, after *inventory) string {
	if after == nil || len(manifest) == 0 {
		return ""
	}
	var same, differ []string
	for _, name := range slices.Sorted(maps.Keys(manifest)) {
		switch is, counted := after.counts[name]; {
		case !counted:
		case is == manifest[name]:
			same = append(same, fmt.Sprintf("%d %s", is, name))
		default:
			differ = append(differ, fmt.Sprintf("%d %s in the manifest, and %d now", manifest[name], name, is))
		}
	}
	var out []string
	if len(same) > 0 {
		out = append(out, "as in the manifest: "+strings.Join(same, ", "))
	}
	if len(differ) > 0 {
		out = append(out, "otherwise than in the manifest: "+strings.Join(differ, ", ")+" (brokers and clients may have changed that since they are back)")
	}
	return strings.Join(out, "; ")
}
