package scale

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/apiserver"
	"github.com/robustmq/robustmq-operator/test/simulated/kube"
)

// The shape of every cluster.
const (
	members = 3
	brokers = 3
	// Pods of a cluster.
	Pods = members + brokers
	// clustersANamespace is how many share one.
	clustersANamespace = 50
)

// World is an API server with the operator's program beside it, simulated controllers of Kubernetes, and simulated kubelets and agents.
type World struct {
	Operator *Operator

	api      *apiserver.Server
	audit    *audit
	agents   *agents
	kubelets *kubelets
	kube     *kube.ControlPlane
	// stop ends everything but the API server and the operator.
	stop  context.CancelFunc
	ready readiness
}

// Start brings up a world for n clusters. Stop has to be called, unless there is an error.
func Start(ctx context.Context, root, program string, n int, flags ...string) (_ *World, err error) {
	w := &World{ready: readiness{now: map[types.NamespacedName]string{}}}
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Stop())
		}
	}()
	dir, err := os.MkdirTemp("", "robustmq-audit-")
	if err != nil {
		return nil, err
	}
	var policy string
	if w.audit, policy, err = newAudit(dir); err != nil {
		return nil, err
	}
	err = withMemory(func() (err error) {
		w.api, err = apiserver.Start(ctx, root, func(s *envtest.APIServer) {
			s.Configure().Set("audit-policy-file", policy).Set("audit-log-path", w.audit.path).Set("audit-log-mode", "blocking").
				Set("service-cluster-ip-range", "10.64.0.0/16") // envtest's own has 254 addresses, and every cluster takes one
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	w.agents = newAgents()
	controllers, err := w.controllers(ctx)
	if err != nil {
		return nil, err
	}
	if w.kube, err = kube.Start(ctx, controllers); err != nil {
		return nil, err
	}
	if w.kubelets, err = startKubelets(ctx, w.api.Client, w.kube.Client, w.agents, n*Pods); err != nil {
		return nil, err
	}
	if err := w.ready.watch(ctx, w.api.Config); err != nil {
		return nil, err
	}
	kubeconfig, err := w.account(ctx, root)
	if err != nil {
		return nil, err
	}
	w.Operator, err = startOperator(program, w.api.Dir, kubeconfig, flags...)
	return w, err
}

// environmentGarbage is how much garbage what is not measured may have, in percent of what lives there: it shares the processors with the operator, and memory is there.
const environmentGarbage = 300

// withMemory has start begin processes that collect their garbage rarely, and this process do so, too: the API server, etcd, and what is simulated. The operator keeps its own measure.
func withMemory(start func() error) error {
	const variable = "GOGC"
	debug.SetGCPercent(environmentGarbage)
	before, given := os.LookupEnv(variable)
	if err := os.Setenv(variable, strconv.Itoa(environmentGarbage)); err != nil {
		return err
	}
	err := start()
	if given {
		return errors.Join(err, os.Setenv(variable, before))
	}
	return errors.Join(err, os.Unsetenv(variable))
}

// account gives the operator the account and the rights that it is installed with, and returns its kubeconfig: with a token, as its pod has one.
func (w *World) account(ctx context.Context, root string) (string, error) {
	if err := apiserver.EachDocument(filepath.Join(root, "config", "rbac"), func(u *unstructured.Unstructured) error { return w.api.Client.Create(ctx, u) }); err != nil {
		return "", fmt.Errorf("the operator's rights: %w", err)
	}
	token, err := w.token(ctx, apiserver.OperatorNamespace, strings.TrimPrefix(apiserver.OperatorUser, "system:serviceaccount:"+apiserver.OperatorNamespace+":"))
	if err != nil {
		return "", err
	}
	path := filepath.Join(w.api.Dir, "operator.kubeconfig")
	return path, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:  map[string]*clientcmdapi.Cluster{"scale": {Server: serverOf(w.api.Config), CertificateAuthorityData: w.api.Config.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{"operator": {Token: token}},
		Contexts:  map[string]*clientcmdapi.Context{"scale": {Cluster: "scale", AuthInfo: "operator"}}, CurrentContext: "scale",
	}, path)
}

// controllers is how the simulated controllers reach the API server: with the token of an account that may do everything.
func (w *World) controllers(ctx context.Context) (*rest.Config, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "simulated-controllers"}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: account.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
	}
	for _, o := range []client.Object{account, binding} {
		if err := w.api.Client.Create(ctx, o); err != nil {
			return nil, fmt.Errorf("the simulated controllers' rights: %w", err)
		}
	}
	token, err := w.token(ctx, account.Namespace, account.Name)
	return &rest.Config{Host: serverOf(w.api.Config), TLSClientConfig: rest.TLSClientConfig{CAData: w.api.Config.CAData}, BearerToken: token}, err
}

// token makes one for an account, as pods have them. A client's certificate would be checked anew at each request.
func (w *World) token(ctx context.Context, namespace, name string) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(tokenLasts / time.Second))}}
	if err := w.api.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("a token for %s/%s: %w", namespace, name, err)
	}
	return request.Status.Token, nil
}

