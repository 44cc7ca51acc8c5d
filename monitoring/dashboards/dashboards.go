package dashboards

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// Dashboard is one that is ready for Grafana.
type Dashboard struct {
	// Name is short, unique, and part of names of objects: cluster, mqtt, storage, operator.
	Name string
	// Title is what Grafana shows.
	Title string
	// JSON is what Grafana imports. It is the same in every installation: which data source, namespace and cluster is chosen in Grafana. Nobody may change it.
	JSON []byte
}

// uidPrefix before the name makes the uid, by which Grafana tells dashboards apart and links lead to them.
const uidPrefix = "robustmq-"

// definition is a dashboard before it is laid out.
type definition struct {
	name, title, about string
	variables          []variable
	rows               []row
}

func definitions() []definition { return []definition{cluster(), mqtt(), storage(), operator()} }

var all = sync.OnceValues(func() ([]Dashboard, error) {
	var list []Dashboard
	for _, d := range definitions() {
		text, err := json.Marshal(d.model())
		if err != nil {
			return nil, fmt.Errorf("writing dashboard %s: %w", d.name, err)
		}
		list = append(list, Dashboard{Name: d.name, Title: d.title, JSON: text})
	}
	return list, nil
})

// All dashboards, in the order in which one looks at them. They are made at the first call and kept: about 180 kB.
func All() ([]Dashboard, error) { return all() }

// Expressions are written with these words in the place of the labels that choose what is shown; see docs/monitoring.md for where the labels come from.
var selectors = strings.NewReplacer(
	"CLUSTERS", `namespace=~"$namespace",cluster=~"$cluster"`,
	"CLUSTER", `namespace="$namespace",cluster="$cluster"`,
	"MEMBERS", `namespace="$namespace",cluster="$cluster",role="placement-center"`,
	"BROKERS", `namespace="$namespace",cluster="$cluster",role="mqtt-broker"`,
	"OPERATOR", `job="robustmq-operator"`,
)

// variable is a choice at the top of a dashboard.
type variable struct {
	name, label string
	// values is the expression label_values(…) that fills it; empty for the choice of the data source.
	values string
	// all adds the choice of everything.
	all bool
}

// oneCluster are the choices of the dashboards that show one cluster. They are filled from what the agents say of themselves, so they work while the operator is away.
var oneCluster = []variable{
	{name: "datasource", label: "Data source"},
	{name: "namespace", label: "Namespace", values: `label_values(robustmq_agent_info, namespace)`},
	{name: "cluster", label: "Cluster", values: `label_values(robustmq_agent_info{namespace="$namespace"}, cluster)`},
}

// manyClusters are those of the operator's dashboard.
var manyClusters = []variable{
	{name: "datasource", label: "Data source"},
	{name: "namespace", label: "Namespace", values: `label_values(robustmq_operator_cluster_members, namespace)`, all: true},
	{name: "cluster", label: "Cluster", values: `label_values(robustmq_operator_cluster_members{namespace=~"$namespace"}, cluster)`, all: true},
}
