package admission

import (
	"context"
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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/test/apiserver"
)

// Load is dry-run creates, updates and scalings of a cluster at a steady rate, whatever the answers take: a slow answer delays no other request, and its wait counts.
type Load struct {
	client client.Client
	sample *unstructured.Unstructured
	stored *unstructured.Unstructured
}

// NewLoad makes a namespace with one cluster that the requests are about.
func (w *World) NewLoad(ctx context.Context) (*Load, error) {
	config := rest.CopyConfig(w.Config)
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{}
	c, err := client.New(config, client.Options{Scheme: apiserver.Scheme()})
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(w.root, "config", "samples", "quickstart.yaml"))
	if err != nil {
		return nil, err
	}
	l := &Load{client: c, sample: &unstructured.Unstructured{}}
	if err := yaml.Unmarshal(text, &l.sample.Object); err != nil {
		return nil, err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "load-"}}
	if err := c.Create(ctx, ns); err != nil {
		return nil, err
	}
	l.sample.SetNamespace(ns.Name)
	l.stored = l.sample.DeepCopy()
	l.stored.SetName("stored")
	if err := c.Create(ctx, l.stored); err != nil {
		return nil, fmt.Errorf("the cluster that is changed: %w", err)
	}
	return l, nil
}

// request is the n-th: of four one creates, two change and one scales.
func (l *Load) request(ctx context.Context, n int) error {
	switch n % 4 {
	case 0:
		u := l.sample.DeepCopy()
		u.SetName(fmt.Sprintf("c-%d", n))
		return l.client.Create(ctx, u, client.DryRunAll)
	case 1, 2:
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(l.stored.GroupVersionKind())
		u.SetNamespace(l.stored.GetNamespace())
		u.SetName(l.stored.GetName())
		return l.client.Patch(ctx, u, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"mqttBroker":{"replicas":%d}}}`, 10+n%50)), client.DryRunAll)
	default:
		scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: int32(10 + n%50)}}
		return l.client.SubResource("scale").Update(ctx, l.stored.DeepCopy(), client.WithSubResourceBody(scale), &client.SubResourceUpdateOptions{UpdateOptions: client.UpdateOptions{DryRun: []string{metav1.DryRunAll}}})
	}
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

func (l *Load) ask(ctx context.Context, n int) error { return l.request(ctx, n) }

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
