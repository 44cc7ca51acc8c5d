// Package volume looks at a data volume and keeps its marker: what is in it, whose it is, and how it is emptied.
package volume
