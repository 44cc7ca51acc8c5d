// Package trigger says which changes of an object bring a pass of its controller.
package trigger
