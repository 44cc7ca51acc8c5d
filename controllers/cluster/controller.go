package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/agents"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/pki"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
	"github.com/robustmq/robustmq-operator/monitoring"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// Reconciler brings RobustMQClusters to what their spec says. Every field but the client may be injected by tests.
type Reconciler struct {
	client.Client
	// Reader reads past the cache: Secrets that users named are not ours to hold in memory.
	Reader client.Reader
	Events events.EventRecorder
	// Agents makes clients of the agents, with one mutual-TLS transport a cluster.
	Agents AgentPool

	// ServerImage is the image of RobustMQ with {version} in it; AgentImage the one that carries the agent.
	ServerImage, AgentImage string
	ClusterDomain           string
	OperatorNamespace       string
	// CopyAgent has the agent copied into every pod, also where its image could be mounted.
	CopyAgent bool
	// DisableRelay switches the agents' heartbeat relay off (tests: without it one dead host empties the node registry).
	DisableRelay bool

	// Restores lists the restores of a namespace; nil where there are none (tests). Nothing that a running restore counts on is changed, and while one has the members in its hands nothing is done to any
	// of them.
	Restores func(ctx context.Context, namespace string) ([]v1alpha1.RobustMQRestore, error)

	// Machines reads the Kubernetes nodes that carry the pods; nil: the operator may not, and nothing that depends on them is done.
	Machines client.Reader

	// Metrics take what is counted and exported; nil: nobody counts.
	Metrics *monitoring.Operator

	// Monitoring tells what the condition MonitoringAvailable says; nil: nobody does, and there is no such condition.
	Monitoring Monitoring

	Timings  Timings
	Limits   topology.Limits
	PKIRules pki.Rules

	// Now, NewUID and Random are the time, new identities and the source of keys and passwords.
	Now    func() time.Time
	NewUID func() string
	Random Randomness

	mu      sync.Mutex
	memory  map[types.NamespacedName]*memory
	mounts  mounts
	lacking lacking
	indexed bool // Client has the index by cluster: SetupWithManager made it
}

// AgentPool gives clients of agents.
type AgentPool interface {
	agents.Pool
	// Forget closes what is kept for a cluster that is gone, or whose agents are not asked soon.
	Forget(key string)
	// Trim closes what is kept for a cluster that has just been looked at, if too much is kept for all.
	Trim(key string)
}

// memory is what the operator remembers of a cluster between two passes. Losing it delays a repair and changes no decision.
type memory struct {
	tracker topology.Tracker
	// sightings are the registrations that were not their nodes' own.
	sightings topology.Sightings
	// censuses are what the members' databases were counted to hold, faults what was found by it and is not over.
	censuses censuses
	faults   []topology.Fault
	// watch remembers since when troubles last, converging which steps have not brought yet what they were for.
	watch      topology.Watch
	converging topology.Converging
	// told is what was said last of what the cluster waits for.
	told told
	// certificates end at these times.
	certificates []monitoring.Certificate
	// settled are the certificates that were last found to be as they shall be.
	settled settledCertificates
	// transferFailed is when the last transfer of leadership failed.
	transferFailed time.Time
	// aloneFailed is when a member could not be made the only voter last; zero: it was not tried since, or it could.
	aloneFailed time.Time
	// replicated: the inner topics were seen with all their copies, for this many engines.
	replicated int32
	// survey of the messages' segments that is under way; nil while nobody leaves.
	survey *survey
	// refused: kinds of settings that a server refused, and in which configuration.
	refused map[string]string
	// seeds that came to nothing, by pod.
	seeds topology.SeedMemory
	// restoreRefused is why the last RobustMQRestore that was wanted could not be made.
	restoreRefused string
	// pace of the raft groups' logs.
	pace topology.Pace
	// compared are the objects that were last seen as they are wanted.
	compared map[ref]comparison
	// objects are set while all of them are known to be as they are wanted.
	objects settledObjects
	// absent are the objects of kinds that are not cached, and when they were last seen not to exist.
	absent map[ref]time.Time
	// denied are the objects that the API server refused.
	denied map[ref]denial
	// mountFailed is when a node could not mount the agent's image last; zero: none was seen.
	mountFailed time.Time
}

