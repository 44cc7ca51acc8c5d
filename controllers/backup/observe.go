package backup

import (
	"context"
	"fmt"
	"strings"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/agents"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/controllers/backup/refused"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// observe reads what a decision about the backup depends on, and no more: of one that has ended its Job, of one that is being made its Job and the agent that it copies from, of one that waits everything else.
func (r *Reconciler) observe(ctx context.Context, b *v1alpha1.RobustMQBackup) (*observation, error) {
	o := &observation{now: r.Now(), backup: b}
	var err error
	if o.job, err = r.findJob(ctx, b, manifests.BackupJobName(b.Name)); err != nil {
		return nil, err
	}
	if b.Ended() {
		return o, nil
	}
	if o.cluster, err = r.cluster(ctx, b); err != nil {
		return nil, err
	}
	switch {
	case o.job != nil && ours(o.job, b):
		return o, r.observeJob(ctx, o)
	case o.job == nil && b.Status.JobName == "":
		return o, r.observeBefore(ctx, o)
	}
	return o, nil
}

// findJob looks in the cache and, where the status knows of a Job that the cache does not have, past it: a Job that was only not seen yet must not be taken for lost.
func (r *Reconciler) findJob(ctx context.Context, b *v1alpha1.RobustMQBackup, name string) (*batchv1.Job, error) {
	key := types.NamespacedName{Namespace: b.Namespace, Name: name}
	for _, reader := range []client.Reader{r.Client, r.Reader} {
		var j batchv1.Job
		err := reader.Get(ctx, key, &j)
		if err == nil {
			return &j, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("reading Job %s: %w", name, err)
		}
		if b.Status.JobName == "" || b.Ended() {
			break
		}
	}
	return nil, nil
}

// cluster of the backup, with the defaults of its spec; nil when there is none.
func (r *Reconciler) cluster(ctx context.Context, b *v1alpha1.RobustMQBackup) (*v1alpha1.RobustMQCluster, error) {
	var c v1alpha1.RobustMQCluster
	err := r.Get(ctx, types.NamespacedName{Namespace: b.Namespace, Name: b.Spec.ClusterName}, &c)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading cluster %s: %w", b.Spec.ClusterName, err)
	}
	c.Default()
	return &c, nil
}

// observeJob is about a backup that is being made.
func (r *Reconciler) observeJob(ctx context.Context, o *observation) error {
	o.record = readRecord(o.job)
	pods, err := r.podsOf(ctx, r.Client, o.job)
	if err != nil {
		return err
	}
	o.run = outcome.Of(job.Take, o.job, pods, o.now)
	if o.run.Phase == outcome.Ended && !o.run.OK() {
		// Before it is called a failure for good, the pods are read past the cache: the result may stand there already.
		if pods, err = r.podsOf(ctx, r.Reader, o.job); err != nil {
			return err
		}
		o.run = outcome.Of(job.Take, o.job, pods, o.now)
	}
	if o.run.Phase == outcome.Pending && len(pods) == 0 {
		if why := refused.Why(ctx, r.Reader, o.job, o.now); why != "" {
			o.run.Message = why
		}
	}
	if o.run.Phase == outcome.Running && o.cluster != nil && o.record.problem == "" {
		r.observeProgress(ctx, o)
	}
	return nil
}

func (r *Reconciler) podsOf(ctx context.Context, reader client.Reader, j *batchv1.Job) ([]*corev1.Pod, error) {
	var list corev1.PodList
	if err := reader.List(ctx, &list, client.InNamespace(j.Namespace), client.MatchingLabels{batchv1.JobNameLabel: j.Name}); err != nil {
		return nil, fmt.Errorf("listing the pods of Job %s: %w", j.Name, err)
	}
	pods := make([]*corev1.Pod, 0, len(list.Items))
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	return pods, nil
}

// observeProgress asks the agent that is copied from how far the Job is, at most every Timings.Progress.
func (r *Reconciler) observeProgress(ctx context.Context, o *observation) {
	m := r.remember(o.backup)
	if o.now.Sub(m.asked) >= r.Timings.Progress {
		m.asked, m.image, m.imageProblem = o.now, nil, ""
		image, err := r.askSource(ctx, o)
		switch {
		case err != nil:
			m.imageProblem = err.Error()
		case image != nil && image.ID == o.record.take.ImageID:
			m.image = image
		}
	}
	o.image, o.imageProblem = m.image, m.imageProblem
}

func (r *Reconciler) askSource(ctx context.Context, o *observation) (*protocol.Image, error) {
	var pod corev1.Pod
	if err := r.Get(ctx, types.NamespacedName{Namespace: o.backup.Namespace, Name: o.record.take.Member.Pod}, &pod); err != nil {
		return nil, fmt.Errorf("reading pod %s: %w", o.record.take.Member.Pod, err)
	}
	identity, err := agents.Identity(ctx, r.Client, o.cluster)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Observe)
	defer cancel()
	m := r.ask(ctx, o.cluster, identity, &pod)
	if m.state == nil {
		return nil, fmt.Errorf("%s", m.problem)
	}
	return m.state.Images.Image, nil
}

