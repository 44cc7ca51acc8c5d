package monitoring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	"github.com/robustmq/robustmq-operator/monitoring/alerts"
	"github.com/robustmq/robustmq-operator/monitoring/dashboards"
	"github.com/robustmq/robustmq-operator/test/apiserver"
)

const (
	patience          = 60 * time.Second
	operatorNamespace = "robustmq-operator-system"
	operatorUser      = "system:serviceaccount:" + operatorNamespace + ":robustmq-operator"
)

// world is an API server of its own without the kinds of monitoring, and whoever may do anything.
type world struct {
	client.Client
	t    *testing.T
	env  *envtest.Environment
	user *rest.Config // the operator's, without a right so far
}

// operator is one process of it.
type operator struct {
	reconciler *Reconciler
	record     *Record
	// writes are requests that change something, reads those for a single object or a list of one of our kinds.
	writes, reads atomic.Int64
	stop          func()
}

func scheme() *runtime.Scheme {
	s := apiserver.Scheme()
	if err := apiextensionsv1.AddToScheme(s); err != nil {
		panic(err)
	}
	return s
}

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

func newWorld(t *testing.T) *world {
	t.Helper()
	apiserver.Need(t)
	env := &envtest.Environment{ErrorIfCRDPathMissing: true, CRDDirectoryPaths: []string{"../../config/crd/robustmq.io_robustmqclusters.yaml"}}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Stop() })
	c, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	user, err := env.AddUser(envtest.User{Name: operatorUser, Groups: []string{"system:serviceaccounts"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Client: c, t: t, env: env, user: user.Config()}
	for _, name := range []string{operatorNamespace, "mqtt"} {
		if err := w.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// documents of a YAML file.
func documents(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []*unstructured.Unstructured
	for decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		u := &unstructured.Unstructured{}
		if err := decoder.Decode(u); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if u.Object != nil {
			all = append(all, u)
		}
	}
}

// grant gives the operator the rights of the installation's manifests whose names are not left out, and the reading of clusters.
func (w *world) grant(leftOut ...string) {
	w.t.Helper()
	for _, file := range []string{"clusters.yaml", "everywhere.yaml", "monitoring.yaml"} {
		for _, u := range documents(w.t, filepath.Join("../../config/rbac", file)) {
			named := false
			for _, name := range leftOut {
				named = named || u.GetName() == name
			}
			if named {
				continue
			}
			if err := w.Apply(w.t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("kubectl")); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// install brings a kind of monitoring.
func (w *world) install(kinds ...kind) {
	w.t.Helper()
	for _, k := range kinds {
		for _, u := range documents(w.t, filepath.Join("testdata", k.resource+".yaml")) {
			w.eventually("the definition of "+k.Kind+" is taken", func() error {
				again := u.DeepCopy()
				return w.Create(w.t.Context(), again)
			})
		}
	}
}

// uninstall removes it, with its objects.
func (w *world) uninstall(kinds ...kind) {
	w.t.Helper()
	for _, k := range kinds {
		if err := w.Delete(w.t.Context(), &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: k.definition()}}); err != nil {
			w.t.Fatal(err)
		}
		w.eventually("the definition of "+k.Kind+" is gone", func() error {
			var d apiextensionsv1.CustomResourceDefinition
			err := w.Get(w.t.Context(), client.ObjectKey{Name: k.definition()}, &d)
			if err == nil {
				return errors.New("it is there")
			}
			return client.IgnoreNotFound(err)
		})
	}
}

// counted counts the operator's requests.
type counted struct {
	next http.RoundTripper
	o    *operator
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case r.Method != http.MethodGet:
		c.o.writes.Add(1)
	case r.URL.Query().Get("watch") == "" && (strings.Contains(r.URL.Path, "/servicemonitors") || strings.Contains(r.URL.Path, "/prometheusrules")):
		c.o.reads.Add(1)
	}
	return c.next.RoundTrip(r)
}

func twoDashboards() ([]dashboards.Dashboard, error) {
	return []dashboards.Dashboard{{Name: "cluster", Title: "One", JSON: []byte(`{"uid":"one"}`)}, {Name: "mqtt", Title: "Two", JSON: []byte(`{"uid":"two"}`)}}, nil
}

// operate starts an operator that asks for everything again soon; it runs until it is stopped, or the test ends.
func (w *world) operate() *operator {
	w.t.Helper()
	return w.operateAt(Timings{LookAgain: 200 * time.Millisecond, Refused: 300 * time.Millisecond})
}

func (w *world) operateAt(timings Timings) *operator {
	w.t.Helper()
	o := &operator{record: NewRecord()}
	config := rest.CopyConfig(w.user)
	config.QPS = -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return counted{next, o} })
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, Logger: logr.Discard()})
	if err != nil {
		w.t.Fatal(err)
	}
	o.reconciler = &Reconciler{Rules: alerts.ForCluster, Record: o.record, Timings: timings}
	if err := o.reconciler.SetupWithManager(mgr, Options{Options: registration.Options{SkipNameValidation: true}}); err != nil {
		w.t.Fatal(err)
	}
	if err := (&Dashboards{Namespace: operatorNamespace, All: twoDashboards, Record: o.record, Timings: timings}).SetupWithManager(mgr, Options{Options: registration.Options{SkipNameValidation: true}}); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	o.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error("the operator ended with", err)
		}
	})
	w.t.Cleanup(o.stop)
	return o
}