// pass is one reconcile of one cluster: what was read, and what follows from it.
type pass struct {
	log      logr.Logger
	cluster  *v1alpha1.RobustMQCluster // as read
	desired  *v1alpha1.RobustMQCluster // with derived defaults, and the version that runs
	version  robustmq.Version
	traits   robustmq.Traits
	id       identity
	restores []v1alpha1.RobustMQRestore // of this cluster, ended or not
	inputs   manifests.Inputs
	observed *observation
	snapshot topology.Snapshot
	seen     time.Time // when the agents had answered
	memory   *memory
	dial     func(pod *corev1.Pod) (agentclient.Client, error)
	// waits are what the objects, not the members, wait for: a Secret that is missing, say.
	waits []topology.Wait
	// templatesHeld: the servers run a newer version than what would be built, or an upgrade that cannot roll is wanted, so pods and their configuration stay as they are.
	templatesHeld bool
	// upkeepOnly: the spec is refused and the cluster runs on (see upkeep): members are repaired, and no object takes another form.
	upkeepOnly bool
	// storageHeld: the volumes of these roles keep their size for now.
	storageHeld map[v1alpha1.Role]bool
	// monitored is what has become of the objects by which the cluster is monitored; nil: not known.
	monitored *MonitoringFound
	// mayMount: the agent's image may be mounted into pods that are made anew, where that has been seen to work.
	mayMount bool
	// pulled and pulledInputs are the cluster, and what else it is built from, whose images are pulled.
	pulled       *v1alpha1.RobustMQCluster
	pulledInputs manifests.Inputs
	// hop is what the pass does about a change of version that cannot roll; nil: it was not looked at.
	hop *hop
	// templates are the hashes of the pods' templates that were built in this pass, by the StatefulSet's name.
	templates map[string]string
	// remade are the StatefulSets that were deleted in this pass, without their pods, to be made anew by the next.
	remade []string
}

func (p *pass) agent(pod string) (agentclient.Client, error) {
	found := p.observed.pods[pod]
	if found == nil {
		return nil, fmt.Errorf("pod %s does not exist", pod)
	}
	return p.dial(found)
}

// Reconcile is one pass: observe, plan, status, act.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var cluster v1alpha1.RobustMQCluster
	if err := r.Get(ctx, req.NamespacedName, &cluster); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !cluster.DeletionTimestamp.IsZero() {
		// Nothing is to be done: everything is owned, and the StatefulSets keep or delete the volumes as volumeRetention says. No finalizer, so nothing can block.
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	p := &pass{log: ctrl.LoggerFrom(ctx).WithValues("cluster", req.String()), cluster: &cluster}
	defer r.Agents.Trim(req.String())
	result, err := r.reconcile(ctx, p)
	if apierrors.IsConflict(err) {
		// Somebody wrote in between: what was read is old, the next pass reads anew.
		monitoring.Waiting(ctx)
		return ctrl.Result{RequeueAfter: r.Timings.Busy}, nil
	}
	return result, err
}

