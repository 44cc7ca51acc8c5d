// Package registration holds what every controller of the operator is registered with.
package registration
