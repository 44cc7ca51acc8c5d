package policies

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Verdict is what comes of a case.
type Verdict string

// The verdicts.
const (
	Allowed Verdict = "allowed"
	Warned  Verdict = "warned"
	Refused Verdict = "refused"
)

// Hold is what holds a case that is refused when no webhook is there.
type Hold string

// The holds.
const (
	HeldBySchema  Hold = "schema"
	HeldByGuard   Hold = "guard"
	HeldLive      Hold = "live"
	HeldByNothing Hold = "allowed"
)

// Operation is what somebody does.
type Operation string

// The operations.
const (
	Apply  Operation = "apply"
	Scale  Operation = "scale"
	Delete Operation = "delete"
)

// Case is one file of the corpus; README.md says what the fields mean.
type Case struct {
	// Rule is the name of the folder, Name that of the file without its ending, Path where it was read.
	Rule, Name, Path string
	// Title is the header's sentences as one line.
	Title string

	Expect, Offline                    Verdict
	Says, SaysNot, OfflineSays         []string
	WithoutWebhooks                    Hold
	WithoutWebhooksSays                []string
	Operation                          Operation
	Replicas                           int32 // of the operation scale
	ExistingUnjudged, ShownAsAnExample bool

	// Documents in their order, and the same as they stand in the file.
	Documents []*unstructured.Unstructured
	Texts     []string
}

// Judged is the last document.
func (c *Case) Judged() *unstructured.Unstructured { return c.Documents[len(c.Documents)-1] }

// Before are all documents but the last.
func (c *Case) Before() []*unstructured.Unstructured { return c.Documents[:len(c.Documents)-1] }

// IsUpdate reports whether what is judged existed before.
func (c *Case) IsUpdate() bool {
	return slices.ContainsFunc(c.Before(), func(u *unstructured.Unstructured) bool { return Same(u, c.Judged()) })
}

// Same reports whether two documents are the same object.
func Same(a, b *unstructured.Unstructured) bool {
	return a.GroupVersionKind().GroupKind() == b.GroupVersionKind().GroupKind() && a.GetName() == b.GetName()
}

// Load reads the corpus below a folder, in the order of the paths. It returns what is wrong with all files together.
func Load(folder string) ([]*Case, error) {
	var cases []*Case
	var errs []error
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		c, err := Parse(data)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			return nil
		}
		c.Path, c.Rule, c.Name = path, filepath.Base(filepath.Dir(path)), strings.TrimSuffix(filepath.Base(path), ".yaml")
		cases = append(cases, c)
		return nil
	})
	return cases, errors.Join(append(errs, err)...)
}

// Parse reads one case. It knows nothing of its path.
func Parse(data []byte) (*Case, error) {
	c := &Case{Operation: Apply}
	text := string(data)
	for strings.HasPrefix(text, "#") {
		line, rest, _ := strings.Cut(text, "\n")
		if err := c.header(strings.TrimSpace(strings.TrimPrefix(line, "#"))); err != nil {
			return nil, err
		}
		text = rest
	}
	for i, doc := range strings.Split("\n"+strings.TrimPrefix(strings.TrimLeft(text, "\n"), "---\n"), "\n---\n") {
		doc = strings.TrimLeft(doc, "\n")
		u := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(doc), &u.Object); err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		raw, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		if bytes.Equal(raw, []byte("null")) {
			return nil, fmt.Errorf("document %d is empty", i+1)
		}
		if err := u.UnmarshalJSON(raw); err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		if u.GetName() == "" {
			return nil, fmt.Errorf("document %d has no metadata.name", i+1)
		}
		c.Documents, c.Texts = append(c.Documents, u), append(c.Texts, strings.TrimRight(doc, "\n")+"\n")
	}
	if c.Offline == "" {
		c.Offline = c.Expect
	}
	if c.WithoutWebhooks == "" && c.Expect != Refused {
		c.WithoutWebhooks = HeldByNothing
	}
	return c, c.check()
}

// header reads one line of the header.
func (c *Case) header(line string) error {
	key, value, found := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	into := map[string]func() error{
		"expect":  func() error { return oneOf(&c.Expect, value, Allowed, Warned, Refused) },
		"offline": func() error { return oneOf(&c.Offline, value, Allowed, Warned, Refused) },
		"without-webhooks": func() error {
			return oneOf(&c.WithoutWebhooks, value, HeldBySchema, HeldByGuard, HeldLive, HeldByNothing)
		},
		"says":                  func() error { c.Says = append(c.Says, value); return nil },
		"says-not":              func() error { c.SaysNot = append(c.SaysNot, value); return nil },
		"offline-says":          func() error { c.OfflineSays = append(c.OfflineSays, value); return nil },
		"without-webhooks-says": func() error { c.WithoutWebhooksSays = append(c.WithoutWebhooksSays, value); return nil },
		"operation":             func() error { return c.operation(value) },
		"existing": func() error {
			c.ExistingUnjudged = value == "unjudged"
			return mustBe(value, "unjudged")
		},
		"example": func() error {
			c.ShownAsAnExample = value == "yes"
			return mustBe(value, "yes")
		},
	}[key]
	if found && into == nil && !strings.Contains(key, " ") && key == strings.ToLower(key) {
		return fmt.Errorf("the header has no key %q", key) // a mistyped one would prove nothing
	}
	if !found || into == nil {
		c.Title = strings.TrimSpace(c.Title + " " + line)
		return nil
	}
	if value == "" {
		return fmt.Errorf("the header's %s is empty", key)
	}
	if err := into(); err != nil {
		return fmt.Errorf("the header's %s: %w", key, err)
	}
	return nil
}

func (c *Case) operation(value string) error {
	name, number, _ := strings.Cut(value, " ")
	if err := oneOf(&c.Operation, name, Apply, Scale, Delete); err != nil {
		return err
	}
	if (c.Operation == Scale) != (number != "") {
		return fmt.Errorf("%q: a number follows scale, and nothing else", value)
	}
	if c.Operation == Scale {
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil {
			return err
		}
		c.Replicas = int32(n)
	}
	return nil
}

func oneOf[T ~string](field *T, value string, allowed ...T) error {
	if !slices.Contains(allowed, T(value)) {
		return fmt.Errorf("%q is none of %q", value, allowed)
	}
	*field = T(value)
	return nil
}

func mustBe(value, only string) error {
	if value != only {
		return fmt.Errorf("%q is not %q", value, only)
	}
	return nil
}

// check says what a case lacks.
func (c *Case) check() error {
	switch {
	case c.Title == "":
		return errors.New("the header has no title")
	case c.Expect == "":
		return errors.New("the header has no expect")
	case c.Expect == Refused && c.WithoutWebhooks == "":
		return errors.New("the header has no without-webhooks, and what is refused must say what holds without")
	case c.Expect != Refused && c.WithoutWebhooks != HeldByNothing:
		return errors.New("what is let in with webhooks is let in without")
	case c.Expect == Allowed && len(c.Says) > 0:
		return errors.New("nothing is said of what is allowed: expect warned, or leave says out")
	case c.Expect == Refused && len(c.Says) < 3:
		return errors.New("a refusal names rule, field, value and way out: say them")
	case c.Expect == Warned && len(c.Says) < 2:
		return errors.New("a warning names rule and field: say them")
	}
	return nil
}
