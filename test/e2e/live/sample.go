package live

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// ReadCluster reads a manifest with one RobustMQCluster, strictly: a field that does not exist is an error.
func ReadCluster(path string) (*v1alpha1.RobustMQCluster, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var cluster v1alpha1.RobustMQCluster
	if err := yaml.UnmarshalStrict(data, &cluster); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if cluster.Kind != "RobustMQCluster" {
		return nil, fmt.Errorf("%s holds a %q: one RobustMQCluster is wanted", path, cluster.Kind)
	}
	return &cluster, nil
}
