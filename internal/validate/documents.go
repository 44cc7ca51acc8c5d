package validate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Bounds of what is read. They are far above what Kubernetes would take, and keep what somebody else wrote from taking all memory.
const (
	// maxDocument is the size of one document, in bytes: etcd stores no object that is larger.
	maxDocument = 1536 << 10
	// maxHeld is the size of all documents of ours together, in bytes, and maxExpanded that of one document once its anchors are written out.
	maxHeld     = 64 << 20
	maxExpanded = 3 << 20
	// maxNodes is how many values one document may have once its anchors are written out.
	maxNodes = 200_000
	// maxDepth is how deep values may be nested.
	maxDepth = 100
)

// Document is one object of a file.
type Document struct {
	// File as it was named, Number of the document in it (from 1) and Line on which it begins.
	File   string
	Number int
	Line   int
	Object *unstructured.Unstructured
	lines  *lines
}

// LineOf is the line of a field such as spec.config[runtime][key], or of the nearest one around it that is written.
func (d *Document) LineOf(path string) int {
	if n := d.lines.of(path); n > 0 {
		return n
	}
	return d.Line
}

// Unreadable is a document that cannot be read, or must not be.
type Unreadable struct {
	File    string
	Number  int
	Line    int
	Message string
}

func (u *Unreadable) Error() string {
	return fmt.Sprintf("%s:%d: document %d: %s", u.File, u.Line, u.Number, u.Message)
}

// PassedOver is a document that is none of ours.
type PassedOver struct {
	File   string
	Number int
	Line   int
	Kind   string // "" where it was not even parsed
}

// Contents are what was read of all files.
type Contents struct {
	Documents  []*Document
	Unreadable []*Unreadable
	PassedOver []PassedOver
	held       int
}

// Mine reports whether an object is one to keep.
type Mine func(apiVersion, kind string) bool

// Read reads the documents of one file and adds them. An error is one of reading; what is wrong with a document is kept with the others.
func (c *Contents) Read(file string, r io.Reader, mine Mine) error {
	s := newSplitter(r)
	number := 0
	for {
		part, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		if part.blank() {
			continue
		}
		number++
		c.document(file, number, part, mine)
	}
}

// document reads one document.
func (c *Contents) document(file string, number int, part chunk, mine Mine) {
	unreadable := func(line int, message string) {
		c.Unreadable = append(c.Unreadable, &Unreadable{File: file, Number: number, Line: line, Message: message})
	}
	if !part.ours {
		// Not even parsed: templates, and whatever else lies in a folder, are nobody's business here.
		c.PassedOver = append(c.PassedOver, PassedOver{File: file, Number: number, Line: part.line})
		return
	}
	if part.tooLong {
		unreadable(part.line, fmt.Sprintf("it has more than %d KiB: Kubernetes stores no object that is so large", maxDocument>>10))
		return
	}
	object, at, err := parse(part.text, part.line)
	if err != nil {
		unreadable(problem(err, part.line))
		return
	}
	c.object(file, number, part, object, at, mine, unreadable)
}

// object keeps an object, or each object of a list.
func (c *Contents) object(file string, number int, part chunk, object any, at *lines, mine Mine, unreadable func(int, string)) {
	fields, ok := object.(map[string]any)
	if !ok {
		unreadable(part.line, "it is no object: a manifest begins with apiVersion and kind")
		return
	}
	apiVersion, _ := fields["apiVersion"].(string)
	kind, _ := fields["kind"].(string)
	if apiVersion == "v1" && kind == "List" {
		items, _ := fields["items"].([]any)
		for i, item := range items {
			c.object(file, number, chunk{line: at.item(i).line(part.line)}, item, at.item(i), mine, unreadable)
		}
		return
	}
	if !mine(apiVersion, kind) {
		c.PassedOver = append(c.PassedOver, PassedOver{File: file, Number: number, Line: part.line, Kind: strings.TrimPrefix(apiVersion+" "+kind, " ")})
		return
	}
	if c.held += len(part.text); c.held > maxHeld {
		unreadable(part.line, fmt.Sprintf("there are more than %d MiB of objects to judge: give fewer files at once", maxHeld>>20))
		return
	}
	c.Documents = append(c.Documents, &Document{File: file, Number: number, Line: at.line(part.line), Object: &unstructured.Unstructured{Object: fields}, lines: at})
}

// parse reads YAML as kubectl does, but no duplicate key, and nothing that is out of bounds.
func parse(text []byte, line int) (any, *lines, error) {
	at, err := newLines(text, line)
	if err != nil {
		return nil, nil, err
	}
	raw, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, nil, err
	}
	if len(raw) > maxExpanded {
		return nil, nil, errExpanded
	}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' {
		return nil, at, nil
	}
	var u unstructured.Unstructured
	if err := json(raw, &u.Object); err != nil {
		return nil, nil, err
	}
	return u.Object, at, nil
}
