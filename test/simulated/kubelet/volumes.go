package kubelet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// mount makes the folders of every volume. The error is what the kubelet would say; nothing is started before it is gone.
func (w *worker) mount() error {
	pod := w.current()
	for _, v := range pod.Spec.Volumes {
		dir := w.volumeDir(v)
		switch {
		case v.PersistentVolumeClaim != nil, v.EmptyDir != nil:
			if err := os.MkdirAll(dir, 0o770); err != nil {
				return err
			}
			if v.PersistentVolumeClaim != nil {
				if err := w.writable(dir); err != nil {
					return err
				}
			}
		default:
			files, err := w.payload(pod, v)
			if err != nil {
				return fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", v.Name, err)
			}
			if err := w.project(dir, files); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *worker) volumeDir(v corev1.Volume) string {
	if v.PersistentVolumeClaim != nil {
		return w.k.ClaimDir(w.claimsOf()[v.Name])
	}
	return filepath.Join(w.dir(), "volumes", v.Name)
}

func (w *worker) dir() string { return filepath.Join(w.k.Dir, "pods", string(w.uid)) }

// root lays a container's mounts under one folder and returns it.
func (w *worker) root(c *corev1.Container) (string, error) {
	root := filepath.Join(w.dir(), "containers", c.Name)
	pod := w.current()
	for _, m := range c.VolumeMounts {
		i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 {
			return "", fmt.Errorf("volume %q of container %s does not exist", m.Name, c.Name)
		}
		at := filepath.Join(root, m.MountPath)
		if err := os.MkdirAll(filepath.Dir(at), 0o770); err != nil {
			return "", err
		}
		if err := os.Symlink(filepath.Join(w.volumeDir(pod.Spec.Volumes[i]), m.SubPath), at); err != nil && !os.IsExist(err) {
			return "", err
		}
	}
	return root, nil
}

// payload is the content of a Secret, ConfigMap or projected volume: path -> bytes.
func (w *worker) payload(pod *corev1.Pod, v corev1.Volume) (map[string][]byte, error) {
	files := map[string][]byte{}
	switch {
	case v.Secret != nil:
		return files, w.secretFiles(pod.Namespace, v.Secret.SecretName, v.Secret.Items, v.Secret.Optional, files)
	case v.ConfigMap != nil:
		return files, w.configMapFiles(pod.Namespace, v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional, files)
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			var err error
			switch {
			case s.Secret != nil:
				err = w.secretFiles(pod.Namespace, s.Secret.Name, s.Secret.Items, s.Secret.Optional, files)
			case s.ConfigMap != nil:
				err = w.configMapFiles(pod.Namespace, s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional, files)
			default:
				err = fmt.Errorf("a projected source that is not simulated")
			}
			if err != nil {
				return nil, err
			}
		}
		return files, nil
	}
	return nil, fmt.Errorf("a kind of volume that is not simulated")
}

func (w *worker) secretFiles(namespace, name string, items []corev1.KeyToPath, optional *bool, into map[string][]byte) error {
	var secret corev1.Secret
	err := w.k.Client.Get(w.ctx, client.ObjectKey{Namespace: namespace, Name: name}, &secret)
	if apierrors.IsNotFound(err) {
		if optional != nil && *optional {
			return nil
		}
		return fmt.Errorf("secret %q not found", name)
	}
	if err != nil {
		return err
	}
	return choose(secret.Data, items, optional, into, "secret")
}

func (w *worker) configMapFiles(namespace, name string, items []corev1.KeyToPath, optional *bool, into map[string][]byte) error {
	var configMap corev1.ConfigMap
	err := w.k.Client.Get(w.ctx, client.ObjectKey{Namespace: namespace, Name: name}, &configMap)
	if apierrors.IsNotFound(err) {
		if optional != nil && *optional {
			return nil
		}
		return fmt.Errorf("configmap %q not found", name)
	}
	if err != nil {
		return err
	}
	data := maps.Clone(configMap.BinaryData)
	if data == nil {
		data = map[string][]byte{}
	}
	for key, text := range configMap.Data {
		data[key] = []byte(text)
	}
	return choose(data, items, optional, into, "config")
}

func choose(data map[string][]byte, items []corev1.KeyToPath, optional *bool, into map[string][]byte, kind string) error {
	if items == nil {
		maps.Copy(into, data)
		return nil
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok && (optional == nil || !*optional) {
			return fmt.Errorf("references non-existent %s key: %s", kind, item.Key)
		}
		if ok {
			into[item.Path] = value
		}
	}
	return nil
}

// project writes files as the kubelet's atomic writer does: a new folder, then one rename of the link ..data, so that a reader sees all of them old or all of them new.
func (w *worker) project(dir string, files map[string][]byte) error {
	hash := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(hash, "%s\x00%d\x00", path, len(files[path]))
		hash.Write(files[path])
	}
	version := "..v" + hex.EncodeToString(hash.Sum(nil))[:16]
	if now, err := os.Readlink(filepath.Join(dir, "..data")); err == nil && now == version {
		return nil
	}
	for path, content := range files {
		full := filepath.Join(dir, version, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, content, 0o440); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, version), 0o755); err != nil {
		return err
	}
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		return err
	}
	for path := range files {
		top, _, _ := strings.Cut(path, "/")
		if err := os.Symlink(filepath.Join("..data", top), filepath.Join(dir, top)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(dir, old))
	}
	return nil
}

// refresh brings changed Secrets into the mounted volumes. A Secret that is gone leaves what is mounted, as in a real kubelet.
func (w *worker) refresh() {
	pod := w.current()
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil || v.EmptyDir != nil {
			continue
		}
		if files, err := w.payload(pod, v); err == nil {
			if err := w.project(w.volumeDir(v), files); err != nil {
				w.k.Trouble("kubelet: refresh volume %s of %s: %v", v.Name, pod.Name, err)
			}
		}
	}
}
