package simulated

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/pki"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// agents reaches the agents of a cluster as the operator does.
func agents(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster) func(pod string) agentclient.Client {
	t.Helper()
	var secret corev1.Secret
	if err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: manifests.OperatorPKISecretName(c)}, &secret); err != nil {
		t.Fatal(err)
	}
	identity := agentclient.Identity{CA: secret.Data[pki.KeyTrust], Cert: secret.Data[pki.KeyCert], Key: secret.Data[pki.KeyKey], ServerName: protocol.ServerName(c.Namespace, c.Name)}
	pool := agentclient.NewPool(agentclient.Limits{}, nil)
	return func(pod string) agentclient.Client {
		a, err := pool.Client("test", identity, w.Kubelet.AddressOf(pod))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func TestAMemberThatLostItsVolumeIsSeededFromAnImageOfALiveFollower(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	w.Operator().Crash() // what it would do with a member that lost its volume is not what is seen here
	agent := agents(t, w, c)
	const donor, lost = "c-placement-center-1", "c-placement-center-2"

	users(t, w, "c-placement-center-0", "u1", 20)
	must(agent(donor).BeginImage(t.Context(), protocol.ImageRequest{ID: "seed", Families: protocol.FamiliesMetadata}))(t)
	users(t, w, "c-placement-center-0", "u2", 20)
	var image protocol.Image
	w.Await("the image", func() (bool, string) {
		var err error
		image, err = agent(donor).Image(t.Context(), "seed")
		return err == nil && image.Phase == protocol.ImageReady, fmt.Sprintf("%s %s %v", image.Reason, image.Message, err)
	})

	must(agent(lost).Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop, Reason: "test"}))(t)
	state := must(agent(lost).State(t.Context()))(t)
	must(agent(lost).Wipe(t.Context(), protocol.WipeOrder{Marker: *state.Volume.Marker, Reason: "test"}))(t)
	request := protocol.PlacementRequest{ID: "seed", Origin: protocol.OriginSeeded, ClusterUID: state.ClusterUID, NodeID: state.NodeID, Generation: state.Volume.Marker.Generation}
	for _, f := range image.Files {
		request.Files = append(request.Files, protocol.PlacementFile{Name: f.Name, Size: f.Size, SHA256: f.SHA256})
	}
	must(agent(lost).BeginPlacement(t.Context(), request))(t)
	for _, f := range image.Files {
		stream := must(agent(donor).ImageFile(t.Context(), "seed", f.Name, 0))(t)
		content, err := io.ReadAll(stream)
		if err = errors.Join(err, stream.Close()); err != nil {
			t.Fatal(err)
		}
		must(agent(lost).PutFile(t.Context(), "seed", f.Name, 0, bytes.NewReader(content)))(t)
	}
	if err := agent(donor).ReleaseImage(t.Context(), "seed"); err != nil {
		t.Fatal(err)
	}
	must(agent(lost).Place(t.Context(), "seed"))(t)
	w.Await("the image is in place", func() (bool, string) {
		p, err := agent(lost).Placement(t.Context(), "seed")
		return err == nil && p.Phase == protocol.PlacementPlaced, fmt.Sprintf("%s %s %v", p.Phase, p.Message, err)
	})
	w.Stays(w.Scaled(3*time.Second), "the gate is shut", func() (bool, string) {
		s, err := agent(lost).State(t.Context())
		return err == nil && s.Server.PID == 0 && s.Gate.Reason == protocol.GatePlacing, fmt.Sprintf("%+v %v", s.Gate, err)
	})
	users(t, w, "c-placement-center-0", "u3", 20)
	must(agent(lost).OpenPlacement(t.Context(), "seed"))(t)

	w.Await("one raft cluster of three", func() (bool, string) { return w.OneRaft(c) })
	w.Await("the same position everywhere", func() (bool, string) {
		leader, err1 := w.Raft("c-placement-center-0")
		seeded, err2 := w.Raft(lost)
		if err := errors.Join(err1, err2); err != nil {
			return false, err.Error()
		}
		for name, g := range leader {
			s := seeded[name]
			if s.LastApplied == nil || g.LastApplied == nil || *s.LastApplied != *g.LastApplied {
				return false, fmt.Sprintf("%s: %+v, leader %+v", name, s.LastApplied, g.LastApplied)
			}
			if s.Snapshot != nil && s.Purged != nil && *s.Snapshot == *s.Purged {
				return false, fmt.Sprintf("%s: a snapshot was installed, which loses data: %+v", name, s.Snapshot)
			}
		}
		return true, ""
	})
	if err := agent(lost).DiscardPlacement(t.Context(), "seed"); err != nil {
		t.Fatal(err)
	}
	if m := w.Marker(lost); m.Origin != protocol.OriginSeeded || m.Placement != "" {
		t.Errorf("%+v", m)
	}
}
