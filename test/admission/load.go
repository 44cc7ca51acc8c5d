package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Load is dry-run creates, changes and scalings of a custom resource at a steady rate, whatever the answers take: a slow answer delays no other request, and its wait counts.
// What is sent was made before, and of the answers nothing but the code is read, so that the load costs the machine that it shares with the API server little.
type Load struct {
	client              rest.Interface
	namespace, resource string
	stored              *unstructured.Unstructured
	create, scale       []byte
}

const storedName = "stored"

// NewLoad makes a namespace with the cluster of the quickstart, which the requests are about.
func (w *World) NewLoad(ctx context.Context) (*Load, error) {
	text, err := os.ReadFile(filepath.Join(w.root, "config", "samples", "quickstart.yaml"))
	if err != nil {
		return nil, err
	}
	sample := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &sample.Object); err != nil {
		return nil, err
	}
	return w.newLoad(ctx, "robustmqclusters", sample)
}

// newLoad makes one about a custom resource with the content of the sample.
func (w *World) newLoad(ctx context.Context, resource string, sample *unstructured.Unstructured) (*Load, error) {
	gv := sample.GroupVersionKind().GroupVersion()
	config := rest.CopyConfig(w.Config)
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{}
	admin, err := client.New(config, client.Options{})
	if err != nil {
		return nil, err
	}
	config.APIPath, config.GroupVersion, config.NegotiatedSerializer = "/apis", &gv, unstructuredscheme.NewUnstructuredNegotiatedSerializer()
	c, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "load-"}}
	if err := w.Client.Create(ctx, ns); err != nil {
		return nil, err
	}
	l := &Load{client: c, namespace: ns.Name, resource: resource, stored: sample.DeepCopy()}
	sample = sample.DeepCopy()
	sample.SetNamespace(ns.Name)
	sample.SetName("new")
	if l.create, err = sample.MarshalJSON(); err != nil {
		return nil, err
	}
	l.stored.SetNamespace(ns.Name)
	l.stored.SetName(storedName)
	if err := admin.Create(ctx, l.stored); err != nil {
		return nil, fmt.Errorf("the %s that is changed: %w", sample.GetKind(), err)
	}
	l.scale, err = json.Marshal(autoscalingv1.Scale{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v1", Kind: "Scale"},
		ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: storedName}, Spec: autoscalingv1.ScaleSpec{Replicas: 17},
	})
	return l, err
}

// ask makes the n-th: of four one creates, two change and one scales.
func (l *Load) ask(ctx context.Context, n int) error {
	var r *rest.Request
	switch n % 4 {
	case 0:
		r = l.client.Post().Body(l.create).SetHeader("Content-Type", "application/json")
	case 1, 2:
		r = l.client.Patch(types.MergePatchType).Name(storedName).Body(fmt.Appendf(nil, `{"spec":{"mqttBroker":{"replicas":%d}}}`, 10+n%50))
	default:
		r = l.client.Put().Name(storedName).SubResource("scale").Body(l.scale).SetHeader("Content-Type", "application/json")
	}
	return r.Namespace(l.namespace).Resource(l.resource).Param("dryRun", metav1.DryRunAll).Do(ctx).Error()
}

// Report is what came of a load.
type Report struct {
	Requests, Failed int
	// Failures are some of the errors, with their counts.
	Failures map[string]int
	// Windows are the requests' times, from when each was due until its answer, sorted, in equal parts of the load's time.
	Windows [][]time.Duration
}

// Quantile of all windows: the median of what each has. A neighbour that takes the machine for a second spoils one window.
func (r Report) Quantile(q float64) time.Duration {
	var each []time.Duration
	for _, w := range r.Windows {
		if len(w) > 0 {
			each = append(each, quantile(w, q))
		}
	}
	slices.Sort(each)
	return quantile(each, 0.5)
}

// Overall is the quantile of all requests together.
func (r Report) Overall(q float64) time.Duration {
	all := slices.Concat(r.Windows...)
	slices.Sort(all)
	return quantile(all, q)
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Asker makes the n-th of many requests.
type Asker interface {
	ask(ctx context.Context, n int) error
}

// Run sends rate requests a second until the time is over or the context ends. Each may take 10 s.
func Run(ctx context.Context, a Asker, rate int, lasting time.Duration, windows int) Report {
	total := int(lasting.Seconds() * float64(rate))
	r := Report{Failures: map[string]int{}, Windows: make([][]time.Duration, windows)}
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := time.Now()
	for n := range total {
		due := begin.Add(time.Duration(n) * time.Second / time.Duration(rate))
		if !until(ctx, due) {
			break
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			err := a.ask(ctx, n)
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			r.Requests++
			r.Windows[n*windows/total] = append(r.Windows[n*windows/total], took)
			if err == nil {
				return
			}
			r.Failed++
			if text := err.Error(); len(r.Failures) < 10 || r.Failures[text] > 0 {
				r.Failures[text]++
			}
		})
	}
	all.Wait()
	for _, w := range r.Windows {
		slices.Sort(w)
	}
	return r
}

// until waits for a moment; false: the context ended before.
func until(ctx context.Context, due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Err is an error when requests failed.
func (r Report) Err() error {
	if r.Failed == 0 {
		return nil
	}
	errs := []error{fmt.Errorf("%d of %d requests failed", r.Failed, r.Requests)}
	for _, text := range slices.Sorted(maps.Keys(r.Failures)) {
		errs = append(errs, fmt.Errorf("%d times: %s", r.Failures[text], text))
	}
	return errors.Join(errs...)
}
