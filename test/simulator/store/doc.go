// Package store keeps what a simulated server must find again after it was killed: records in column families, written in atomic batches.
package store
