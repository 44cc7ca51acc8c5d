package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

const (
	// mostWitnesses is how many nodes are asked of every segment. Each answers from its own cache, which stays wrong when it missed one notification.
	mostWitnesses = 3
	// askedAtOnce bounds the calls to one node.
	askedAtOnce = 4
	// mostTopics bounds the memory of a survey.
	mostTopics = 1_000_000
)

// survey looks at every segment of every topic, over as many passes as that takes.
type survey struct {
	witnesses []string // pods
	leaving   []uint64
	begun     time.Time
	passes    int
	topics    []topic // asked and to be asked, each once
	known     map[string]bool
	next      int // the first topic that was not asked for
	// found are the segments that matter, by shard and number: the record with the highest epoch.
	found map[segmentKey]topology.Segment
	// confirming: the topics that matter are asked once more, because the first look took several passes.
	confirming bool
}

type segmentKey struct {
	shard  string
	number uint64
}

// surveySegments fills in what decisions about leaving nodes need: who has copies of which messages. It asks nothing while nobody leaves. A survey that does not come to its end within
// this pass's time goes on in the next one; what it says then is confirmed before it counts.
func (r *Reconciler) surveySegments(ctx context.Context, p *pass, health topology.Health) {
	leaving := topology.Leaving(p.snapshot)
	if len(leaving) == 0 || !p.traits.Decommission {
		if p.memory.survey != nil && len(p.memory.survey.leaving) > 0 {
			p.memory.survey = nil
		}
		return
	}
	r.survey(ctx, p, health, leaving)
}

// survey looks at the segments that name a node that leaves, that lack a copy in sync, or that cannot be read.
func (r *Reconciler) survey(ctx context.Context, p *pass, health topology.Health, leaving []uint64) {
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Observe)
	defer cancel()
	witnesses := witnesses(p.snapshot, health)
	if len(witnesses) == 0 {
		p.memory.survey = nil
		p.snapshot.Drain = topology.Drain{Problem: "there is no node to ask"}
		return
	}
	s := p.memory.survey
	if s == nil || !slices.Equal(s.witnesses, witnesses) || !slices.Equal(s.leaving, leaving) {
		s = &survey{witnesses: witnesses, leaving: leaving, begun: r.Now(), known: map[string]bool{}, found: map[segmentKey]topology.Segment{}}
		p.memory.survey = s
	}
	agents := make([]agentclient.Client, 0, len(witnesses))
	for _, pod := range witnesses {
		agent, err := p.agent(pod)
		if err != nil {
			p.memory.survey = nil
			p.snapshot.Drain = topology.Drain{Problem: err.Error()}
			return
		}
		agents = append(agents, agent)
	}
	done, err := s.goOn(ctx, agents)
	switch {
	case err != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		p.memory.survey = nil // what was seen so far may be old when it is asked again
		p.snapshot.Drain = topology.Drain{Problem: err.Error()}
	case !done:
		p.snapshot.Drain = topology.Drain{Problem: fmt.Sprintf("%d of %d topics were looked at so far", s.next, len(s.topics))}
	default:
		p.memory.survey = nil
		p.snapshot.Drain = topology.Drain{Complete: true, Segments: s.segments()}
	}
}

// noteTimes says of every server since when it has been as it is, now that the agents have answered.
func (p *pass) noteTimes(now time.Time) {
	p.seen = now
	noteStops(p, now)
	for _, m := range p.snapshot.Members {
		if started := p.observed.states[m.Pod].Server.Started; m.Agent != nil && started != nil {
			m.Agent.StartedFor = max(now.Sub(*started), 1)
		}
	}
}

// noteStops says of every stopped server how long ago it ended. The agent's clock may differ from ours: what lies ahead counts as now.
func noteStops(p *pass, now time.Time) {
	for _, m := range p.snapshot.Members {
		state, ok := p.observed.states[m.Pod]
		if ok && m.Agent != nil && state.Server.Phase == protocol.ServerStopped && state.Server.LastExit != nil {
			m.Agent.StoppedFor = max(0, now.Sub(state.Server.LastExit.At))
		}
		if ok && m.Agent != nil && state.Gate.Reason == protocol.GateHeld {
			m.Agent.RestoreStopped = stoppedByRestore(state.Server.LastExit, p.restores)
		}
	}
}

