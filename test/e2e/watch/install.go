package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// Group of the kinds of the Prometheus operator.
const Group = "monitoring.coreos.com"

// Namespace is where test/prometheus/install puts everything.
const Namespace = "monitoring"

// PrometheusPod is the pod that its operator makes of test/prometheus/install, and PrometheusPort where it answers.
var (
	PrometheusPod  = client.ObjectKey{Namespace: Namespace, Name: "prometheus-bed-0"}
	PrometheusPort = int32(9090)
)

const prometheusKinds = "prometheuses." + Group

// An Installation is a Prometheus with its operator; Kinds alone are what an operator needs that makes objects of them.
type Installation struct {
	*live.Kubernetes
	// Root of the repository.
	Root string
	// Kinds is the folder with the CustomResourceDefinitions (test/prometheus/kinds prints it).
	Kinds string
}

// NewInstallation reads $E2E_PROMETHEUS_KINDS, which `make e2e` sets: inside of a bed nothing can be downloaded.
func NewInstallation(k *live.Kubernetes, root string) (Installation, error) {
	kinds := os.Getenv("E2E_PROMETHEUS_KINDS")
	if kinds == "" {
		return Installation{}, errors.New("E2E_PROMETHEUS_KINDS must name the folder that test/prometheus/kinds prints")
	}
	return Installation{Kubernetes: k, Root: root, Kinds: kinds}, nil
}

// HasKinds reports whether any of the kinds is there.
func (i Installation) HasKinds(ctx context.Context) (bool, error) {
	names, err := i.kinds(ctx)
	return len(names) > 0, err
}

func (i Installation) kinds(ctx context.Context) ([]string, error) {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinitionList"))
	if err := i.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("looking for the kinds of Prometheus: %w", err)
	}
	var names []string
	for _, d := range list.Items {
		if strings.HasSuffix(d.Name, "."+Group) {
			names = append(names, d.Name)
		}
	}
	return names, nil
}

// AddKinds makes the kinds, all of them or those named (such as servicemonitors), and waits until the API server serves them.
func (i Installation) AddKinds(ctx context.Context, plural ...string) error {
	files := []string{i.Kinds}
	if len(plural) > 0 {
		files = nil
		for _, p := range plural {
			files = append(files, filepath.Join(i.Kinds, Group+"_"+p+".yaml"))
		}
	}
	args := []string{"apply", "--server-side", "--force-conflicts"}
	wait := []string{"wait", "--for=condition=Established", "--timeout=30s"}
	for _, f := range files {
		args, wait = append(args, "-f", f), append(wait, "-f", f)
	}
	if _, err := i.Kubectl(ctx, nil, args...); err != nil {
		return fmt.Errorf("adding the kinds of Prometheus: %w", err)
	}
	if _, err := i.Kubectl(ctx, nil, wait...); err != nil {
		return fmt.Errorf("adding the kinds of Prometheus: %w", err)
	}
	return nil
}

// RemoveKinds removes all kinds, and with them every object of theirs.
func (i Installation) RemoveKinds(ctx context.Context) error {
	names, err := i.kinds(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		d := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name}}
		d.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
		if err := i.Delete(ctx, d); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("removing the kinds of Prometheus: %w", err)
		}
	}
	return live.Until(ctx, "the kinds of Prometheus are gone", 250*time.Millisecond, time.Minute, func(ctx context.Context) (bool, string, error) {
		left, err := i.kinds(ctx)
		return len(left) == 0, strings.Join(left, ", "), err
	})
}

// Start installs the kinds, Prometheus' operator and a Prometheus of its making, and waits until that one answers.
func (i Installation) Start(ctx context.Context, timeout time.Duration) (*Prometheus, error) {
	if err := i.AddKinds(ctx); err != nil {
		return nil, err
	}
	if _, err := i.Kubectl(ctx, nil, "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(i.Root, "test/prometheus/install")); err != nil {
		return nil, fmt.Errorf("installing Prometheus: %w", err)
	}
	p, err := i.Prometheus()
	if err != nil {
		return nil, err
	}
	return p, live.Until(ctx, "Prometheus answers", 500*time.Millisecond, timeout, func(ctx context.Context) (bool, string, error) {
		_, err := p.Value(ctx, "vector(1)")
		return err == nil, fmt.Sprintf("%v; %s", err, i.pods(ctx)), nil
	})
}

// pods says how those of Prometheus are.
func (i Installation) pods(ctx context.Context) string {
	var list corev1.PodList
	if err := i.List(ctx, &list, client.InNamespace(Namespace)); err != nil {
		return err.Error()
	}
	lines := make([]string, 0, len(list.Items))
	for _, p := range list.Items {
		lines = append(lines, live.PodLine(&p))
	}
	return strings.Join(lines, "; ")
}

// Node that Prometheus runs on: who cuts its power takes the witness away.
func (i Installation) Node(ctx context.Context) (string, error) {
	var p corev1.Pod
	if err := i.Get(ctx, PrometheusPod, &p); err != nil {
		return "", fmt.Errorf("where is Prometheus: %w", err)
	}
	return p.Spec.NodeName, nil
}

// Stop removes all of it, the kinds last, whose objects go with them.
func (i Installation) Stop(ctx context.Context) error {
	// The StatefulSet is the operator's work, which must live to take it away.
	if _, err := i.Kubectl(ctx, nil, "delete", prometheusKinds, "--all", "-n", Namespace, "--ignore-not-found", "--timeout=60s"); err != nil {
		return fmt.Errorf("removing Prometheus: %w", err)
	}
	if _, err := i.Kubectl(ctx, nil, "delete", "--ignore-not-found", "--timeout=120s", "-k", filepath.Join(i.Root, "test/prometheus/install")); err != nil {
		return fmt.Errorf("removing Prometheus: %w", err)
	}
	return i.RemoveKinds(ctx)
}
