// Package config renders server.toml and logger.toml for one pod, in the dialect of its RobustMQ version, as pure functions.
package config
