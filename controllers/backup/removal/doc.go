// Package removal removes Jobs that are not wanted any more.
package removal
