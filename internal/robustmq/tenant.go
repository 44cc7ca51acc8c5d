package robustmq

// DefaultTenant is where RobustMQ keeps what names no tenant, and the MQTT user of its configuration (reference, robustmq-server.md: tenants since 0.3.4; DEFAULT_TENANT in 0.4.11).
const DefaultTenant = "default"

// TopicTitle is what people call a topic: its name, behind its tenant and a slash where that is not the default one. An empty tenant is the default one.
func TopicTitle(tenant, name string) string {
	if tenant == "" || tenant == DefaultTenant {
		return name
	}
	return tenant + "/" + name
}
