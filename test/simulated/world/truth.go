package world

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaclient"
)

// The truth is what the servers say of themselves, each asked on its own address, past the operator, its agents and every fault of the network: what an outsider sees can look healthy
// while a second cluster stands beside the first.

// metaPort is the server's gRPC port: it has no authentication.
const metaPort = "1228"

// Raft is the server's own view of its raft groups.
func (w *World) Raft(pod string) (robustmq.ClusterStatus, error) {
	var status robustmq.ClusterStatus
	err := w.ask(pod, func(ctx context.Context, c *metaclient.Client) (err error) {
		status, err = c.Status(ctx)
		return err
	})
	return status, err
}

// Registry are the node ids registered at a member of the placement centre, sorted.
func (w *World) Registry(pod string) ([]uint64, error) {
	ids := []uint64{}
	err := w.ask(pod, func(ctx context.Context, c *metaclient.Client) error {
		nodes, err := c.Registry(ctx)
		for _, n := range nodes {
			ids = append(ids, n.ID)
		}
		slices.Sort(ids)
		return err
	})
	return ids, err
}

func (w *World) ask(pod string, question func(context.Context, *metaclient.Client) error) error {
	address := w.Kubelet.AddressOf(pod)
	if address == "" {
		return fmt.Errorf("%s has no address", pod)
	}
	c, err := w.metaClient(address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Second)
	defer cancel()
	return question(ctx, c)
}

// metaClient keeps one connection to each server; addresses are never given out again.
func (w *World) metaClient(address string) (*metaclient.Client, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.clients[address]; c != nil {
		return c, nil
	}
	c, err := metaclient.New(net.JoinHostPort(address, metaPort), (&net.Dialer{}).DialContext)
	if err == nil {
		w.clients[address] = c
	}
	return c, err
}

// Pods are the pod names of a role.
func (w *World) Pods(c *v1alpha1.RobustMQCluster, role v1alpha1.Role) []string {
	var names []string
	replicas, component := int32(0), ""
	switch role {
	case v1alpha1.RolePlacementCenter:
		replicas, component = c.Spec.PlacementCenter.Replicas, v1alpha1.ComponentPlacementCenter
	case v1alpha1.RoleMQTTBroker:
		replicas, component = c.Spec.MQTTBroker.Replicas, v1alpha1.ComponentMQTTBroker
	case v1alpha1.RoleJournalServer:
		component = v1alpha1.ComponentJournalServer
		if c.Spec.JournalServer != nil {
			replicas = c.Spec.JournalServer.Replicas
		}
	}
	for i := range replicas {
		names = append(names, c.Name+"-"+component+"-"+strconv.Itoa(int(i)))
	}
	return names
}

// AllPods are the pod names of every role.
func (w *World) AllPods(c *v1alpha1.RobustMQCluster) []string {
	return slices.Concat(w.Pods(c, v1alpha1.RolePlacementCenter), w.Pods(c, v1alpha1.RoleMQTTBroker), w.Pods(c, v1alpha1.RoleJournalServer))
}

// IDs are the node ids of a role.
func IDs(base uint64, count int) []uint64 {
	ids := []uint64{}
	for i := range count {
		ids = append(ids, base+uint64(i)) //nolint:gosec // an ordinal
	}
	return ids
}

// NodeIDs are the node ids of all pods of the cluster, sorted.
func (w *World) NodeIDs(c *v1alpha1.RobustMQCluster) []uint64 {
	return slices.Concat(IDs(1, len(w.Pods(c, v1alpha1.RolePlacementCenter))), IDs(1001, len(w.Pods(c, v1alpha1.RoleMQTTBroker))), IDs(2001, len(w.Pods(c, v1alpha1.RoleJournalServer))))
}

