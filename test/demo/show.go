package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

const (
	// namespace is the demo's own: what it finds there is its own, and may be removed.
	namespace = "robustmq-demo"
	// annotationMade says what the cluster in the namespace was made of.
	annotationMade = "robustmq.io/demo-made-of"

	topic = "demo/hello"
	count = 20 // messages
)

// show installs the operator, lets the sample form, uses it, and tells what came of it.
func show(ctx context.Context, s settings, n *narrator) error {
	k, err := live.Connect(!s.Current)
	if err != nil {
		return err
	}
	sample, err := live.ReadCluster(s.Sample)
	if err != nil {
		return err
	}
	key := client.ObjectKey{Namespace: namespace, Name: sample.Name}
	begin := time.Now()
	cluster, err := bring(ctx, s, n, k, key)
	run := messages.NewRun(time.Now())
	if err == nil {
		err = use(ctx, n, k, cluster, run)
	}
	if err == nil && !s.Current {
		err = protect(ctx, n, k, cluster, run)
	}
	if err != nil {
		if ctx.Err() == nil {
			fmt.Fprintln(n.out, "\nWhat is known about it:")
			k.Diagnose(ctx, n.out, key)
		}
		return err
	}
	return report(ctx, s, n, k, key, time.Since(begin))
}

// bring installs the operator and waits for the sample.
func bring(ctx context.Context, s settings, n *narrator, k *live.Kubernetes, key client.ObjectKey) (*v1alpha1.RobustMQCluster, error) {
	var applied bytes.Buffer
	install := live.Install{Root: ".", Config: "config/bed", Archives: s.Archives, Out: &applied}
	if s.Current {
		install = live.Install{Root: ".", Config: "config/default", Out: &applied}
	}
	if s.Server != "" {
		install.Args = []string{"--server-image=bed.local/robustmq:v{version}"}
	}
	what := "Install the operator, as `make install` does"
	if s.Current {
		what += fmt.Sprintf(" (kubectl context %s)", k.Context)
	}
	if _, err := n.step(what, func() error {
		if err := k.Install(ctx, install, s.Timeout); err != nil {
			_, _ = n.detail().Write(applied.Bytes())
			return err
		}
		fmt.Fprintf(n.detail(), "%d objects applied, all replicas available\n", bytes.Count(applied.Bytes(), []byte("serverside-applied")))
		return nil
	}); err != nil {
		return nil, err
	}
	if err := ownNamespace(ctx, s, n, k); err != nil {
		return nil, err
	}
	if _, err := n.step(fmt.Sprintf("kubectl apply -n %s -f %s", namespace, s.Sample), func() error {
		return live.Until(ctx, "the API server takes the sample", time.Second, 30*time.Second, func(ctx context.Context) (bool, string, error) {
			out, warnings, err := k.KubectlAll(ctx, nil, "apply", "-n", namespace, "-f", s.Sample)
			if err != nil && strings.Contains(err.Error(), "failed calling webhook") {
				return false, err.Error(), nil // its Service was made a moment ago
			}
			fmt.Fprint(n.detail(), out, warnings)
			return err == nil, "", err
		})
	}); err != nil {
		return nil, err
	}
	var cluster *v1alpha1.RobustMQCluster
	_, err := n.step("Watch it form: member 0 founds, the others join one at a time, then the brokers start", func() (err error) {
		cluster, err = form(ctx, n, k, key, s.Timeout)
		return err
	})
	return cluster, err
}

// ownNamespace makes the namespace; one whose cluster was made of other images or another sample is removed first, so that what is shown is what was built.
func ownNamespace(ctx context.Context, s settings, n *narrator, k *live.Kubernetes) error {
	made, err := live.Fingerprint(append([]string{s.Sample}, s.Archives...))
	if err != nil {
		return err
	}
	var existing corev1.Namespace
	err = k.Get(ctx, client.ObjectKey{Name: namespace}, &existing)
	switch {
	case err == nil && existing.Annotations[annotationMade] == made && existing.DeletionTimestamp.IsZero():
		n.say("The cluster of an earlier demo is of the same images and sample: it is kept")
		return nil
	case err == nil && existing.Annotations[annotationMade] == "":
		return fmt.Errorf("the namespace %s exists and is not of an earlier demo: nothing in it is touched; remove or rename it", namespace)
	case err == nil:
		if _, err := n.step("Remove the cluster of an earlier demo, which was made of other images or another sample", func() error {
			return removeNamespace(ctx, k)
		}); err != nil {
			return err
		}
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("looking for namespace %s: %w", namespace, err)
	}
	fresh := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:        namespace,
		Labels:      map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
		Annotations: map[string]string{annotationMade: made},
	}}
	if err := k.Create(ctx, fresh); err != nil {
		return fmt.Errorf("making namespace %s: %w", namespace, err)
	}
	return nil
}

func removeNamespace(ctx context.Context, k *live.Kubernetes) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := client.IgnoreNotFound(k.Delete(ctx, ns)); err != nil {
		return err
	}
	return live.Until(ctx, "namespace "+namespace+" gone", 500*time.Millisecond, 4*time.Minute, func(ctx context.Context) (bool, string, error) {
		err := k.Get(ctx, client.ObjectKey{Name: namespace}, ns)
		if apierrors.IsNotFound(err) {
			return true, "", nil
		}
		return false, fmt.Sprintf("phase %s %v", ns.Status.Phase, err), nil
	})
}

