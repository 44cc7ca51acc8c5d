package planner

import (
	"fmt"
	"slices"
	"time"
)

// registration is one node in the metadata's list of nodes. It expires 27 s after its last heartbeat (seen: 27 to 30 s).
type registration struct {
	id   uint64
	beat time.Duration
}

const expiry = 27 * time.Second

// segment is a part of a topic's messages.
type segment struct {
	name        string
	copies      int
	inner       bool
	replicas    []uint64
	isr         []uint64
	lastISR     []uint64
	leader      uint64
	epoch       uint64
	unavailable bool
	// full are the nodes whose volumes hold every acknowledged message; down is since when a replica in sync does not answer, catching when one that is not will be.
	full     []uint64
	down     map[uint64]time.Duration
	catching map[uint64]time.Duration
	lost     bool // the world took the last copy
}

func (s *segment) String() string {
	return fmt.Sprintf("%s replicas %v isr %v leader %d full %v unavailable %v", s.name, s.replicas, s.isr, s.leader, s.full, s.unavailable)
}

func (s *segment) names(id uint64) bool {
	return s.leader == id || slices.Contains(s.replicas, id) || slices.Contains(s.isr, id) || slices.Contains(s.lastISR, id)
}

func without(ids []uint64, id uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(ids), func(v uint64) bool { return v == id })
}

func with(ids []uint64, id uint64) []uint64 {
	if slices.Contains(ids, id) {
		return ids
	}
	out := append(slices.Clone(ids), id)
	slices.Sort(out)
	return out
}

func (w *World) registered() []uint64 {
	var out []uint64
	for _, r := range w.registry {
		out = append(out, r.id)
	}
	return out
}

func (w *World) isRegistered(id uint64) bool {
	return slices.ContainsFunc(w.registry, func(r registration) bool { return r.id == id })
}

// tickEngines is what the metadata leader does: registrations, and the segments of the messages. Without a leader nothing changes.
func (w *World) tickEngines() {
	l := w.leader(0)
	if l == nil {
		for i := range w.registry {
			w.registry[i].beat = w.now // a new leader begins to count anew
		}
		return
	}
	for _, n := range w.nodes {
		if !n.running() || !w.reach(n, l) || n.isMember() && w.alone(n, 0) {
			continue
		}
		i := slices.IndexFunc(w.registry, func(r registration) bool { return r.id == n.id })
		switch {
		case i >= 0:
			w.registry[i].beat, n.srv.offered = w.now, w.now
		case !n.srv.deaf && w.now-n.srv.offered >= 2*time.Second, n.srv.offered == n.srv.started:
			w.register(n)
		}
	}
	for i := 0; i < len(w.registry); i++ {
		if r := w.registry[i]; w.now-r.beat >= expiry {
			w.registry = slices.Delete(w.registry, i, i+1)
			i--
			w.tell("node %d is no longer registered", r.id)
			w.forget(r.id)
			w.expel(r.id)
		}
	}
	w.makeInnerTopics()
	for _, s := range w.messages {
		w.tickSegment(s)
	}
}

// register lists a node, and tells all that are listed already; sometimes somebody misses it.
func (w *World) register(n *node) {
	w.registry = append(w.registry, registration{n.id, w.now})
	for _, o := range w.nodes {
		if o != n && o.running() && w.isRegistered(o.id) && (w.calm || !w.chance(0.02)) {
			o.srv.known = with(o.srv.known, n.id)
		}
	}
	for _, r := range w.registry {
		n.srv.known = with(n.srv.known, r.id)
	}
}

func (w *World) forget(id uint64) {
	for _, o := range w.nodes {
		if o.running() && o.id != id {
			o.srv.known = without(o.srv.known, id)
		}
	}
}

// expel takes a node out of every segment's replicas in sync.
func (w *World) expel(id uint64) {
	for _, s := range w.messages {
		if !slices.Contains(s.isr, id) {
			continue
		}
		s.epoch++
		if s.isr = without(s.isr, id); len(s.isr) == 0 {
			s.unavailable, s.lastISR = true, []uint64{id}
		}
	}
}

// unregister is UnRegisterNode: the copies of the node move to others. Of a node that is not listed it is an empty success.
func (w *World) unregister(id uint64) {
	i := slices.IndexFunc(w.registry, func(r registration) bool { return r.id == id })
	if i < 0 {
		return
	}
	w.registry = slices.Delete(w.registry, i, i+1)
	w.forget(id)
	for _, s := range w.messages {
		if !s.names(id) {
			continue
		}
		s.epoch++
		s.replicas, s.isr, s.lastISR = without(s.replicas, id), without(s.isr, id), without(s.lastISR, id)
		if len(s.isr) == 0 {
			s.unavailable, s.lastISR, s.leader = true, []uint64{id}, id
		} else if s.leader == id {
			s.leader = s.isr[0]
		}
		if target := w.leastLoaded(s); target != 0 {
			s.replicas = with(s.replicas, target)
		}
	}
}