// OneRaft reports whether the placement centre is exactly one raft cluster in which every wanted member is a voter: all members say the same membership in every group,
// and each group has one leader that a quorum acknowledges and that all members follow.
func (w *World) OneRaft(c *v1alpha1.RobustMQCluster) (bool, string) {
	pods := w.Pods(c, v1alpha1.RolePlacementCenter)
	version, err := robustmq.ParseVersion(c.Spec.Version)
	if err != nil {
		return false, err.Error()
	}
	wanted := IDs(1, len(pods))
	leaders := map[string][]uint64{}
	said := map[string]robustmq.ClusterStatus{}
	for i, pod := range pods {
		status, err := w.Raft(pod)
		if err != nil {
			return false, fmt.Sprintf("%s: %v", pod, err)
		}
		said[pod] = status
		for _, name := range robustmq.Lookup(version).StatusGroups {
			group, ok := status[name]
			switch {
			case !ok || !group.Initialised():
				return false, fmt.Sprintf("%s: group %s is not initialised", pod, name)
			case !group.Running:
				return false, fmt.Sprintf("%s: group %s does not run: %s", pod, name, group.RunningError)
			case !slices.Equal(group.Voters(), wanted):
				return false, fmt.Sprintf("%s: group %s has members %v, wanted voters %v", pod, name, group.Configs, wanted)
			}
			if group.LeadsWithQuorum() || len(wanted) == 1 && group.State == "Leader" {
				leaders[name] = append(leaders[name], uint64(i)+1) //nolint:gosec // an ordinal
			}
		}
	}
	for _, name := range robustmq.Lookup(version).StatusGroups {
		if len(leaders[name]) != 1 {
			return false, fmt.Sprintf("group %s is led with a quorum by %v", name, leaders[name])
		}
		for _, pod := range pods {
			if got := said[pod][name].CurrentLeader; got != leaders[name][0] {
				return false, fmt.Sprintf("%s follows %d in group %s, which %d leads", pod, got, name, leaders[name][0])
			}
		}
	}
	return true, ""
}

// AllRegistered reports whether every member knows every node.
func (w *World) AllRegistered(c *v1alpha1.RobustMQCluster) (bool, string) {
	return w.RegisteredAt(c, w.Pods(c, v1alpha1.RolePlacementCenter), w.NodeIDs(c))
}

// RegisteredAt reports whether the members of the given pods have exactly these nodes registered.
func (w *World) RegisteredAt(_ *v1alpha1.RobustMQCluster, pods []string, wanted []uint64) (bool, string) {
	for _, pod := range pods {
		ids, err := w.Registry(pod)
		if err != nil {
			return false, fmt.Sprintf("%s: %v", pod, err)
		}
		if !slices.Equal(ids, wanted) {
			return false, fmt.Sprintf("%s has %v registered, wanted %v", pod, ids, wanted)
		}
	}
	return true, ""
}

// Claim reads the claim of a pod's data volume.
func (w *World) Claim(pod string) *corev1.PersistentVolumeClaim {
	w.T.Helper()
	claim := w.ClaimOf(pod)
	if claim == nil {
		w.T.Fatalf("%s has no claim", pod)
	}
	return claim
}

// ClaimOf is the claim of a pod's data volume; nil when there is none.
func (w *World) ClaimOf(pod string) *corev1.PersistentVolumeClaim {
	var claim corev1.PersistentVolumeClaim
	if err := w.Client.Get(w.ctx, client.ObjectKey{Namespace: w.Namespace, Name: "data-" + pod}, &claim); err != nil {
		return nil
	}
	return &claim
}

// VolumeDir is the folder of a pod's data volume.
func (w *World) VolumeDir(pod string) string {
	w.T.Helper()
	return w.Kubelet.ClaimDir(w.Claim(pod).UID)
}

// Wipe empties a pod's data volume, as a lost disk that was replaced.
func (w *World) Wipe(pod string) {
	w.T.Helper()
	dir := w.VolumeDir(pod)
	entries, err := os.ReadDir(dir)
	if err != nil {
		w.T.Fatalf("wipe %s: %v", pod, err)
	}
	// All at once: to remove a database takes its time, and an agent that starts its server again meanwhile would find half of it.
	away, err := os.MkdirTemp(filepath.Dir(dir), "wiped-")
	if err != nil {
		w.T.Fatalf("wipe %s: %v", pod, err)
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(dir, e.Name()), filepath.Join(away, e.Name())); err != nil {
			w.T.Fatalf("wipe %s: %v", pod, err)
		}
	}
	if err := os.RemoveAll(away); err != nil {
		w.T.Fatalf("wipe %s: %v", pod, err)
	}
}