// eventually waits until a condition holds.
func (w *world) eventually(what string, holds func() error) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-w.t.Context().Done():
			w.t.Fatal(what, w.t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (w *world) cluster(name string, change func(*v1alpha1.RobustMQCluster)) *v1alpha1.RobustMQCluster {
	w.t.Helper()
	c := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "mqtt", Name: name}}
	c.Spec.Version = "0.4.11"
	if change != nil {
		change(c)
	}
	c.Default()
	if err := w.Create(w.t.Context(), c); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// change a cluster's spec.
func (w *world) change(c *v1alpha1.RobustMQCluster, change func(*v1alpha1.RobustMQCluster)) {
	w.t.Helper()
	was := c.DeepCopy()
	change(c)
	if err := w.Patch(w.t.Context(), c, client.MergeFrom(was)); err != nil {
		w.t.Fatal(err)
	}
}

// says waits until a cluster's record has a reason, with a message of which all that holds is true, and returns that.
func (w *world) says(o *operator, c *v1alpha1.RobustMQCluster, reason string, holds ...func(message string) bool) string {
	w.t.Helper()
	var message string
	w.eventually("the condition of "+c.Name+" says "+reason, func() error {
		f, ok := o.record.Of(c)
		if !ok || f.Reason != reason || (f.Status == metav1.ConditionTrue) != (reason == v1alpha1.ReasonMonitored) {
			return fmt.Errorf("%t %+v", ok, f)
		}
		for _, does := range holds {
			if !does(f.Message) {
				return fmt.Errorf("it says %q", f.Message)
			}
		}
		message = f.Message
		return nil
	})
	return message
}

// object waits for one.
func (w *world) object(k kind, namespace, name string, holds func(*unstructured.Unstructured) error) *unstructured.Unstructured {
	w.t.Helper()
	var u *unstructured.Unstructured
	w.eventually(k.Kind+" "+name, func() error {
		u = &unstructured.Unstructured{}
		u.SetGroupVersionKind(k.GroupVersionKind)
		if err := w.Get(w.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, u); err != nil {
			return err
		}
		if holds == nil {
			return nil
		}
		return holds(u)
	})
	return u
}

// none waits until there is no object of a kind in a namespace.
func (w *world) none(k kind, namespace string) {
	w.t.Helper()
	w.eventually("no "+k.Kind, func() error {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(k.GroupVersionKind)
		if err := w.List(w.t.Context(), list, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelManaged: v1alpha1.ManagedBy}); err != nil {
			return err
		}
		if len(list.Items) > 0 {
			return fmt.Errorf("%s is there", list.Items[0].GetName())
		}
		return nil
	})
}

// edit does what somebody does by hand.
func (w *world) edit(u *unstructured.Unstructured, patch string, to ...client.SubResourcePatchOption) {
	w.t.Helper()
	raw := client.RawPatch("application/merge-patch+json", []byte(patch))
	var err error
	if len(to) > 0 {
		err = w.Status().Patch(w.t.Context(), u.DeepCopy(), raw, to...)
	} else {
		err = w.Patch(w.t.Context(), u.DeepCopy(), raw)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
