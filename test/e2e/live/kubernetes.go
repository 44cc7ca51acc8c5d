package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Kubernetes is the cluster of the current context.
type Kubernetes struct {
	client.Client
	Config *rest.Config
	// Context is the name of the kubectl context.
	Context string
	// Direct: pod addresses can be dialled from here (inside `bed exec`). Elsewhere connections to pods go through the API server.
	Direct bool
	// Kubectl is the command to call; "kubectl" unless $KUBECTL says otherwise.
	KubectlCommand string

	clients kubernetes.Interface
	// addresses of pods, by client.ObjectKey, as they were a moment ago.
	addresses sync.Map
}

// Scheme knows the types that tests read and write.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(apiextensionsv1.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

// Connect uses $KUBECONFIG or ~/.kube/config, as kubectl does.
func Connect(direct bool) (*Kubernetes, error) {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst, config.UserAgent = 50, 100, "robustmq-operator-tests"
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	c, err := client.New(config, client.Options{Scheme: Scheme()})
	if err != nil {
		return nil, fmt.Errorf("connecting to Kubernetes at %s: %w", config.Host, err)
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to Kubernetes at %s: %w", config.Host, err)
	}
	command := os.Getenv("KUBECTL")
	if command == "" {
		command = "kubectl"
	}
	return &Kubernetes{Client: c, Config: config, Context: raw.CurrentContext, Direct: direct, KubectlCommand: command, clients: clients}, nil
}

// Kubectl runs kubectl and returns its standard output; stdin may be nil. Its standard error is part of the error, and printed nowhere: warnings of admission
// are returned by KubectlAll.
func (k *Kubernetes) Kubectl(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	out, _, err := k.KubectlAll(ctx, stdin, args...)
	return out, err
}

// KubectlAll is Kubectl that returns standard error too.
func (k *Kubernetes) KubectlAll(ctx context.Context, stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, k.KubectlCommand, args...)
	var out, bad bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &bad
	if err := cmd.Run(); err != nil {
		return out.String(), bad.String(), &KubectlError{Args: args, Stderr: strings.TrimSpace(bad.String()), Err: err}
	}
	return out.String(), bad.String(), nil
}

// KubectlError is a kubectl that ended with a code other than 0.
type KubectlError struct {
	Args   []string
	Stderr string
	Err    error
}

func (e *KubectlError) Error() string {
	return fmt.Sprintf("kubectl %s: %v: %s", strings.Join(e.Args, " "), e.Err, e.Stderr)
}

func (e *KubectlError) Unwrap() error { return e.Err }

// ExitCode is kubectl's, or -1 when it did not run. `kubectl diff` says 1 for a difference and more for a failure.
func (e *KubectlError) ExitCode() int {
	var exit *exec.ExitError
	if errors.As(e.Err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
