package scale

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/robustmq/robustmq-operator/test/apiserver"
)

// auditPolicy has the API server write down every write of the operator, and nothing else.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["` + apiserver.OperatorUser + `"]
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`

// audit reads what the API server wrote down.
type audit struct {
	path   string
	offset int64
}

func newAudit(dir string) (*audit, string, error) {
	policy := filepath.Join(dir, "audit-policy.yaml")
	return &audit{path: filepath.Join(dir, "audit.log")}, policy, os.WriteFile(policy, []byte(auditPolicy), 0o600)
}

// Write is one request that was meant to change something.
type Write struct{ Verb, Resource, Namespace, Name string }

func (w Write) String() string {
	return fmt.Sprintf("%s %s %s/%s", w.Verb, w.Resource, w.Namespace, w.Name)
}

// next are the writes since the last call. Those of the lease are left out: it is the election of a leader, and is renewed as long as somebody leads.
func (a *audit) next() ([]Write, error) {
	f, err := os.Open(a.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(a.offset, io.SeekStart); err != nil {
		return nil, err
	}
	var out []Write
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return out, nil // what is half written is read the next time
		}
		if err != nil {
			return nil, err
		}
		a.offset += int64(len(line))
		var said struct {
			Verb      string
			ObjectRef struct{ Resource, Subresource, Namespace, Name string }
		}
		if err := json.Unmarshal(line, &said); err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		ref := said.ObjectRef
		if ref.Resource == "leases" {
			continue
		}
		if ref.Subresource != "" {
			ref.Resource += "/" + ref.Subresource
		}
		out = append(out, Write{said.Verb, ref.Resource, ref.Namespace, ref.Name})
	}
}
