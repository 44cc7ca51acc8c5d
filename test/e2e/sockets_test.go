//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// sockets looks again and again at the connections in the network namespaces of all pods of two Kubernetes namespaces. The bed's nodes are processes of this machine, so their pods' processes are in /proc.
type sockets struct {
	namespaces [2]string
	cancel     context.CancelFunc
	ended      sync.WaitGroup

	// what was found, once it is stopped
	pods, seen, looks int
	between           []string
}

// watchSockets begins at once.
func watchSockets(t *testing.T, one, other string) *sockets {
	t.Helper()
	s := &sockets{namespaces: [2]string{one, other}}
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	s.ended.Go(func() { s.look(ctx) })
	t.Cleanup(s.stop)
	return s
}

func (s *sockets) stop() {
	s.cancel()
	s.ended.Wait()
}

// A podAt is a pod with an address, and a process in its network namespace.
type podAt struct {
	name      string
	namespace string
	address   netip.Addr
	process   int
}

func (s *sockets) look(ctx context.Context) {
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	owner := map[netip.Addr]podAt{} // addresses stay known after their pods went
	known := map[string]podAt{}
	found, counted := map[string]bool{}, map[string]bool{}
	for round := 0; ctx.Err() == nil; round++ {
		if round%20 == 0 { // pods change seldom
			known = s.find(ctx, known)
			for _, p := range known {
				owner[p.address] = p
			}
			s.pods = max(s.pods, len(known))
		}
		for _, p := range known {
			peers, err := peersOf(p.process)
			if err != nil {
				continue // it has ended
			}
			for _, peer := range peers {
				line := fmt.Sprintf("%s/%s to %s", p.namespace, p.name, peer)
				if !counted[line] {
					counted[line] = true
					s.seen++
				}
				if to, ok := owner[peer.Addr()]; ok && to.namespace != p.namespace && !found[line] {
					found[line] = true
					s.between = append(s.between, fmt.Sprintf("%s, which is %s/%s", line, to.namespace, to.name))
				}
			}
		}
		s.looks++
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	slices.Sort(s.between)
}

// podFolder is a pod's control group: its UID is in the name, with dashes or underscores.
var podFolder = regexp.MustCompile(`pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})`)

// find lists the pods that have an address, each with one of its processes.
func (s *sockets) find(ctx context.Context, before map[string]podAt) map[string]podAt {
	known := map[string]podAt{}
	for _, namespace := range s.namespaces {
		var list corev1.PodList
		if err := k8s.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return before
		}
		for _, p := range list.Items {
			if address, err := netip.ParseAddr(p.Status.PodIP); err == nil {
				known[string(p.UID)] = podAt{name: p.Name, namespace: namespace, address: address}
			}
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return before
	}
	for _, path := range processes {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		match := podFolder.FindSubmatch(text)
		if match == nil {
			continue
		}
		uid := strings.ReplaceAll(string(match[1]), "_", "-")
		if p, ok := known[uid]; ok && p.process == 0 {
			if p.process, err = strconv.Atoi(strings.Split(path, "/")[2]); err == nil {
				known[uid] = p
			}
		}
	}
	for uid, p := range known {
		if p.process == 0 {
			delete(known, uid)
		}
	}
	return known
}

// peersOf are the far ends of the TCP connections in the network namespace of a process; an attempt that nobody answers is one, too.
func peersOf(process int) ([]netip.AddrPort, error) {
	var peers []netip.AddrPort
	for _, family := range []string{"tcp", "tcp6"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", process, family))
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if peer, ok := peerIn(lines.Text()); ok {
				peers = append(peers, peer)
			}
		}
		_ = f.Close()
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	return peers, nil
}

// peerIn reads the far end of a line of /proc/net/tcp or tcp6: the third field, hexadecimal digits in the machine's byte order by words of four bytes. One that listens has none.
func peerIn(line string) (netip.AddrPort, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 {
		return netip.AddrPort{}, false
	}
	host, port, ok := strings.Cut(fields[2], ":")
	raw, err := hex.DecodeString(host)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || err2 != nil || number == 0 || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	address, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(address.Unmap(), uint16(number)), ok && !address.IsLoopback()
}

func TestTheFarEndOfAConnectionIsReadFromTheKernelsTable(t *testing.T) {
	for line, want := range map[string]string{
		"   1: 0100000A:04CC 0302010A:D431 01 00000000:00000000 00:00000000 00000000     0        0 1 1":                                                 "10.1.2.3:54321",
		"   1: 0000000000000000FFFF00000100000A:04CC 0000000000000000FFFF00000302010A:0050 01 00000000:00000000 00:00000000 00000000     0        0 1 1": "10.1.2.3:80",
		"   0: 00000000:04CC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1":                                                 "",
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode":                                               "",
	} {
		peer, ok := peerIn(line)
		if got := peer.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %s %t, want %q", line, got, ok, want)
		}
	}
}