// tokenLasts is longer than any measurement.
const tokenLasts = 4 * time.Hour

func serverOf(config *rest.Config) string {
	if strings.Contains(config.Host, "://") {
		return config.Host
	}
	return "https://" + config.Host
}

// Stop ends it and forgets everything.
func (w *World) Stop() error {
	var errs []error
	if w.Operator != nil {
		errs = append(errs, w.Operator.Stop())
	}
	w.stop()
	if w.agents != nil {
		errs = append(errs, w.agents.close())
	}
	if w.api != nil {
		errs = append(errs, w.api.Stop())
	}
	if w.audit != nil {
		errs = append(errs, os.RemoveAll(filepath.Dir(w.audit.path)))
	}
	return errors.Join(errs...)
}

// Create makes n clusters of three members and three brokers.
func (w *World) Create(ctx context.Context, n int) error {
	for i := range n {
		namespace := fmt.Sprintf("scale-%d", i/clustersANamespace)
		if i%clustersANamespace == 0 {
			w.kube.Add(namespace, &kube.Namespace{Pods: w.kubelets.saw, Gone: func(types.UID) {}, Changed: func() {}})
			if err := w.api.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
				return err
			}
		}
		c := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("c%d", i)}}
		c.Spec.Version = "0.4.11"
		c.Spec.PlacementCenter.Replicas, c.Spec.MQTTBroker.Replicas = members, brokers
		if err := w.api.Client.Create(ctx, c); err != nil {
			return fmt.Errorf("cluster %d: %w", i, err)
		}
	}
	return nil
}

// Ready is how many clusters are.
func (w *World) Ready() int { return w.ready.count() }

// NotReady is one of the clusters that are not, and why.
func (w *World) NotReady() string { return w.ready.example() }

// Wrong says what went wrong in what is simulated, and which orders of the operator would have harmed a cluster.
func (w *World) Wrong() error {
	errs := w.kubelets.troubles()
	for _, m := range w.agents.mistakes.all() {
		errs = append(errs, errors.New(m))
	}
	return errors.Join(errs...)
}

// Writes are the operator's writes now the last call, but for those of its lease.
func (w *World) Writes() ([]Write, error) { return w.audit.next() }

// AddSecrets makes n Secrets of somebody else, each of size bytes.
func (w *World) AddSecrets(ctx context.Context, n, size int) error {
	const namespace = "others"
	if err := w.api.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	for i := range n {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("other-%d", i)}, Data: map[string][]byte{"data": make([]byte, size)}}
		if err := w.api.Client.Create(ctx, secret); err != nil {
			return fmt.Errorf("making Secret %d: %w", i, err)
		}
	}
	return nil
}

// StopControllers ends the simulated controllers of Kubernetes, which hold what they watch in this process's memory. Pods and agents go on.
func (w *World) StopControllers() { w.stop() }

// readiness follows the conditions of all clusters.
type readiness struct {
	mu  sync.Mutex
	now map[types.NamespacedName]string // why not yet; "": it is
}

func (r *readiness) watch(ctx context.Context, config *rest.Config) error {
	clusters, err := cache.New(config, cache.Options{Scheme: apiserver.Scheme(), DefaultTransform: func(object any) (any, error) {
		if c, ok := object.(*v1alpha1.RobustMQCluster); ok {
			c.Spec, c.ManagedFields, c.Status.Members = v1alpha1.RobustMQClusterSpec{}, nil, nil
		}
		return object, nil
	}})
	if err != nil {
		return err
	}
	go func() { _ = clusters.Start(ctx) }()
	informer, err := clusters.GetInformer(ctx, &v1alpha1.RobustMQCluster{})
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{UpdateFunc: func(_, now any) { r.saw(now.(*v1alpha1.RobustMQCluster)) }})
	return err
}

func (r *readiness) saw(c *v1alpha1.RobustMQCluster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	why := "no condition yet"
	if ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady); ready != nil && ready.Status == metav1.ConditionTrue {
		why = ""
	} else if ready != nil {
		why = ready.Reason + ": " + ready.Message
	}
	r.now[client.ObjectKeyFromObject(c)] = why
}

func (r *readiness) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, why := range r.now {
		if why == "" {
			n++
		}
	}
	return n
}

// example is a cluster that is not ready, and why.
func (r *readiness) example() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, why := range r.now {
		if why != "" {
			return key.String() + ": " + why
		}
	}
	return "none was seen that is not"
}
