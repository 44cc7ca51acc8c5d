package contract

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// quickFetch are the settings with which a planned stop lost nothing; both are needed.
const quickFetch = "[storage_runtime]\ntcp_port = 1778\ndata_path = [\"./data/engine\"]\nreplica_fetch_max_wait_ms = 10\nreplica_fetch_backoff_ms = 10\n"

// placed is a segment as the admin API shows it.
type placed struct {
	Replicas []struct {
		Node uint64 `json:"node_id"`
	} `json:"replicas"`
	ISR     []uint64 `json:"isr"`
	LastISR []uint64 `json:"last_known_isr"`
	Leader  uint64   `json:"leader"`
	Status  string   `json:"status"`
	Epoch   uint32   `json:"segment_epoch"`
}

func (p placed) names(id uint64) bool {
	return p.Leader == id || slices.Contains(p.ISR, id) || slices.ContainsFunc(p.Replicas, func(r struct {
		Node uint64 `json:"node_id"`
	}) bool {
		return r.Node == id
	})
}

func (p placed) full(copies int) bool {
	return p.Status == "Write" && len(p.Replicas) == copies && len(p.ISR) == copies
}

// placedOn asks a node through the two lists that no dead leader can stop: topics, then segments.
func placedOn(n *lab.Node, topic string) placed {
	n.Lab.T.Helper()
	type topics struct {
		Data []struct {
			Name    string            `json:"topic_name"`
			Storage map[string]string `json:"storage_name_list"`
		} `json:"data"`
	}
	for _, t := range must[topics](n, "GET", "/api/cluster/topic/list?limit=1000&page=1", nil).Data {
		if t.Name != topic {
			continue
		}
		type segments struct {
			List []struct {
				Segment placed `json:"segment"`
			} `json:"segment_list"`
		}
		list := must[segments](n, "POST", "/api/storage-engine/segment/list", map[string]string{"shard_name": t.Storage["0"]}).List
		if len(list) == 1 {
			return list[0].Segment
		}
	}
	return placed{}
}

// readable are the contents of a topic's first 100 messages; nil when they cannot be read.
func readable(n *lab.Node, topic string) []string {
	a, err := ask(n, "POST", "/api/cluster/message/read", "Bearer "+token(), map[string]any{"tenant": "default", "topic": topic, "offset": 0})
	if err != nil {
		return nil
	}
	data, err := a.data()
	if err != nil {
		return nil
	}
	var out []string
	for part := range strings.SplitSeq(string(data), `"content":"`) {
		if content, _, ok := strings.Cut(part, `"`); ok && strings.HasPrefix(content, "m") {
			out = append(out, content)
		}
	}
	return out
}

// engines forms three members and two brokers that are engines, too: 4 and 5.
func engines(l *lab.Lab, sections string) (all []*lab.Node, victim *lab.Node) {
	l.T.Helper()
	for id := uint64(1); id <= 5; id++ {
		l.Node(id).Sections = sections
	}
	all = form(l, 1, 2, 3)
	for id := uint64(4); id <= 5; id++ {
		n := l.Node(id)
		n.Roles = []string{"broker", "engine"}
		all = append(all, started(n.Start()))
		l.Eventually(20*time.Second, fmt.Sprintf("%d nodes know one another", len(all)), func() bool { return everyList(all, len(all)) })
	}
	return all, all[4]
}

func everyList(nodes []*lab.Node, count int) bool {
	return !slices.ContainsFunc(nodes, func(n *lab.Node) bool { return len(registered(n)) != count })
}

// topicsLedBy makes topics until so many are led by the node.
func topicsLedBy(n *lab.Node, ask *lab.Node, name string, copies, count int) []string {
	l := n.Lab
	l.T.Helper()
	var found []string
	for i := 0; len(found) < count; i++ {
		if i == 40 {
			l.T.Fatalf("of %d topics only %v are led by %s", i, found, n.Name)
		}
		topic := fmt.Sprintf("%s%d", name, i)
		createTopic(ask, topic, copies)
		var p placed
		l.Eventually(10*time.Second, topic+" is placed", func() bool { p = placedOn(ask, topic); return p.Status == "Write" })
		if p.Leader == n.ID {
			found = append(found, topic)
		}
	}
	return found
}

func unregister(leader *lab.Node, id uint64) {
	leader.Lab.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := leader.Client().Unregister(ctx, id); err != nil {
		leader.Lab.T.Fatalf("UnRegisterNode %d: %v", id, err)
	}
}

// publishOn publishes to every topic in turn, through one client, and returns what was acknowledged.
func publishOn(l *lab.Lab, c *client, topics []string, rounds int) map[string][]string {
	l.T.Helper()
	acked := map[string][]string{}
	for i := range rounds {
		for _, topic := range topics {
			payload := fmt.Sprintf("m%d", i)
			if code, err := c.publish(topic, payload, 15*time.Second); err == nil && code < 0x80 {
				acked[topic] = append(acked[topic], payload)
			}
		}
	}
	return acked
}

