package simulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/admin"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// recordedFolder unpacks what was recorded from a real RobustMQ 0.4.11.
func recordedFolder(t *testing.T, name, dir string) {
	t.Helper()
	if err := imagetest.Unpack(name, dir); err != nil {
		t.Fatal(err)
	}
}

// count is how many rows of a list a node has.
func count(n *lab.Node, path string) int {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "t", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(lab.JWTSecret))
	if err != nil {
		return -1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d%s", n.Name, lab.HTTP, path), nil)
	if err != nil {
		return -1
	}
	r.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return n.Dial(ctx, lab.HTTP) }}}
	response, err := client.Do(r)
	if err != nil {
		return -1
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return -1
	}
	data, err := admin.DecodeEnvelope(response.StatusCode, body)
	var list struct {
		Total int `json:"total_count"`
	}
	if err != nil || json.Unmarshal(data, &list) != nil {
		return -1
	}
	return list.Total
}

const (
	userList  = "/api/cluster/user/list"
	topicList = "/api/cluster/topic/list"
)

// The folder of a real server, tables and all, is what a simulated one goes on from: members, vote, registry, users and topics are those of the real one, and it writes into it.
func TestASimulatedServerGoesOnFromARealServersFolder(t *testing.T) {
	if lab.Real() {
		t.Skip("the simulator alone is meant")
	}
	l := lab.New(t, lab.Options{})
	l.MetaHosts = []uint64{7}
	n := l.Node(7)
	recordedFolder(t, "fresh-1node", n.Database())
	for restart := range 3 {
		n.Start()
		l.Eventually(25*time.Second, "it serves", func() bool { return n.Open(lab.MQTT) })
		s := n.Status()[robustmq.GroupMetadata]
		if !slices.Equal(s.Voters(), []uint64{7}) || s.Term != 1 || s.CurrentLeader != 7 || s.LastApplied.Index < 0x15 {
			t.Errorf("start %d: %+v", restart, s)
		}
		// The recorded user, and the one of the lab's configuration.
		if users, topics := count(n, userList), count(n, topicList); users != 2 || topics != 8 {
			t.Errorf("start %d: %d users, %d topics", restart, users, topics)
		}
		if found := strings.Count(n.Output.String(), "has persisted state, recovering existing cluster"); found != restart+1 {
			t.Errorf("start %d: %d times it found what was there", restart, found)
		}
		n.Kill()
	}
}

func TestARealClustersBackupIsRestoredIntoSimulatedMembers(t *testing.T) {
	if lab.Real() {
		t.Skip("the simulator alone is meant")
	}
	l := lab.New(t, lab.Options{Speed: 4}) // faster, a busy machine holds a second election between the starts
	recording, backup := filepath.Join(t.TempDir(), "_rocksdb"), filepath.Join(t.TempDir(), "image")
	recordedFolder(t, "follower-300users", recording)
	if _, err := image.Extract(t.Context(), image.OS{}, recording, backup, image.MetadataFamilies); err != nil {
		t.Fatal(err)
	}
	var edits []image.Edit
	for _, group := range robustmq.Groups {
		edits = append(edits, image.SetVote(group, image.Vote{Term: 2, Node: 2, Committed: true}))
	}
	var nodes []*lab.Node
	for id := range uint64(3) {
		n := l.Node(id + 1)
		target := n.Database()
		if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
			t.Fatal(err)
		}
		if _, err := (image.Placement{Image: backup, Target: target, Edits: edits}).Place(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The default user is the recorded one. Servers that all miss theirs make it at once, and who comes second ends with exit code 1 (as the real ones do): kubelets start it again, nobody does here.
		n.Config = strings.Replace(n.Render(), fmt.Sprintf("default_user = %q", lab.MQTTUser), `default_user = "admin"`, 1)
		nodes = append(nodes, n.Start())
	}
	for _, n := range nodes {
		l.Eventually(20*time.Second, n.Name+" serves, led by n2 in the next term", func() bool {
			s := n.Status()[robustmq.GroupMetadata]
			return n.Open(lab.MQTT) && s.CurrentLeader == 2 && s.Term == 2
		})
		if users, topics := count(n, userList), count(n, topicList); users != 317 || topics != 27 {
			t.Errorf("%s: %d users and %d topics", n.Name, users, topics)
		}
	}
}
