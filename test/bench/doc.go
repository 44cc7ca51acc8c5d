// Package bench measures the operator against a real API server: run it with `make bench`.
package bench
