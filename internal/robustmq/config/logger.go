package config

// LoggerTOML is logger.toml for every version: one console appender without colour codes.
// The target broker_server::common logs the whole configuration at start, with the passwords and the key of the tokens in it, at INFO (seen on 0.3.0 and 0.4.11): raised to
// warn. async_nats and openraft are two thirds of the lines of a node that sees a dead peer, and say nothing at INFO that an operator of the cluster could use.
func LoggerTOML() []byte {
	return []byte(`[stdout]
kind = "console"
ansi = false
targets = [
    { path = "", level = "info" },
    { path = "broker_server::common", level = "warn" },
    { path = "async_nats", level = "warn" },
    { path = "openraft", level = "warn" },
]
`)
}