// Marker reads the marker in a pod's data volume; nil when there is none.
func (w *World) Marker(pod string) *protocol.Marker {
	w.T.Helper()
	m, err := ReadMarker(w.VolumeDir(pod))
	if err != nil && !os.IsNotExist(err) {
		w.T.Fatalf("marker of %s: %v", pod, err)
	}
	return m
}

// ReadMarker reads the marker in the folder of a volume.
func ReadMarker(volume string) (*protocol.Marker, error) {
	text, err := os.ReadFile(filepath.Join(volume, protocol.MarkerFile))
	if err != nil {
		return nil, err
	}
	var m protocol.Marker
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	return &m, nil
}

// Whole reports whether the cluster is what it should be: one raft cluster of all members, every node registered everywhere, and every volume marked as this cluster's.
func (w *World) Whole(c *v1alpha1.RobustMQCluster) (bool, string) {
	if ok, why := w.OneRaft(c); !ok {
		return false, why
	}
	if ok, why := w.AllRegistered(c); !ok {
		return false, why
	}
	return w.Marked(c)
}

// Marked reports whether every volume carries this cluster's marker for its own node, and the founder's is the only one that says Founded.
func (w *World) Marked(c *v1alpha1.RobustMQCluster) (bool, string) {
	for i, pod := range w.AllPods(c) {
		m := w.Marker(pod)
		switch {
		case m == nil:
			return false, pod + " has no marker"
		case c.Status.ClusterUID == "" || m.ClusterUID != c.Status.ClusterUID:
			return false, fmt.Sprintf("%s is marked with cluster %q, the status says %q", pod, m.ClusterUID, c.Status.ClusterUID)
		case m.NodeID != w.NodeIDs(c)[i]:
			return false, fmt.Sprintf("%s is marked as node %d", pod, m.NodeID)
		}
	}
	return true, ""
}

// Founders are the pods whose servers ever founded a cluster of their own, by their logs: one line for each founding.
func (w *World) Founders() []string {
	w.T.Helper()
	var pods []string
	for name, text := range w.Logs() {
		if pod, ok := strings.CutSuffix(name, ".server.log"); ok {
			for range strings.Count(text, foundingLine) {
				pods = append(pods, pod)
			}
		}
	}
	slices.Sort(pods)
	return pods
}

// foundingLine is what a server logs when it founds a cluster (RobustMQ 0.4.4 and later, and the simulator).
const foundingLine = "bootstrapping single-node cluster"

// StatusOf is the row of a pod in the status of a cluster.
func (w *World) StatusOf(cluster, pod string) (v1alpha1.MemberStatus, bool) {
	var c v1alpha1.RobustMQCluster
	if err := w.Client.Get(w.ctx, client.ObjectKey{Namespace: w.Namespace, Name: cluster}, &c); err != nil {
		return v1alpha1.MemberStatus{}, false
	}
	i := slices.IndexFunc(c.Status.Members, func(m v1alpha1.MemberStatus) bool { return m.Pod == pod })
	if i < 0 {
		return v1alpha1.MemberStatus{}, false
	}
	return c.Status.Members[i], true
}

// LeaveHalf takes a node out of the first raft group only, on a pod's server, as a LeaveCluster does that stops half way.
func (w *World) LeaveHalf(pod string, id uint64) error {
	w.mu.Lock()
	server := w.servers[pod]
	w.mu.Unlock()
	if server == nil {
		return fmt.Errorf("%s runs no server", pod)
	}
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	return server.node.LeaveHalf(ctx, id)
}

// JoinHalf has a member that leads take in another one that does not answer: a JoinCluster whose caller was lost before it had caught up. It returns how the call ended.
func (w *World) JoinHalf(leader, lost string, id uint64) error {
	status, err := w.Raft(leader)
	if err != nil {
		return err
	}
	for _, g := range status {
		address := strings.Replace(g.Nodes[g.ID], leader+".", lost+".", 1)
		return w.ask(leader, func(ctx context.Context, c *metaclient.Client) error { return c.Join(ctx, id, address) })
	}
	return fmt.Errorf("%s has no raft group", leader)
}