// lost are the acknowledged messages that cannot be read any more.
func lost(n *lab.Node, acked map[string][]string) (out []string) {
	for topic, payloads := range acked {
		kept := readable(n, topic)
		for _, p := range payloads {
			if !slices.Contains(kept, p) {
				out = append(out, topic+" "+p)
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestANodeThatIsStoppedAndUnregisteredAtOnceLeavesEveryMessageAndEveryCopyBehind(t *testing.T) {
	l := lab.New(t, lab.Options{})
	all, victim := engines(l, quickFetch)
	topics := topicsLedBy(victim, all[0], "out/", 2, 3)
	before := placedOn(all[0], topics[0])
	acked := publishOn(l, mustConnect(all[3], 5, "pub"), topics, 20)
	if code := victim.Stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	unregister(led(l, all[:3], robustmq.GroupMetadata), victim.ID)
	stay := all[:4]
	l.Eventually(20*time.Second, "no list and no segment names it, and every copy is in sync", func() bool {
		if !everyList(stay, 4) {
			return false
		}
		for _, n := range stay {
			for _, topic := range topics {
				if p := placedOn(n, topic); p.names(victim.ID) || !p.full(2) {
					return false
				}
			}
		}
		return true
	})
	if after := placedOn(all[0], topics[0]); after.Epoch <= before.Epoch {
		t.Errorf("the segment's epoch went from %d to %d: it must tell the newer record", before.Epoch, after.Epoch)
	}
	if gone := lost(all[0], acked); len(gone) > 0 {
		t.Errorf("acknowledged and gone: %v", gone)
	}
}

func TestWithTheServersOwnFetchSettingsAPlannedStopLosesWhatWasAcknowledgedLast(t *testing.T) {
	l := lab.New(t, lab.Options{Speed: 3}) // the followers' pause between two questions, half a second, has to be longer than what a busy machine adds
	all, victim := engines(l, "")
	topics := topicsLedBy(victim, all[0], "tail/", 2, 3)
	c := mustConnect(all[3], 5, "pub")
	acked := publishOn(l, c, topics, 20)
	victim.Stop()
	unregister(led(l, all[:3], robustmq.GroupMetadata), victim.ID)
	l.Eventually(20*time.Second, "others lead", func() bool {
		return !slices.ContainsFunc(topics, func(topic string) bool { p := placedOn(all[0], topic); return p.names(victim.ID) || !p.full(2) })
	})
	gone := lost(all[0], acked)
	t.Logf("gone: %v", gone)
	if len(gone) == 0 {
		t.Error("nothing was lost: then 10 ms for both fetch settings are not needed any more")
	}
}

func TestANodeThatIsUnregisteredWhileItRunsComesBackByItself(t *testing.T) {
	l := lab.New(t, lab.Options{})
	all, victim := engines(l, quickFetch)
	topics := topicsLedBy(victim, all[0], "live/", 2, 1)
	unregister(led(l, all[:3], robustmq.GroupMetadata), victim.ID)
	l.Eventually(10*time.Second, "its topics are with others", func() bool { return !placedOn(all[0], topics[0]).names(victim.ID) })
	l.Eventually(15*time.Second, "and it is registered again", func() bool { return slices.Contains(registered(all[0]), victim.ID) })
}

func TestUnregisteringAfterTheExpiryIsAnEmptySuccessAndAStartRepairsIt(t *testing.T) {
	l := lab.New(t, lab.Options{})
	all, victim := engines(l, quickFetch)
	topics := topicsLedBy(victim, all[0], "late/", 2, 2)
	acked := publishOn(l, mustConnect(all[3], 5, "pub"), topics, 5)
	victim.Stop()
	l.Eventually(45*time.Second, "its registration expires", func() bool { return !slices.Contains(registered(all[0]), victim.ID) })
	unregister(led(l, all[:3], robustmq.GroupMetadata), victim.ID)
	l.Throughout(8*time.Second, "its segments name it", func() bool { return placedOn(all[0], topics[0]).names(victim.ID) })
	started(victim.Start())
	l.Eventually(30*time.Second, "it is registered again, and in sync", func() bool {
		return everyList(all, 5) && !slices.ContainsFunc(topics, func(topic string) bool { return !placedOn(all[0], topic).full(2) })
	})
	victim.Stop()
	unregister(led(l, all[:3], robustmq.GroupMetadata), victim.ID)
	l.Eventually(20*time.Second, "this time its copies move", func() bool {
		return !slices.ContainsFunc(topics, func(topic string) bool { p := placedOn(all[0], topic); return p.names(victim.ID) || !p.full(2) })
	})
	if gone := lost(all[0], acked); len(gone) > 0 {
		t.Errorf("acknowledged and gone: %v", gone)
	}
}

func TestATopicWithOneCopyCannotBeDrainedAndItsLossBreaksTheListOfShards(t *testing.T) {
	l := lab.New(t, lab.Options{})
	all, victim := engines(l, quickFetch)
	topic := topicsLedBy(victim, all[0], "single/", 1, 1)[0]
	acked := publishOn(l, mustConnect(all[3], 5, "pub"), []string{topic}, 5)[topic] // the first may come before its broker knows of the topic
	if kept := readable(all[0], topic); len(acked) < 4 || !slices.Equal(kept, acked) {
		t.Fatalf("before: %v of %v", kept, acked)
	}
	victim.Stop()
	unregister(led(l, all[:3], robustmq.GroupMetadata), victim.ID)
	l.Eventually(10*time.Second, "nobody has it", func() bool { return placedOn(all[0], topic).Status == "Unavailable" })
	if got := refused(all[0], "POST", "/api/storage-engine/shard/list", map[string]int{"limit": 1000, "page": 1}); !strings.Contains(got, "Failed to send request to node 5") {
		t.Errorf("the list of shards: %q", got)
	}
	if p := placedOn(all[0], topic); p.Status != "Unavailable" || len(p.ISR) != 0 {
		t.Errorf("topics and segments must still be listed: %+v", p)
	}
	started(victim.Start())
	l.Eventually(30*time.Second, "its node comes back with its disk, and can be written to", func() bool { return placedOn(all[0], topic).Status == "Write" })
	if kept := readable(all[0], topic); len(kept) != 0 {
		t.Errorf("messages that came back: %v; seen were none", kept)
	}
}
