package kubelet

import (
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// maxLastWords is how much of a termination message a kubelet keeps.
const maxLastWords = 4096

func lastWordsFile(root string, c *corev1.Container) string {
	path := c.TerminationMessagePath
	if path == "" {
		path = corev1.TerminationMessagePathDefault
	}
	return filepath.Join(root, path)
}

// makeLastWords makes the empty file that a container may leave its termination message in.
func makeLastWords(root string, c *corev1.Container) error {
	file := lastWordsFile(root, c)
	if err := os.MkdirAll(filepath.Dir(file), 0o770); err != nil {
		return err
	}
	return os.WriteFile(file, nil, 0o666) //nolint:gosec // as the kubelet makes it: the container's user is anybody
}

// lastWords is what a container that ended left there.
func lastWords(root string, c *corev1.Container) string {
	text, err := os.ReadFile(lastWordsFile(root, c))
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(string(text[:min(len(text), maxLastWords)]), "?")
}
