package network

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// addresses counts the loopback addresses given out in this process. None is given twice: a stale address must never lead to another pod, or a test would pass (or fail) for the wrong reason.
var addresses atomic.Uint32

// NextAddress returns a loopback address that nobody had before in this process, and no other process has that simulates networks on this machine.
func NextAddress() string {
	for {
		n := addresses.Add(1)
		if n >= 0xff00 {
			panic("network: 65 thousand loopback addresses are used up")
		}
		if low := n & 0xff; low == 0 || low == 0xff {
			continue
		}
		return fmt.Sprintf("127.%d.%d.%d", block(), n>>8, n&0xff)
	}
}

// block is the second byte of this process's addresses, 16 to 31, far from what other programs use.
func block() byte { return holdsBlock().Addr().(*net.TCPAddr).IP.To4()[1] }

// holdsBlock listens on one of a block's last addresses, by which the block is this process's. It is kept here for as long as the process lives: a listener that nobody refers to is closed with the garbage.
var holdsBlock = sync.OnceValue(func() net.Listener {
	var err error
	for n := byte(16); n < 32; n++ {
		var l net.Listener
		if l, err = net.Listen("tcp", blockAddress(n)); err == nil {
			return l
		}
	}
	panic(fmt.Sprintf("network: sixteen processes of this machine simulate networks already: %v", err))
})

func blockAddress(n byte) string { return fmt.Sprintf("127.%d.255.1:1666", n) }

// Network connects the hosts of one simulated namespace. Its methods may be called at any time from any goroutine; a change holds for open connections too.
type Network struct {
	speed float64

	mu      sync.Mutex
	rand    *rand.Rand
	changed chan struct{}            // closed and replaced at every change of a fault
	names   map[string]string        // address -> host name; an address without name is no longer anybody's
	gone    map[string]bool          // addresses whose machine lost its power
	faults  map[pair]Fault           // directed
	dnsDown map[string]bool          // hosts whose DNS server does not answer
	lost    []*Loss                  // answers still to be lost
	zone    map[string][]string      // absolute names without the trailing dot
	delay   [2]time.Duration         // of every connect and write, drawn evenly
	slow    map[string]time.Duration // of every connect and write to a host, besides
	asked   map[string]bool          // names that were looked up, and addresses that were dialled
}

type pair struct{ from, to string }

// Fault is what happens to packets from one host to another.
type Fault int

// The faults. The zero value is a sound line.
const (
	Sound     Fault = iota
	BlackHole       // packets vanish: connects and reads hang until their deadline
	Refusing        // connects are refused at once, open connections are reset
)

// New returns a network without faults. All durations that it is given later are real ones; speed only shortens its own (the resolver's time-outs).
func New(seed uint64, speed float64) *Network {
	return &Network{
		speed: speed, rand: rand.New(rand.NewPCG(seed, 0x6e6574)), changed: make(chan struct{}), names: map[string]string{}, gone: map[string]bool{},
		faults: map[pair]Fault{}, dnsDown: map[string]bool{}, zone: map[string][]string{}, slow: map[string]time.Duration{}, asked: map[string]bool{},
	}
}

// Attach gives address to the host called name (a pod's name; the operator calls itself "operator").
func (n *Network) Attach(name, address string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[address] = name
	n.notifyLocked()
	return &Host{network: n, Name: name, Address: address}
}

// PowerCut makes address vanish without a word: who talks to it hangs. It never comes back (a machine that returns gives its pods new addresses).
func (n *Network) PowerCut(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone[address] = true
	n.notifyLocked()
}

// Set puts fault on the way from one host to another and on the way back.
func (n *Network) Set(from, to string, fault Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range []pair{{from, to}, {to, from}} {
		if fault == Sound {
			delete(n.faults, p)
		} else {
			n.faults[p] = fault
		}
	}
	n.notifyLocked()
}

// SetOneWay puts fault on packets from one host to another only.
func (n *Network) SetOneWay(from, to string, fault Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults[pair{from, to}] = fault
	n.notifyLocked()
}

// Partition black-holes every way between a host of one group and one of the other.
func (n *Network) Partition(a, b []string) {
	for _, x := range a {
		for _, y := range b {
			n.Set(x, y, BlackHole)
		}
	}
}

// Delay makes every connect and every write wait between least and most.
func (n *Network) Delay(least, most time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay = [2]time.Duration{least, max(least, most)}
}

// Slow makes every connect and every write to a host wait so long.
func (n *Network) Slow(host string, by time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slow[host] = by
}

// NameOf is the host that has an address, "" when nobody has.
func (n *Network) NameOf(address string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.names[address]
}

// Asked are the names that hosts of this network have looked up so far, and the addresses that they have dialled, sorted.
func (n *Network) Asked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.asked))
}

// note remembers what was looked up or dialled.
func (n *Network) note(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked[what] = true
}

// DNSOutage takes the DNS server from a host, or gives it back.
func (n *Network) DNSOutage(host string, down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dnsDown[host] = down
	n.notifyLocked()
}

// Loss is an answer that arrives nowhere: the request is delivered, the connection is reset when the answer comes.
type Loss struct {
	From, To string // "" matches any host
	Port     int
	// Skip is how many writes of a connection pass first: 2 for TLS 1.3 (hello, finished), 1 for gRPC in clear (preface).
	Skip int
	Left int // how many answers are lost; 0 when the loss is used up
}

// LoseAnswers arms a loss.
func (n *Network) LoseAnswers(l Loss) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lost = append(n.lost, &l)
}

// Heal takes every fault away, except that what lost its power stays away.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.faults)
	clear(n.dnsDown)
	clear(n.slow)
	n.lost = nil
	n.delay = [2]time.Duration{}
	n.notifyLocked()
}

// Publish replaces the zone: absolute name (no trailing dot) -> addresses.
func (n *Network) Publish(zone map[string][]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.zone = zone
}

func (n *Network) notifyLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// way is the worst fault of a round trip between a host and an address, and a channel that is closed when that may have changed.
func (n *Network) way(from *Host, address string) (out, back Fault, changed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	changed = n.changed
	if n.gone[address] || n.gone[from.Address] {
		return BlackHole, BlackHole, changed
	}
	to, known := n.names[address]
	if !known {
		return Sound, Sound, changed
	}
	return n.faults[pair{from.Name, to}], n.faults[pair{to, from.Name}], changed
}

// pause draws how long a packet to an address is under way.
func (n *Network) pause(to string) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	slow := n.slow[n.names[to]]
	if n.delay[1] == 0 {
		return slow
	}
	return slow + n.delay[0] + time.Duration(n.rand.Int64N(int64(n.delay[1]-n.delay[0])+1))
}

// losesAnswer reports whether the answer to the write number (from 1) of this connection is to be lost, and uses the loss up.
func (n *Network) losesAnswer(from *Host, address string, port, write int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	to := n.names[address]
	for _, l := range n.lost {
		if l.Left > 0 && l.Port == port && write > l.Skip && (l.From == "" || l.From == from.Name) && (l.To == "" || l.To == to) {
			l.Left--
			return true
		}
	}
	return false
}
