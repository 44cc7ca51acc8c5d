// Package s3test is an S3 server in the test's process, as strict as the real ones in what backups depend on: signatures, clocks, regions, checksums of parts and wholes,
// conditions, pages; and a wrapper that makes any server, this one or a real one, fail in chosen ways.
//
// It is held to reality by the tests of package store, which run against it and against MinIO alike, where the bed has built one.
package s3test
