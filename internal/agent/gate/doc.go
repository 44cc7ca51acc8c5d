// Package gate decides, purely, whether a server may start on the volume it was given.
package gate