// leastLoaded is the engine that gets the next copy of a segment, 0 when none is left.
func (w *World) leastLoaded(s *segment) uint64 {
	best, least := uint64(0), 0
	for _, r := range w.registry {
		n := w.byID(r.id)
		if slices.Contains(s.replicas, r.id) || !n.running() {
			continue
		}
		load := 0
		for _, o := range w.messages {
			if slices.Contains(o.replicas, r.id) {
				load++
			}
		}
		if best == 0 || load < least {
			best, least = r.id, load
		}
	}
	return best
}

// makeTopic makes a topic of one segment with so many copies, or fewer where there are not enough engines.
func (w *World) makeTopic(name string, copies int) *segment {
	s := &segment{name: name, copies: copies, down: map[uint64]time.Duration{}, catching: map[uint64]time.Duration{}}
	for range copies {
		if id := w.leastLoaded(s); id != 0 {
			s.replicas = with(s.replicas, id)
		}
	}
	if len(s.replicas) == 0 {
		return nil
	}
	s.isr, s.full, s.leader = slices.Clone(s.replicas), slices.Clone(s.replicas), s.replicas[0]
	w.messages = append(w.messages, s)
	return s
}

// makeInnerTopics makes RobustMQ's own topic, with one copy on the founder, and tops it up to three.
func (w *World) makeInnerTopics() {
	if len(w.messages) == 0 && !w.kube.founded {
		return // a founder that begins again takes nothing with it that anybody used
	}
	if len(w.messages) == 0 {
		if s := w.makeTopic("$retain-message", 1); s != nil {
			s.inner, s.copies = true, 1
		}
		return
	}
	s := w.messages[0]
	if s.inner && len(s.replicas) < 3 && len(w.registry) > len(s.replicas) && w.now%(20*time.Second) == 0 {
		if id := w.leastLoaded(s); id != 0 {
			s.replicas = with(s.replicas, id)
			s.epoch++
			s.copies = len(s.replicas)
		}
	}
}

// serves reports whether a node's engine answers, and is listed.
func (w *World) serves(id uint64) bool {
	n := w.byID(id)
	return n != nil && n.running() && w.isRegistered(id)
}

// tickSegment moves one segment's replicas into sync and out of it, and has messages published to it.
func (w *World) tickSegment(s *segment) {
	if s.unavailable {
		for _, id := range s.lastISR {
			if w.serves(id) && slices.Contains(s.replicas, id) {
				s.unavailable, s.isr, s.lastISR, s.leader = false, []uint64{id}, nil, id
				s.epoch++
			}
		}
		return
	}
	source := false
	for _, id := range s.isr {
		source = source || w.serves(id)
	}
	for _, id := range slices.Clone(s.isr) {
		if w.serves(id) {
			delete(s.down, id)
			continue
		}
		since, known := s.down[id]
		switch {
		case !known:
			s.down[id] = w.now
		case source && w.now-since >= 10*time.Second:
			s.isr = without(s.isr, id)
			s.epoch++
		}
	}
	if !source {
		return
	}
	for _, id := range s.replicas {
		if slices.Contains(s.isr, id) || !w.serves(id) {
			delete(s.catching, id)
			continue
		}
		at, known := s.catching[id]
		switch {
		case !known:
			s.catching[id] = w.now + w.between(2, 5)
		case w.now >= at:
			delete(s.catching, id)
			delete(s.down, id)
			s.isr = with(s.isr, id)
			s.epoch++
		}
	}
	if !slices.Contains(s.isr, s.leader) || !w.serves(s.leader) {
		for _, id := range s.isr {
			if w.serves(id) {
				s.leader = id
				s.epoch++
				break
			}
		}
	}
	s.full = s.full[:0]
	for _, id := range s.isr {
		if w.serves(id) {
			s.full = append(s.full, id)
		}
	}
}

// dropCopies takes away what a volume had of messages.
func (w *World) dropCopies(n *node, byHand bool) {
	for _, s := range w.messages {
		if !slices.Contains(s.full, n.id) {
			continue
		}
		s.full = without(s.full, n.id)
		switch {
		case len(s.full) > 0 || s.lost:
		case byHand:
			w.violate("2 and 8", "the last copy of the messages of %s went with the volume of %s", s.name, n.pod)
		default:
			s.lost = true
		}
	}
}

// knows is what a server's own list says.
func (n *node) knows() []uint64 {
	if !n.running() {
		return nil
	}
	out := slices.Clone(n.srv.known)
	slices.Sort(out)
	return out
}
