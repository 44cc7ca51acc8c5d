// Package recording records what exporters answer in a test, and has Prometheus' own engine say what the project's alerts make of it.
//
// The engine is a program of a module of its own (test/prometheus/cmd/firing): the product's modules have no Prometheus. What is recorded is what the exporters say, byte by byte, with the labels that their ServiceMonitors
// give them; when it was said is the test's to tell: on the clock of what is tested, which may not be the wall's.
package recording
