// Package validate is `robustmq-operator validate`: it says of manifests, offline, what the API server and the webhooks would say when they are applied.
package validate
