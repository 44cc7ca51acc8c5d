package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	serverconfig "github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// AgentConfig is what the agents of one role are given. It fails only on a configuration value that is no JSON.
func AgentConfig(cluster *v1alpha1.RobustMQCluster, in Inputs, r v1alpha1.Role) (protocol.Config, error) {
	sections, err := sectionsOf(cluster.Spec.Config)
	if err != nil {
		return protocol.Config{}, err
	}
	row := roleOf(cluster, r)
	return protocol.Config{
		Cluster:       cluster.Name,
		Namespace:     cluster.Namespace,
		ClusterUID:    in.ClusterUID,
		Generation:    generationOf(in, r),
		Version:       cluster.Spec.Version,
		Role:          string(r),
		Members:       membersOf(cluster, in),
		BaseID:        row.Role.BaseNodeID(),
		HostSuffix:    hostSuffix(cluster, in, r),
		AgentsHost:    AgentsServiceName(cluster) + "." + cluster.Namespace + ".svc." + in.ClusterDomain,
		Islands:       in.Traits.Islands,
		Engines:       engines(cluster, in),
		Ports:         portsOf(cluster),
		Sections:      sections,
		WorkerThreads: workerThreads(row.Resources),
		DisableRelay:  in.DisableRelay,
	}, nil
}

// generationOf is the generation that the volumes of a role shall have: restores replace metadata, and brokers and journal servers have none.
func generationOf(in Inputs, r v1alpha1.Role) int64 {
	if r == v1alpha1.RolePlacementCenter {
		return in.Generation
	}
	return 1
}

// GivesGeneration is the generation of the data that a configuration Secret gives its servers; 0 when it gives none.
func GivesGeneration(secret *corev1.Secret) int64 {
	var given struct {
		Generation int64 `json:"generation"`
	}
	if json.Unmarshal(secret.Data[configKey], &given) != nil {
		return 0
	}
	return given.Generation
}

// GivesSettings reports whether a configuration Secret gives its servers exactly these keys and values of spec.config.
func GivesSettings(secret *corev1.Secret, settings v1alpha1.Config) bool {
	var given struct {
		Sections map[string]map[string]any `json:"sections"`
	}
	d := json.NewDecoder(bytes.NewReader(secret.Data[configKey]))
	d.UseNumber()
	if d.Decode(&given) != nil {
		return false
	}
	wanted, err := sectionsOf(settings)
	return err == nil && (len(wanted) == 0 && len(given.Sections) == 0 || reflect.DeepEqual(wanted, given.Sections))
}

// membersOf names every member from the first start on: one that does not run yet refuses or does not resolve, which is harmless, while a member that is missing from
// another's list can keep that one from starting at all.
func membersOf(cluster *v1alpha1.RobustMQCluster, in Inputs) []protocol.Member {
	row := roleOf(cluster, v1alpha1.RolePlacementCenter)
	members := make([]protocol.Member, 0, in.members(cluster))
	for o := range in.members(cluster) {
		members = append(members, protocol.Member{
			NodeID: row.Role.BaseNodeID() + uint64(o),
			Pod:    PodName(cluster, row.Role, o),
			Host:   PodHost(cluster, in, row.Role, o),
		})
	}
	return members
}

// engines counts the nodes that store messages when the cluster is formed. An island has only itself.
func engines(cluster *v1alpha1.RobustMQCluster, in Inputs) int32 {
	if in.Traits.Islands {
		return 1
	}
	var n int32
	for _, row := range cluster.Spec.Roles() {
		n += in.replicas(row)
	}
	return n
}

// workerThreads is one per CPU that the pod may use, and never too few.
func workerThreads(spec *v1alpha1.ResourcesSpec) int32 {
	limits := spec.Requirements().Limits
	cpu := limits.Cpu()
	return max(serverconfig.MinWorkerThreads, int32(min(cpu.Value(), 1<<10))) // Value rounds up
}

// sectionsOf decodes the values, keeping numbers as they were written: 64 bits do not fit a float.
func sectionsOf(config v1alpha1.Config) (map[string]map[string]any, error) {
	if len(config) == 0 {
		return nil, nil
	}
	sections := make(map[string]map[string]any, len(config))
	for section, keys := range config {
		sections[section] = make(map[string]any, len(keys))
		for key, value := range keys {
			d := json.NewDecoder(bytes.NewReader(value.Raw))
			d.UseNumber()
			var v any
			if err := d.Decode(&v); err != nil {
				return nil, fmt.Errorf("spec.config[%q][%q]: %w", section, key, err)
			}
			sections[section][key] = v
		}
	}
	return sections, nil
}

// ConfigSource is the hash by which a pod of a role says that it has this configuration (protocol.ConfigState.Source).
func ConfigSource(cluster *v1alpha1.RobustMQCluster, in Inputs, r v1alpha1.Role) (string, error) {
	secret, err := ConfigSecret(cluster, in, r)
	if err != nil {
		return "", err
	}
	return serverconfig.Hash(secret.Data[configKey], nil, in.ClusterUID), nil
}