// observeBefore is about a backup that has no Job: in the order of whatIsAwaited, and no further than it will look.
func (r *Reconciler) observeBefore(ctx context.Context, o *observation) error {
	if o.whatIsAwaited() != nil {
		return nil
	}
	var all v1alpha1.RobustMQBackupList
	if err := r.List(ctx, &all, client.InNamespace(o.backup.Namespace)); err != nil {
		return fmt.Errorf("listing backups: %w", err)
	}
	jobs, err := r.jobsOfCluster(ctx, r.Client, o.backup)
	if err != nil {
		return err
	}
	if o.turn = whoseTurn(o.backup, all.Items, jobs); o.turn != nil {
		return nil
	}
	if o.restore, err = r.restoreUnderWay(ctx, o.backup); err != nil || o.restore != "" {
		return err
	}
	if o.missing, err = r.missingSecret(ctx, o.cluster, verificationOf(o)); err != nil || o.missing != nil {
		return err
	}
	o.source, o.unready, err = r.findSource(ctx, o)
	return err
}

func verificationOf(o *observation) v1alpha1.VerificationMode {
	if o.backup.Spec.Verification != "" {
		return o.backup.Spec.Verification
	}
	return o.cluster.Spec.Backup.Verification
}

func (r *Reconciler) jobsOfCluster(ctx context.Context, reader client.Reader, b *v1alpha1.RobustMQBackup) ([]batchv1.Job, error) {
	var jobs batchv1.JobList
	if err := reader.List(ctx, &jobs, client.InNamespace(b.Namespace), client.MatchingLabels{v1alpha1.LabelCluster: b.Spec.ClusterName, v1alpha1.LabelManaged: v1alpha1.ManagedBy}); err != nil {
		return nil, fmt.Errorf("listing the Jobs of cluster %s: %w", b.Spec.ClusterName, err)
	}
	return jobs.Items, nil
}

func (r *Reconciler) restoreUnderWay(ctx context.Context, b *v1alpha1.RobustMQBackup) (string, error) {
	if r.Restores == nil {
		return "", nil
	}
	restores, err := r.Restores(ctx, b.Namespace)
	if err != nil {
		return "", fmt.Errorf("listing the restores of cluster %s: %w", b.Spec.ClusterName, err)
	}
	for i := range restores {
		// The safety backup of a restore is taken while that restore waits for it.
		if x := &restores[i]; x.Spec.ClusterName == b.Spec.ClusterName && !x.Ended() && x.Status.SafetyBackupName != b.Name {
			return x.Name, nil
		}
	}
	return "", nil
}

// findSource asks every member at once, fixes the recovery point when it can first be read, and chooses.
func (r *Reconciler) findSource(ctx context.Context, o *observation) (choice, *wait, error) {
	identity, err := agents.Identity(ctx, r.Client, o.cluster)
	if err != nil {
		return choice{}, &wait{v1alpha1.ReasonWaitingForSecret, err.Error()}, nil
	}
	var pods corev1.PodList
	if err := r.List(ctx, &pods, client.InNamespace(o.cluster.Namespace), client.MatchingLabels(manifests.Selector(o.cluster, v1alpha1.RolePlacementCenter))); err != nil {
		return choice{}, nil, fmt.Errorf("listing the members of cluster %s: %w", o.cluster.Name, err)
	}
	members := r.askAll(ctx, o.cluster, identity, pods.Items)
	version, err := robustmq.ParseVersion(versionOf(o.cluster, member{}))
	if err != nil {
		return choice{}, &wait{v1alpha1.ReasonSpecInvalid, fmt.Sprintf("version of cluster %s: %v", o.cluster.Name, err)}, nil
	}
	groups := robustmq.Lookup(version).StatusGroups
	point, unready := observePoint(members, groups, o.now)
	if unready != nil {
		return choice{}, unready, nil
	}
	m := r.remember(o.backup)
	if !m.point.stands(point) {
		m.point = point
	}
	from, unready := choose(members, groups, m.point, o.now, r.Timings.CatchUp)
	if unready != nil {
		return choice{}, unready, nil
	}
	var brokers corev1.PodList
	if err := r.List(ctx, &brokers, client.InNamespace(o.cluster.Namespace), client.MatchingLabels(manifests.Selector(o.cluster, v1alpha1.RoleMQTTBroker))); err != nil {
		return choice{}, nil, fmt.Errorf("listing the brokers of cluster %s: %w", o.cluster.Name, err)
	}
	from.counter = counterOf(brokers.Items)
	return from, nil, nil
}

// askAll asks the agents of pods, all at once, within the deadline. The answer is in the order of the pods' ordinals.
func (r *Reconciler) askAll(ctx context.Context, cluster *v1alpha1.RobustMQCluster, identity agentclient.Identity, pods []corev1.Pod) []member {
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Observe)
	defer cancel()
	members := make([]member, len(pods))
	var all sync.WaitGroup
	for i := range pods {
		all.Go(func() { members[i] = r.ask(ctx, cluster, identity, &pods[i]) })
	}
	all.Wait()
	sortMembers(members)
	return members
}

func (r *Reconciler) ask(ctx context.Context, cluster *v1alpha1.RobustMQCluster, identity agentclient.Identity, pod *corev1.Pod) member {
	m := member{pod: pod.Name, address: pod.Status.PodIP, imageDigest: digestOf(pod)}
	state, err := agents.Ask(ctx, r.Agents, cluster, identity, pod)
	if err != nil {
		m.problem = err.Error()
		return m
	}
	m.state, m.nodeID = &state, state.NodeID
	return m
}

// digestOf is the digest of the server's image: what ran, whatever the tag means by now.
func digestOf(pod *corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name != manifests.ContainerServer {
			continue
		}
		if _, digest, ok := strings.Cut(c.ImageID, "@"); ok {
			return digest
		}
	}
	return ""
}