func (r *Reconciler) reconcile(ctx context.Context, p *pass) (ctrl.Result, error) {
	p.memory = r.remember(client.ObjectKeyFromObject(p.cluster))

	p.desired = p.cluster.DeepCopy()
	p.desired.Default()
	version, err := robustmq.ParseVersion(targetVersion(p.cluster))
	if err != nil {
		return ctrl.Result{}, r.refuse(ctx, p, v1alpha1.ReasonSpecInvalid, fmt.Sprintf("spec.version: %v", err))
	}
	p.version, p.traits = version, robustmq.Lookup(version)

	o, err := observeKubernetes(ctx, r, p.cluster, r.cachedOf(p.cluster))
	if err != nil {
		return ctrl.Result{}, err
	}
	p.observed = o
	r.observeMachines(ctx, p)
	if denied := guard(p.desired, o); len(denied) > 0 {
		goOn, err := r.upkeep(ctx, p, denied)
		if err != nil {
			return ctrl.Result{}, err
		}
		if !goOn {
			return ctrl.Result{}, r.refuse(ctx, p, v1alpha1.ReasonSpecInvalid, rules.Summary(denied))
		}
	}
	p.desired.Spec.Version = version.String() // what is built is for the version that runs, or for the one that it may roll to
	id, changed, err := identify(p.cluster, o, r.NewUID)
	if err != nil {
		return ctrl.Result{}, r.refuse(ctx, p, v1alpha1.ReasonForeignVolume, err.Error())
	}
	if p.restores, err = r.observeRestores(ctx, p.cluster); err != nil {
		return ctrl.Result{}, err
	}
	if r.Metrics != nil {
		r.Metrics.Restores.Set(client.ObjectKeyFromObject(p.cluster), restoresToExport(p.restores))
	}
	id.generation = generationBy(id.recorded, p.generationOnClaims(), p.restores)
	p.id = id
	if changed && !p.cluster.Spec.Paused {
		adopted := p.cluster.Status.ClusterUID == "" && id.founded // no status speaks of it, and the claims do
		if err := r.recordIdentity(ctx, p.cluster, id); err != nil {
			return ctrl.Result{}, err
		}
		if adopted {
			r.event(p.cluster, "", corev1.EventTypeNormal, v1alpha1.ReasonAdopted, fmt.Sprintf("the cluster %s is taken up again on the volumes that it left", id.uid))
		}
	}
	p.mayMount = r.mayMount(ctx, p)
	p.inputs = r.inputs(p)
	identity, err := r.ensureSecrets(ctx, p)
	if err != nil {
		return ctrl.Result{}, err
	}
	p.dial = func(pod *corev1.Pod) (agentclient.Client, error) {
		return r.Agents.Client(client.ObjectKeyFromObject(p.cluster).String(), identity, pod.Status.PodIP)
	}
	r.observeAgents(ctx, p.dial, o)
	p.snapshot = newSnapshot(p, r.Limits)
	r.wantRestores(p)
	if err := r.wantOne(ctx, p); err != nil {
		return ctrl.Result{}, err
	}
	p.snapshot.SeedTries = p.memory.seeds.Tries(r.Now())
	if failed := p.memory.transferFailed; !failed.IsZero() {
		p.snapshot.TransferFailedAgo = max(r.Now().Sub(failed), 1)
	}
	p.noteTimes(r.Now())
	r.look(ctx, p)
	health := topology.Assess(p.snapshot)
	if !p.aside() {
		r.countKeys(ctx, p, health)
		r.tellRecoveries(p)
		r.tellConverged(p)
	}

	if p.cluster.Spec.Paused {
		return r.finish(ctx, p, health, topology.Plan{})
	}
	if !p.aside() {
		if begun, err := r.recordAlone(ctx, p); begun || err != nil {
			return ctrl.Result{RequeueAfter: r.Timings.Busy}, err
		}
	}
	if err := r.recordGeneration(ctx, p); err != nil {
		return ctrl.Result{}, err
	}
	if !p.aside() {
		if err := r.forgetLeft(ctx, p, health); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.observeHop(ctx, p, health); err != nil {
		return ctrl.Result{}, err
	}
	p.resize(health)
	holdBack(p, health)
	p.holdForHop()
	p.rest(health)
	if p.aside() {
		p.keepSizes()
	}
	p.inputs.VoterMissing = !health.EveryVoterWhole() // no pod is evicted while the quorum is not whole
	if !p.upkeepOnly && !p.aside() {
		if err := r.growVolumes(ctx, p); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.applyObjects(ctx, p); err != nil {
		return ctrl.Result{}, err
	}
	if p.cluster.Spec.Hibernated && !p.aside() {
		return r.finish(ctx, p, health, restPlan(p))
	}
	if p.hop.stopNodes {
		return r.advanceHop(ctx, p, health)
	}
	if err := wantSettings(p); err != nil {
		return ctrl.Result{}, err
	}
	r.hurryGeneration(ctx, p)
	plan, err := r.decide(ctx, p, health)
	if err != nil {
		return ctrl.Result{}, err
	}
	plan = opened(p, health, p.prepareHop(plan))
	// The status tells what was seen and what is about to be done, so it is written first: the events then stand in the order in which things happened.
	result, err := r.finish(ctx, p, health, plan)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.act(ctx, p, plan); err != nil {
		// An agent that refuses or does not answer is observed again soon, and decided on anew: not an error of this pass.
		tellFailed(p.log, err)
	}
	return result, nil
}

// look completes the snapshot with what takes more than one answer: what was asked for on purpose, what lasts, what has a rate. While a restore has the members in its hands nothing follows from any
// of it, and what lasts is counted anew when it gives them back.
func (r *Reconciler) look(ctx context.Context, p *pass) {
	if p.aside() {
		p.memory.tracker.Observe(r.Now(), nil)
		p.memory.converging = topology.Converging{}
		return
	}
	r.surveySegments(ctx, p, topology.Assess(p.snapshot))
	p.snapshot.Rounds, p.snapshot.RoundAgo = p.memory.censuses.facts(r.Now())
	p.snapshot.Faults = p.memory.faults
	p.snapshot.Pace = p.memory.pace.Observe(r.Now(), p.snapshot)
	p.snapshot.PaceUnknown = p.snapshot.Pace == nil
	p.snapshot.Duplicates = p.memory.sightings.Observe(r.Now(), p.snapshot)
	r.observeClients(ctx, p)
	p.snapshot.Seen = p.memory.tracker.Observe(r.Now(), topology.Symptoms(p.snapshot))
	p.memory.faults = topology.Faults(p.snapshot)
	p.snapshot.Faults = p.memory.faults
}

// finish computes the status, writes it where it differs, and says when to look again.
func (r *Reconciler) finish(ctx context.Context, p *pass, health topology.Health, plan topology.Plan) (ctrl.Result, error) {
	if p.aside() {
		plan.Waits = append(plan.Waits, p.waits...)
	} else {
		plan.Waits = append(p.waits, plan.Waits...) // what a person has to give comes first
	}
	if plan.Settled() && !p.cluster.Spec.Hibernated && !p.snapshot.Wanted.Islands && p.traits.Replication {
		if wait := r.awaitInnerTopics(ctx, p); wait != nil {
			plan.Waits = append(plan.Waits, *wait)
		}
	}
	if r.Monitoring != nil {
		if found, ok := r.Monitoring.Of(p.cluster); ok {
			p.monitored = &found
		}
	}
	next := computeStatus(p, health, plan, r.Now())
	if err := r.writeStatus(ctx, p, next); err != nil {
		return ctrl.Result{}, err
	}
	r.export(p, next)
	p.tellWaits(plan, r.Now())
	if plan.Settled() {
		r.Agents.Forget(client.ObjectKeyFromObject(p.cluster).String())
		return ctrl.Result{RequeueAfter: jitter(r.Timings.Quiet)}, nil
	}
	monitoring.Waiting(ctx)
	return ctrl.Result{RequeueAfter: r.Timings.Busy}, nil
}

// refuse reports a spec or volumes that nothing can be done with, writes nothing else, and waits for the next change.
func (r *Reconciler) refuse(ctx context.Context, p *pass, reason, message string) error {
	next := refusedStatus(p.cluster, reason, message, r.Now())
	if err := r.writeStatus(ctx, p, next); err != nil {
		return err
	}
	monitoring.Waiting(ctx)
	r.export(p, next)
	p.tellWaits(topology.Plan{Waits: []topology.Wait{{Reason: reason, Message: message, Trouble: true}}}, r.Now())
	return nil
}

// awaitInnerTopics says which of RobustMQ's own topics still lacks copies; once all were seen whole, it asks no more until the number of engines changes.
// What a node says of segments is its own cache, which stays wrong for ever when it missed one notification: a topic counts as short only while every member says so.
func (r *Reconciler) awaitInnerTopics(ctx context.Context, p *pass) *topology.Wait {
	engines := p.desired.Spec.Engines()
	if p.memory.replicated == engines {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Observe)
	defer cancel()
	var short []string
	answers := 0
	problem := errors.New("there is no member to ask")
	for _, m := range p.snapshot.Members {
		if m.Role != v1alpha1.RolePlacementCenter {
			continue
		}
		agent, err := p.agent(m.Pod)
		if err == nil {
			var topics []string
			topics, err = underReplicated(ctx, agent, engines)
			if err == nil && answers > 0 {
				topics = slices.DeleteFunc(topics, func(topic string) bool { return !slices.Contains(short, topic) })
			}
			if err == nil {
				short, answers = topics, answers+1
			}
		}
		if err != nil {
			problem = err
			continue
		}
		if len(short) == 0 {
			p.memory.replicated = engines
			return nil
		}
	}
	if answers == 0 {
		return &topology.Wait{Reason: v1alpha1.ReasonReplicating, Message: fmt.Sprintf("the copies of the inner topics cannot be seen yet: %v", problem)}
	}
	return &topology.Wait{Reason: v1alpha1.ReasonReplicating, Message: fmt.Sprintf("inner topic %s does not have all its copies in sync yet", short[0])}
}

func (r *Reconciler) remember(key types.NamespacedName) *memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.memory == nil {
		r.memory = map[types.NamespacedName]*memory{}
	}
	if r.memory[key] == nil {
		r.memory[key] = &memory{}
	}
	return r.memory[key]
}

func (r *Reconciler) forget(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.memory, key)
	r.Agents.Forget(key.String())
	r.Metrics.Forget(key)
}

// jitter spreads quiet clusters over time: a tenth more or less.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// event tells something about the cluster and, where it is about one pod, names that pod as related: events of one reason without a related object are folded into one.
func (r *Reconciler) event(cluster *v1alpha1.RobustMQCluster, pod, eventType, reason, message string) {
	var related runtime.Object
	if pod != "" {
		related = &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: cluster.Namespace, Name: pod}
	}
	r.Events.Eventf(cluster, related, eventType, reason, reason, "%s", message)
}
