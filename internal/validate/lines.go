package validate

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	kjson "sigs.k8s.io/json"
)

var (
	errExpanded = fmt.Errorf("with its anchors written out it has more than %d MiB or %d values: Kubernetes takes no object that is so large", maxExpanded>>20, maxNodes)
	errDeep     = fmt.Errorf("its values are nested more than %d deep", maxDepth)
	errCircle   = errors.New("an anchor holds itself")
)

// lines knows on which line every value of a document stands.
type lines struct {
	node *yamlv3.Node
	// offset is what stands before the document in its file.
	offset int
}

// newLines reads a document for its lines, and refuses one that would grow out of bounds.
func newLines(text []byte, first int) (*lines, error) {
	var doc yamlv3.Node
	if err := yamlv3.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if doc.Kind != yamlv3.DocumentNode || len(doc.Content) != 1 {
		return &lines{offset: first - 1}, nil
	}
	if err := (&measure{sizes: map[*yamlv3.Node]size{}}).document(doc.Content[0]); err != nil {
		return nil, err
	}
	return &lines{node: doc.Content[0], offset: first - 1}, nil
}

// size is what a value comes to once its anchors are written out.
type size struct {
	bytes, nodes int
}

// measure adds up sizes; every node is visited once, however often it is referred to.
type measure struct {
	sizes map[*yamlv3.Node]size
}

func (m *measure) document(n *yamlv3.Node) error {
	s, err := m.of(n, 0)
	if err == nil && (s.bytes > maxExpanded || s.nodes > maxNodes) {
		return errExpanded
	}
	return err
}

func (m *measure) of(n *yamlv3.Node, depth int) (size, error) {
	if depth > maxDepth {
		return size{}, errDeep
	}
	if n.Kind == yamlv3.AliasNode {
		n = n.Alias
	}
	if s, ok := m.sizes[n]; ok {
		if s.nodes == 0 {
			return s, errCircle
		}
		return s, nil
	}
	m.sizes[n] = size{} // under way
	s := size{bytes: len(n.Value) + 2, nodes: 1}
	for _, e := range n.Content {
		more, err := m.of(e, depth+1)
		if err != nil {
			return size{}, err
		}
		// Held at the bound, so that no sum overflows.
		s.bytes, s.nodes = min(s.bytes+more.bytes, maxExpanded+1), min(s.nodes+more.nodes, maxNodes+1)
	}
	m.sizes[n] = s
	return s, nil
}

// line is the document's first line in its file.
func (l *lines) line(otherwise int) int {
	if l == nil || l.node == nil {
		return otherwise
	}
	return l.node.Line + l.offset
}

// item is what lies in the list of that number under items.
func (l *lines) item(i int) *lines {
	_, items := child(l.node, "items")
	if items = follow(items); items == nil || i >= len(items.Content) {
		return &lines{offset: l.offset}
	}
	return &lines{node: items.Content[i], offset: l.offset}
}

// step of a path: .name, [3], or [a key with dots].
var step = regexp.MustCompile(`\[[^\]]*\]|[^.\[\]]+`)

// of returns the line of a field, or of the nearest one around it that is written; 0 if none is.
func (l *lines) of(path string) int {
	if l == nil || l.node == nil {
		return 0
	}
	found, n := 0, follow(l.node)
	for _, s := range step.FindAllString(path, -1) {
		name := strings.Trim(s, `[]"`)
		key, value := child(n, name)
		if value == nil {
			break
		}
		found, n = key.Line+l.offset, follow(value)
	}
	return found
}

// child returns the key and the value of a field or of an element; of an element the key is the value itself.
func child(n *yamlv3.Node, name string) (key, value *yamlv3.Node) {
	n = follow(n)
	if n == nil {
		return nil, nil
	}
	switch n.Kind {
	case yamlv3.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yamlv3.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	}
	return nil, nil
}

func follow(n *yamlv3.Node) *yamlv3.Node {
	if n != nil && n.Kind == yamlv3.AliasNode {
		return n.Alias
	}
	return n
}

// where in a YAML error its line stands.
var where = regexp.MustCompile(`line (\d+)(?:: )?`)

// problem is the line of an error and what it says to somebody who does not know which library read the file.
func problem(err error, first int) (line int, message string) {
	line = first
	text := strings.NewReplacer("error converting YAML to JSON: ", "", "yaml: ", "", "unmarshal errors:\n  ", "").Replace(err.Error())
	if m := where.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line += n - 1
		}
		text = strings.Replace(text, m[0], "", 1)
	}
	text, _, _ = strings.Cut(text, "\n")
	if key, ok := strings.CutSuffix(text, " already set in map"); ok {
		return line, fmt.Sprintf("%s stands twice in one object: only one of them would count; take the other out", key)
	}
	if strings.HasPrefix(text, "mapping key ") {
		return line, text + ": only one of them would count; take the other out"
	}
	return line, "this is no YAML: " + strings.TrimSpace(text)
}

// json reads numbers as Kubernetes does: whole ones as int64.
func json(raw []byte, into any) error { return kjson.UnmarshalCaseSensitivePreserveInts(raw, into) }
