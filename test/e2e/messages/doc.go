// Package messages uses a cluster as its clients do: it makes a topic through the admin API, and sends and receives MQTT messages with an outside library.
package messages
