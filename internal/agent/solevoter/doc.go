// Package solevoter makes one of the last two voters of a stopped placement centre its only voter: what is written into its database, and whether that may be. It runs no server and asks nobody; package
// agent does.
package solevoter
