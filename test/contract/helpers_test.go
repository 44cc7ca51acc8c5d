package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/admin"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// started waits until a node's MQTT port is open.
func started(n *lab.Node) *lab.Node {
	n.Lab.T.Helper()
	n.Lab.Eventually(25*time.Second, n.Name+" opens its MQTT port", func() bool { return n.Open(lab.MQTT) })
	return n
}

// form starts members one after another and waits until all of them agree on the voters of every group.
func form(l *lab.Lab, ids ...uint64) []*lab.Node {
	l.T.Helper()
	var nodes []*lab.Node
	for i, id := range ids {
		nodes = append(nodes, started(l.Node(id).Start()))
		agree(l, nodes, ids[:i+1]...)
	}
	return nodes
}

// agree waits until all nodes have exactly these voters in every group, and one leader in each.
func agree(l *lab.Lab, nodes []*lab.Node, voters ...uint64) {
	l.T.Helper()
	l.Eventually(45*time.Second, fmt.Sprintf("%d nodes agree on the voters %v", len(nodes), voters), func() bool {
		for _, n := range nodes {
			if !votersAre(n.Status(), voters) {
				return false
			}
		}
		return true
	})
}

func votersAre(s robustmq.ClusterStatus, voters []uint64) bool {
	for _, name := range robustmq.Groups {
		g, ok := s[name]
		if !ok || !slices.Equal(g.Voters(), voters) || g.CurrentLeader == 0 {
			return false
		}
	}
	return true
}

// leaders maps each group to the member that leads it with a quorum behind it.
func leaders(nodes []*lab.Node) map[string]uint64 {
	found := map[string]uint64{}
	for _, n := range nodes {
		for name, g := range n.Status() {
			if g.LeadsWithQuorum() {
				found[name] = n.ID
			}
		}
	}
	return found
}

// led waits until every group has a leader with a quorum, and returns the one of a group.
func led(l *lab.Lab, nodes []*lab.Node, group string) *lab.Node {
	l.T.Helper()
	var found map[string]uint64
	l.Eventually(90*time.Second, "every group is led", func() bool {
		found = leaders(nodes)
		return len(found) == len(robustmq.Groups)
	})
	return node(nodes, found[group])
}

func node(nodes []*lab.Node, id uint64) *lab.Node {
	for _, n := range nodes {
		if n.ID == id {
			return n
		}
	}
	return nil
}

func without(nodes []*lab.Node, id uint64) []*lab.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n *lab.Node) bool { return n.ID == id })
}

// token is one that the operator mints by itself.
func token() string {
	t, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "whoever", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(lab.JWTSecret))
	if err != nil {
		panic(err)
	}
	return t
}

// answer is what the admin API said.
type answer struct {
	Status      int
	ContentType string
	Body        []byte
}

func (a answer) data() (json.RawMessage, error) { return admin.DecodeEnvelope(a.Status, a.Body) }

// ask makes an admin call from outside. auth is the whole header, "" for none.
func ask(n *lab.Node, method, path, auth string, body any) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	return askContext(ctx, n, method, path, auth, body)
}

// askWithin makes a call without a token that has to be answered in time.
func askWithin(n *lab.Node, method, path string, within time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return askContext(ctx, n, method, path, "", nil)
}

func askContext(ctx context.Context, n *lab.Node, method, path, auth string, body any) (answer, error) {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		reader = strings.NewReader(string(raw))
	}
	r, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://%s:%d%s", n.Name, lab.HTTP, path), reader)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if auth != "" {
		r.Header.Set("Authorization", auth)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return n.Dial(ctx, lab.HTTP) }}}
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header.Get("Content-Type"), content}, err
}

// admin makes a call with a token; the test fails when nothing answers.
func call(n *lab.Node, method, path string, body any) answer {
	n.Lab.T.Helper()
	a, err := ask(n, method, path, "Bearer "+token(), body)
	if err != nil {
		n.Lab.T.Fatalf("%s %s on %s: %v", method, path, n.Name, err)
	}
	return a
}

// must returns the data of a call that has to succeed.
func must[T any](n *lab.Node, method, path string, body any) T {
	n.Lab.T.Helper()
	var v T
	a := call(n, method, path, body)
	data, err := a.data()
	if err != nil {
		n.Lab.T.Fatalf("%s %s on %s: %v", method, path, n.Name, err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		n.Lab.T.Fatalf("%s %s on %s: %v in %s", method, path, n.Name, err, data)
	}
	return v
}

// refused returns the error of a call that has to fail, "" when it succeeded.
func refused(n *lab.Node, method, path string, body any) string {
	n.Lab.T.Helper()
	if _, err := call(n, method, path, body).data(); err != nil {
		return err.Error()
	}
	return ""
}

// writes reports whether a metadata write through a node succeeds.
func writes(n *lab.Node, name string) bool {
	a, err := ask(n, "POST", "/api/cluster/tenant/create", "Bearer "+token(), map[string]any{"tenant_name": name, "desc": "d"})
	if err != nil {
		return false
	}
	_, err = a.data()
	return err == nil || strings.Contains(err.Error(), "already exists")
}

// registered lists the ids that a node believes to be registered.
func registered(n *lab.Node) []uint64 {
	a, err := ask(n, "GET", "/api/info", "Bearer "+token(), nil)
	if err != nil {
		return nil
	}
	data, err := a.data()
	if err != nil {
		return nil
	}
	var info struct {
		Nodes []struct {
			ID uint64 `json:"node_id"`
		} `json:"broker_node_list"`
	}
	if json.Unmarshal(data, &info) != nil {
		return nil
	}
	ids := []uint64{}
	for _, r := range info.Nodes {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return ids
}
