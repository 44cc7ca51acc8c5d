package main

import (
	"fmt"
	"path"
)

// Prometheus and its operator, as other people made them: the bed's monitoring is what a user has. Each is pinned in a module of its own below test/prometheus; the operator is older than the Prometheus that it
// runs, and would not compile with the libraries of that one.
const (
	prometheusModule         = "test/prometheus"
	prometheusOperatorModule = "test/prometheus/operator"
	prometheusPackage        = "github.com/prometheus/prometheus/cmd/prometheus"
	prometheusOperator       = "github.com/prometheus-operator/prometheus-operator/cmd/"
)

// The paths are those of the published images: the operator writes them into the pods that it makes. The tags are no versions, so that test/prometheus/install need not follow go.mod.
var monitoring = []recipe{
	// Of all the ways to find targets it needs Kubernetes'; the others are the clients of thirty clouds.
	foreign("prometheus", prometheusModule, prometheusPackage, "-tags=remove_all_sd,enable_kubernetes_sd"),
	foreign("prometheus-operator", prometheusOperatorModule, prometheusOperator+"operator"),
	foreign("prometheus-config-reloader", prometheusOperatorModule, prometheusOperator+"prometheus-config-reloader"),
}

// foreign is the recipe of somebody else's program, which is made only when it is asked for.
func foreign(name, module, pkg string, flags ...string) recipe {
	program := path.Join("/bin", name)
	return recipe{
		name:       name,
		onDemand:   true,
		reference:  fixed(fmt.Sprintf("bed.local/%s:pinned", name)),
		entrypoint: []string{program},
		workdir:    "/tmp",
		files: func(b *builder) ([]file, error) {
			binary, err := b.compileIn(module, pkg, name, flags...)
			return []file{{path: program, mode: 0o755, source: binary}}, err
		},
	}
}