// witnesses are up to three nodes that stay and are in service, the metadata leader first, members of the placement centre before others.
func witnesses(s topology.Snapshot, health topology.Health) []string {
	var pods []string
	if leader, ok := health.CommonLeader(); ok {
		pods = append(pods, leader.Pod)
	}
	for _, m := range s.Members { // sorted by role
		if m.Ordinal < s.Wanted.Replicas[m.Role] && health.InService(m) && !slices.Contains(pods, m.Pod) {
			pods = append(pods, m.Pod)
		}
	}
	pods = pods[:min(len(pods), mostWitnesses)]
	slices.Sort(pods) // a change of leaders begins no new survey
	return pods
}

// goOn asks until everything was asked, or the context ends.
func (s *survey) goOn(ctx context.Context, agents []agentclient.Client) (done bool, err error) {
	s.passes++
	for {
		if !s.confirming {
			// Topics that were made while the others were asked are found at the end, too.
			before := len(s.topics)
			if err := s.list(ctx, agents); err != nil {
				return false, err
			}
			if s.next == len(s.topics) && before == len(s.topics) {
				if s.passes == 1 {
					return true, nil
				}
				s.confirm()
			}
		}
		if err := s.ask(ctx, agents); err != nil {
			return false, err
		}
		if s.confirming || s.passes == 1 {
			return true, nil
		}
	}
}

// list adds the topics that any witness knows and that were not seen yet.
func (s *survey) list(ctx context.Context, agents []agentclient.Client) error {
	for i, agent := range agents {
		for page := 1; ; page++ {
			topics, total, err := listTopics(ctx, agent, page)
			if err != nil {
				return fmt.Errorf("%s: %w", s.witnesses[i], err)
			}
			for _, t := range topics {
				if !s.known[t.ID] {
					s.known[t.ID] = true
					s.topics = append(s.topics, t)
				}
			}
			if len(s.topics) > mostTopics {
				return fmt.Errorf("there are more than %d topics", mostTopics)
			}
			if len(topics) == 0 || page*topicRows >= total {
				break
			}
		}
	}
	return nil
}

// confirm asks once more for the topics whose segments matter.
func (s *survey) confirm() {
	matter := map[string]bool{}
	for key := range s.found {
		matter[key.shard] = true
	}
	s.topics = slices.DeleteFunc(s.topics, func(t topic) bool {
		return !slices.ContainsFunc(t.shards(), func(shard string) bool { return matter[shard] })
	})
	s.next, s.confirming = 0, true
	s.found = map[segmentKey]topology.Segment{}
}

// ask goes through the topics that were not asked for yet, a few at once; a topic counts as asked only when every witness has answered.
func (s *survey) ask(ctx context.Context, agents []agentclient.Client) error {
	for s.next < len(s.topics) {
		batch := s.topics[s.next:min(s.next+askedAtOnce, len(s.topics))]
		var mu sync.Mutex
		var all sync.WaitGroup
		var failure error
		newest := map[segmentKey]topology.Segment{}
		for _, t := range batch {
			for i, agent := range agents {
				all.Go(func() {
					for _, shard := range t.shards() {
						segments, err := listSegments(ctx, agent, t, shard)
						mu.Lock()
						if err != nil {
							failure = fmt.Errorf("%s: %w", s.witnesses[i], err)
						}
						for _, segment := range segments {
							key := segmentKey{shard, segment.Number}
							if old, ok := newest[key]; !ok || segment.Epoch > old.Epoch {
								newest[key] = segment
							}
						}
						mu.Unlock()
						if err != nil {
							return
						}
					}
				})
			}
		}
		all.Wait()
		if failure != nil {
			return failure
		}
		for key, segment := range newest {
			if s.matters(segment) {
				s.found[key] = segment
			}
		}
		s.next += len(batch)
	}
	return nil
}

// matters reports whether a decision may hang on the segment.
func (s *survey) matters(segment topology.Segment) bool {
	return !segment.Full() || !segment.Readable() || slices.ContainsFunc(s.leaving, segment.Names)
}

// segments are what was found, in a fixed order.
func (s *survey) segments() []topology.Segment {
	out := make([]topology.Segment, 0, len(s.found))
	for _, segment := range s.found {
		out = append(out, segment)
	}
	slices.SortFunc(out, func(a, b topology.Segment) int {
		switch {
		case a.Topic != b.Topic:
			return cmp.Compare(a.Topic, b.Topic)
		case a.Shard != b.Shard:
			return cmp.Compare(a.Shard, b.Shard)
		}
		return cmp.Compare(a.Number, b.Number)
	})
	return out
}

// volumesGo reports whether the volume of a node that was taken away is deleted.
func volumesGo(cluster *v1alpha1.RobustMQCluster) bool {
	return cluster.Spec.VolumeRetention == v1alpha1.VolumesDeleted
}
