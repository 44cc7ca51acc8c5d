package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// What config/default calls the operator.
const (
	// OperatorNamespace is where the operator lives; Start makes it.
	OperatorNamespace = "robustmq-operator-system"
	// OperatorUser is how the API server knows the operator's pod: the webhooks are not asked about what it writes.
	OperatorUser = "system:serviceaccount:robustmq-operator-system:robustmq-operator"
	// WebhookService is the Service in front of the webhooks.
	WebhookService = "robustmq-operator-webhook"
)

// assets is the variable that names the folder with kube-apiserver, etcd and kubectl.
const assets = "KUBEBUILDER_ASSETS"

// Need skips a test where there is no API server to start.
func Need(t testing.TB) {
	t.Helper()
	if os.Getenv(assets) == "" {
		t.Skip(assets + " does not name a folder with kube-apiserver, etcd and kubectl: `test/bed/bed assets` prints one")
	}
}

// Server is a kube-apiserver with its etcd. Nothing but an API: no controller, no scheduler and no kubelet.
type Server struct {
	// Config is an administrator's: the webhooks judge what he does. It limits no rate.
	Config *rest.Config
	Client client.Client
	// Dir is removed by Stop.
	Dir string

	root, kubeconfig string
	api              *envtest.Environment
}

// Start brings one up with the definitions of the repository at root; configure may change its flags, nil leaves them. Stop has to be called, unless there is an error.
func Start(ctx context.Context, root string, configure func(*envtest.APIServer)) (_ *Server, err error) {
	s := &Server{root: root, api: &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join(root, "config", "crd")}, ErrorIfCRDPathMissing: true}}
	if configure != nil {
		configure(s.api.ControlPlane.GetAPIServer())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	if s.Dir, err = os.MkdirTemp("", "robustmq-apiserver-"); err != nil {
		return nil, err
	}
	if s.Config, err = s.api.Start(); err != nil {
		return nil, fmt.Errorf("starting the API server: %w", err)
	}
	s.Config.QPS = -1
	s.Config.DisableCompression = true // loopback
	if s.Client, err = client.New(s.Config, client.Options{Scheme: Scheme()}); err != nil {
		return nil, err
	}
	if err := s.writeKubeconfig(); err != nil {
		return nil, err
	}
	return s, s.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: OperatorNamespace}})
}

// Stop ends it and forgets everything. Whoever talks to it should have ended before.
func (s *Server) Stop() error {
	return errors.Join(s.api.Stop(), os.RemoveAll(s.Dir))
}

func (s *Server) writeKubeconfig() error {
	user, err := s.api.AddUser(envtest.User{Name: "test", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return err
	}
	text, err := user.KubeConfig()
	if err != nil {
		return err
	}
	s.kubeconfig = filepath.Join(s.Dir, "kubeconfig")
	return os.WriteFile(s.kubeconfig, text, 0o600)
}

// User is somebody with the rights of the groups.
func (s *Server) User(name string, groups ...string) (*rest.Config, error) {
	user, err := s.api.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	return user.Config(), nil
}

// Kubectl runs kubectl as an administrator, and returns what it printed.
func (s *Server) Kubectl(ctx context.Context, namespace, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv(assets), "kubectl"), append([]string{"--kubeconfig", s.kubeconfig, "--namespace", namespace}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Scheme knows Kubernetes' own kinds and ours.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // the types are the program's own
		}
	}
	return s
}
