// Package crd holds the CustomResourceDefinitions as files, so that the operator can judge objects without an API server.
package crd

import "embed"

// Files are the generated definitions, one a file, beside the kustomization that installs them.
//
//go:embed *.yaml
var Files embed.FS
