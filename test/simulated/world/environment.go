package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/kube"
)

// Environment is one control plane for all worlds of a test binary.
type Environment struct {
	Config *rest.Config
	Scheme *runtime.Scheme
	Client client.Client // reads past any cache
	Kube   *kube.ControlPlane

	dir      string
	api      *envtest.Environment
	operator *rest.Config // with the rights that the operator is installed with
	stop     context.CancelFunc
	counter  atomic.Int64
}

// StartEnvironment starts kube-apiserver and etcd with the CRDs and the operator's rights of the project's config folder, and the controllers that they lack.
func StartEnvironment(ctx context.Context, config string) (*Environment, error) {
	assets, err := assetsDir()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(fastDir(), "robustmq-simulated-")
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "etcd"), 0o700); err != nil {
		return nil, err
	}
	e := &Environment{dir: dir, api: &envtest.Environment{BinaryAssetsDirectory: assets, CRDDirectoryPaths: []string{filepath.Join(config, "crd")}, ErrorIfCRDPathMissing: true}}
	// Fairness would make one world wait for another; every world has its own limits in life.
	e.api.ControlPlane.Etcd = &envtest.Etcd{DataDir: filepath.Join(dir, "etcd")}
	e.api.ControlPlane.Etcd.Configure().Set("unsafe-no-fsync", "true")
	e.api.ControlPlane.GetAPIServer().Configure().Set("enable-priority-and-fairness", "false").Set("max-requests-inflight", "0").Set("max-mutating-requests-inflight", "0")
	if e.Config, err = e.api.Start(); err != nil {
		return nil, fmt.Errorf("start kube-apiserver and etcd from %s: %w", assets, err)
	}
	e.Config.QPS = -1
	e.Scheme = runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(e.Scheme); err != nil {
			return nil, err
		}
	}
	if e.Client, err = client.New(e.Config, client.Options{Scheme: e.Scheme}); err != nil {
		return nil, err
	}
	if err := e.grant(ctx, filepath.Join(config, "rbac")); err != nil {
		return nil, fmt.Errorf("the operator's rights: %w", err)
	}
	ctx, e.stop = context.WithCancel(ctx)
	if e.Kube, err = kube.Start(ctx, e.Config); err != nil {
		return nil, err
	}
	return e, nil
}

// Stop ends the control plane.
func (e *Environment) Stop() error {
	if e.stop != nil {
		e.stop()
	}
	return errors.Join(e.api.Stop(), os.RemoveAll(filepath.Join(e.dir, "etcd")), removeEmpty(e.dir))
}

// removeEmpty removes the folder unless worlds that failed left theirs in it.
func removeEmpty(dir string) error {
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		return err
	}
	return os.Remove(dir)
}

// fastDir is memory where there is some: dozens of servers that sync every write to one disk wait for the disk, and their time-outs are hurried.
func fastDir() string {
	if os.Getenv("TMPDIR") == "" {
		if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
			return "/dev/shm"
		}
	}
	return ""
}

// assetsDir finds kube-apiserver and etcd: where KUBEBUILDER_ASSETS says, else in the bed's cache.
func assetsDir() (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir, nil
	}
	cache := os.Getenv("BED_CACHE")
	if cache == "" {
		home, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(home, "robustmq-operator", "bed")
	}
	found, err := filepath.Glob(filepath.Join(cache, "bin-*", "kube-apiserver"))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no kube-apiserver: set KUBEBUILDER_ASSETS, or build the bed (make bed-build), which puts it under %s/bin-*", cache)
	}
	return filepath.Dir(found[len(found)-1]), nil
}
