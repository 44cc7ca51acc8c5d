// Package world puts one formation into one namespace: the real controllers against a real API server, real agents, simulated RobustMQ servers, and faults from a printed seed.
package world
