package live

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Install says how the operator is installed: by `make install`, out of a folder of config/.
type Install struct {
	// Root of the repository.
	Root string
	// Config is the folder with the kustomization, relative to Root: config/default, or config/bed for images that were loaded and not pulled.
	Config string
	// Archives of the images that were loaded: other content rolls the operator out again, although the tag is the same.
	Archives []string
	// Args are more arguments of the operator; they win over those of the folder.
	Args []string
	// Components are folders with kustomize components that are put upon Config, relative to Root.
	Components []string
	// Out takes what make and kubectl print.
	Out io.Writer
}

// OperatorDeployment is the operator's name in OperatorNamespace.
const OperatorDeployment = "robustmq-operator"

// Install applies the manifests and waits until every replica of the operator is available; a replica is ready once it serves its webhooks.
func (k *Kubernetes) Install(ctx context.Context, in Install, timeout time.Duration) error {
	config, err := in.overlay()
	if err != nil {
		return err
	}
	if config != in.Config {
		defer os.RemoveAll(config) //nolint:errcheck // a small folder below the temporary ones
	}
	cmd := exec.CommandContext(ctx, "make", "-C", in.Root, "--no-print-directory", "install", "CONFIG="+config, "KUBECTL="+k.KubectlCommand)
	cmd.Stdout, cmd.Stderr = in.Out, in.Out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make install CONFIG=%s: %w", in.Config, err)
	}
	return Until(ctx, "operator available", 500*time.Millisecond, timeout, func(ctx context.Context) (bool, string, error) {
		var d appsv1.Deployment
		if err := k.Get(ctx, client.ObjectKey{Namespace: OperatorNamespace, Name: OperatorDeployment}, &d); err != nil {
			return false, err.Error(), nil
		}
		want := int32(1)
		if d.Spec.Replicas != nil {
			want = *d.Spec.Replicas
		}
		s := d.Status
		ok := s.ObservedGeneration == d.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want && s.Replicas == want
		return ok, fmt.Sprintf("%d of %d replicas available", s.AvailableReplicas, want), nil
	})
}

// overlay returns the folder to install: Config itself, or a kustomization upon it that adds what differs. kustomize wants relative paths.
func (in Install) overlay() (string, error) {
	if len(in.Archives) == 0 && len(in.Args) == 0 && len(in.Components) == 0 {
		return in.Config, nil
	}
	content, err := Fingerprint(in.Archives)
	if err != nil {
		return "", err
	}
	deployment := map[string]any{"group": "apps", "kind": "Deployment", "name": OperatorDeployment}
	annotated, err := yaml.Marshal(map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": OperatorDeployment},
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]any{"robustmq.io/loaded-images": content}}}},
	})
	if err != nil {
		return "", err
	}
	patches := []map[string]any{{"target": deployment, "patch": string(annotated)}}
	for _, arg := range in.Args {
		added, err := yaml.Marshal([]map[string]any{{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": arg}})
		if err != nil {
			return "", err
		}
		patches = append(patches, map[string]any{"target": deployment, "patch": string(added)})
	}
	folder, err := os.MkdirTemp("", "robustmq-operator-install-")
	if err != nil {
		return "", err
	}
	root, err := filepath.Abs(in.Root)
	if err != nil {
		return "", err
	}
	// kustomize resolves symbolic links of its own folder before it goes up
	if folder, err = filepath.EvalSymlinks(folder); err != nil {
		return "", err
	}
	base, err := filepath.Rel(folder, filepath.Join(root, in.Config))
	if err != nil {
		return "", err
	}
	components := []string{}
	for _, c := range in.Components {
		upon, err := filepath.Rel(folder, filepath.Join(root, c))
		if err != nil {
			return "", err
		}
		components = append(components, upon)
	}
	kustomization, err := yaml.Marshal(map[string]any{
		"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
		"resources": []string{base}, "components": components, "patches": patches,
	})
	if err != nil {
		return "", err
	}
	return folder, os.WriteFile(filepath.Join(folder, "kustomization.yaml"), kustomization, 0o600)
}

// Fingerprint of files such as image archives: it changes with their content, not with the tags in it.
func Fingerprint(files []string) (string, error) {
	h := sha256.New()
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", name, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// Uninstall is `make uninstall` of what Install installed. It refuses while there are clusters.
func Uninstall(ctx context.Context, in Install, kubectl string) error {
	out, err := exec.CommandContext(ctx, "make", "-C", in.Root, "--no-print-directory", "uninstall", "CONFIG="+in.Config, "KUBECTL="+kubectl).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make uninstall: %w: %s", err, out)
	}
	return nil
}