// use makes a topic and sends messages from one broker to another.
func use(ctx context.Context, n *narrator, k *live.Kubernetes, cluster *v1alpha1.RobustMQCluster, run string) error {
	islands, err := isIslands(cluster)
	if err != nil {
		return err
	}
	access, err := messages.Reach(ctx, k, cluster)
	if err != nil {
		return err
	}
	from, to := int32(0), cluster.Spec.MQTTBroker.Replicas-1
	if islands {
		n.say("RobustMQ %s cannot cluster brokers: broker 0 alone is served, so messages go through it and come from it; topics are made by their first message", cluster.Spec.Version)
		to = 0
	} else if _, err := n.step(fmt.Sprintf("Create topic %s through the admin API, as user admin", topic), func() error {
		made, err := access.Admin(from).CreateTopic(ctx, topic, min(3, cluster.Spec.Engines()))
		if err == nil && !made {
			fmt.Fprintln(n.detail(), "it exists already")
		}
		return err
	}); err != nil {
		return err
	}
	_, err = n.step(fmt.Sprintf("Send %d MQTT messages with QoS 1 through %s, receive them on %s", count, access.BrokerPod(from), access.BrokerPod(to)), func() error {
		r, err := messages.Exchange(ctx, access.Broker(from), access.Broker(to), topic, run, count, time.Minute)
		fmt.Fprintf(n.detail(), "%d sent, %d acknowledged, %d received (%d twice) in %s\n", r.Sent, r.Acknowledged, r.Received, r.Duplicates, seconds(r.Took))
		return err
	})
	return err
}

// isIslands says whether the brokers of the cluster's version cannot form a cluster.
func isIslands(cluster *v1alpha1.RobustMQCluster) (bool, error) {
	version, err := robustmq.ParseVersion(cluster.Spec.Version)
	if err != nil {
		return false, err
	}
	return robustmq.Lookup(version).Tier == robustmq.TierIslands, nil
}

// report shows the end state as a user sees it, and what it was.
func report(ctx context.Context, s settings, n *narrator, k *live.Kubernetes, key client.ObjectKey, took time.Duration) error {
	out, err := k.Kubectl(ctx, nil, "get", "rmqc", "-n", key.Namespace)
	if err != nil {
		return err
	}
	var cluster v1alpha1.RobustMQCluster
	if err := k.Get(ctx, key, &cluster); err != nil {
		return err
	}
	events, err := k.Events(ctx, "RobustMQCluster", key, string(cluster.UID))
	if err != nil {
		return err
	}
	fmt.Fprintf(n.out, "\n$ kubectl get rmqc -n %s\n%s", key.Namespace, out)
	if cluster.Spec.Backup != nil {
		out, err := k.Kubectl(ctx, nil, "get", "rmqb", "-n", key.Namespace)
		if err != nil {
			return err
		}
		fmt.Fprintf(n.out, "\n$ kubectl get rmqb -n %s\n%s", key.Namespace, out)
		if out, err = k.Kubectl(ctx, nil, "get", "rmqr", "-n", key.Namespace); err != nil {
			return err
		}
		fmt.Fprintf(n.out, "\n$ kubectl get rmqr -n %s\n%s", key.Namespace, out)
	}
	fmt.Fprintln(n.out, "\nMembers")
	live.WriteMembers(n.out, &cluster)
	fmt.Fprintln(n.out, "\nConditions")
	live.WriteConditions(n.out, &cluster)
	fmt.Fprintln(n.out, "\nEvents, in order")
	live.WriteEvents(n.out, events)

	image, err := runningImage(ctx, k, key)
	if err != nil {
		return err
	}
	fmt.Fprintln(n.out)
	if strings.Contains(image, "simulator") {
		fmt.Fprintf(n.out, "This ran the SIMULATOR (%s), not RobustMQ: a program of this project with RobustMQ's outer behaviour.\n", image)
		fmt.Fprintln(n.out, "The real server:  ROBUSTMQ_BIN=path/to/broker-server make demo   (a binary on this machine)")
		fmt.Fprintln(n.out, "                  DEMO_CLUSTER=current make demo                 (your Kubernetes, published images)")
	} else {
		fmt.Fprintf(n.out, "This ran the image %s.\n", image)
	}
	if s.Current {
		fmt.Fprintf(n.out, "Look at it:       kubectl get rmqc,pods -n %s\n", key.Namespace)
		fmt.Fprintln(n.out, "Back it up:       name a bucket in spec.backup, then make a RobustMQBackup: config/samples/backup.yaml")
		fmt.Fprintln(n.out, "Remove it:        DEMO_CLUSTER=current make demo-down, then make uninstall")
	} else {
		fmt.Fprintf(n.out, "Look at it:       test/bed/bed kubectl get rmqc,pods -n %s\n", key.Namespace)
		fmt.Fprintln(n.out, "End it:           make demo-down")
	}
	fmt.Fprintf(n.out, "\nTotal %s: compiling %s, starting Kubernetes and loading images %s, operator, cluster, messages, backup and restore %s.\n",
		seconds(n.elapsed()), seconds(s.Compiling), seconds(n.elapsed()-took-s.Compiling), seconds(took))
	return nil
}

// runningImage is the image of the cluster's servers.
func runningImage(ctx context.Context, k *live.Kubernetes, key client.ObjectKey) (string, error) {
	var pods corev1.PodList
	if err := k.List(ctx, &pods, client.InNamespace(key.Namespace), client.MatchingLabels{v1alpha1.LabelCluster: key.Name}); err != nil {
		return "", fmt.Errorf("listing pods: %w", err)
	}
	for _, p := range pods.Items {
		if p.Labels[v1alpha1.LabelJob] != "" {
			continue // a Job of its backups
		}
		for _, c := range p.Spec.Containers {
			return c.Image, nil
		}
	}
	return "", errors.New("the cluster has no pods")
}
