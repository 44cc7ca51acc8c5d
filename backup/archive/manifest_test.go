package archive_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"

	"github.com/robustmq/robustmq-operator/backup/archive"
)

func sample() archive.Manifest {
	sum := strings.Repeat("ab", 32)
	m := request("one", noon, 1).Manifest
	m.Format, m.Finished = archive.Format, noon.Add(time.Minute)
	m.Cluster = archive.Cluster{UID: uid, Name: "my-cluster", Namespace: "prod"}
	m.Files = archive.Files{
		Object:  archive.Object{Key: "backups/20261125T120000Z-one/files.tar.zst", Size: 100, SHA256: sum},
		Entries: []archive.Entry{{Name: "CURRENT", Size: 16, SHA256: sum}},
	}
	m.Tables = []archive.Table{{Entry: archive.Entry{Name: "000007.sst", Size: 9, SHA256: sum}, Object: archive.Object{Key: "tables/" + sum, Size: 9, SHA256: sum, Checksum: strings.Repeat("A", 43) + "=-12"}}}
	return m
}

func marshal(t testing.TB, m archive.Manifest) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAManifestIsReadAsItWasWritten(t *testing.T) {
	m := sample()
	got, err := archive.Parse(marshal(t, m))
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("%v\n%+v\n%+v", err, got, m)
	}
	m.Encryption = &archive.Encryption{Method: "age", Recipients: []string{"age1x"}}
	m.Tables[0].Object.Size += 200
	if got, err = archive.Parse(marshal(t, m)); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("%v\n%+v\n%+v", err, got, m)
	}
}

// edits of the sample that must be refused; schema says whether the JSON schema can see it too.
var edits = []struct {
	what, from, to, says string
	schema               bool
}{
	{"an unknown field", `"tool":`, `"tol": 1, "tool":`, "tol", true},
	{"a field twice", `"tool":`, `"tool": "x", "tool":`, "duplicate", false},
	{"another case", `"tool":`, `"Tool":`, "Tool", true},
	{"something behind it", "}\n", "} {}\n", "", false},
	{"a path out of the place", `"key": "tables/`, `"key": "tables/../../`, "key", true},
	{"a key of another folder", `"key": "tables/`, `"key": "backups/`, "key", true},
	{"a key that is a folder above", `"key": "backups/20261125T120000Z-one/files.tar.zst"`, `"key": "backups/.."`, "key", false},
	{"a path for a name", `"name": "CURRENT"`, `"name": "../CURRENT"`, "name", true},
	{"the same name twice", `"name": "CURRENT"`, `"name": "000007.sst"`, "twice", false},
	{"a negative size", `"size": 16`, `"size": -16`, "size", true},
	{"a size beyond reason", `"size": 16`, `"size": 9000000000000`, "size", true},
	{"a hash of capitals", `"sha256": "ab`, `"sha256": "AB`, "hash", true},
	{"a checksum that is none", `AAA=-12`, `AAA=-x`, "checksum", true},
	{"a table that is another content", `"size": 9,`, `"size": 8,`, "another content", false},
	{"no files", `"entries": [`, `"entries": [], "x": [`, "", true},
	{"no name", `"name": "one"`, `"name": ""`, "name", true},
	{"no version", `"version": "0.4.11"`, `"version": ""`, "version", true},
	{"a number for a text", `"tool": "test"`, `"tool": 7`, "", true},
	{"no such time", `"started": "2026-11-25T12:00:00Z"`, `"started": "yesterday"`, "", true},
	{"rot13", `"nodes":`, `"encryption": {"method": "rot13", "recipients": ["x"]}, "nodes":`, "age", true},
}

func TestWhatIsNoManifestIsRefusedByParserAndSchemaAlike(t *testing.T) {
	good := marshal(t, sample())
	if err := schemaError(t, good); err != "" {
		t.Fatal(err)
	}
	for _, e := range edits {
		bad := bytes.Replace(good, []byte(e.from), []byte(e.to), 1)
		if bytes.Equal(bad, good) {
			t.Fatalf("%s: %q is not in the sample", e.what, e.from)
		}
		if _, err := archive.Parse(bad); err == nil || !strings.Contains(err.Error(), e.says) {
			t.Errorf("%s: %v; want %q", e.what, err, e.says)
		}
		if e.schema && schemaError(t, bad) == "" {
			t.Errorf("%s: the schema takes it", e.what)
		}
	}
	for n := range len(good) - 1 {
		if _, err := archive.Parse(good[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are a manifest", n, len(good))
		}
	}
}

func TestAnotherMajorVersionIsRefusedByNameAndANewerMinorOneIsRead(t *testing.T) {
	good := marshal(t, sample())
	for _, format := range []string{"robustmq.io/backup/2.0", "robustmq.io/backup/1", "robustmq.io/backup/1.x", "robustmq.io/backup/01.0", "robustmq.io/backup/1.00", "robustmq.io/backup/1.-1", "other/1.0", ""} {
		bad := bytes.Replace(good, []byte(archive.Format), []byte(format), 1)
		bad = bytes.Replace(bad, []byte(`"tool":`), []byte(`"new": {"a": 1}, "tool":`), 1)
		_, err := archive.Parse(bad)
		var v *archive.VersionError
		if !errors.As(err, &v) || v.Format != format {
			t.Errorf("%q: %v", format, err)
		}
	}
	newer := bytes.Replace(good, []byte(archive.Format), []byte("robustmq.io/backup/1.7"), 1)
	newer = bytes.Replace(newer, []byte(`"tool":`), []byte(`"new": {"a": 1}, "tool":`), 1)
	if m, err := archive.Parse(newer); err != nil || m.Name != "one" {
		t.Errorf("%v", err)
	}
	twice := bytes.Replace(newer, []byte(`"tool":`), []byte(`"tool": "x", "tool":`), 1)
	if _, err := archive.Parse(twice); err == nil {
		t.Error("a field that is there twice is no new one")
	}
}

func schemaProps(t testing.TB) apiextensions.JSONSchemaProps {
	t.Helper()
	var v1 apiextensionsv1.JSONSchemaProps
	if err := json.Unmarshal(archive.Schema, &v1); err != nil {
		t.Fatal(err)
	}
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&v1, &props, nil); err != nil {
		t.Fatal(err)
	}
	return props
}

// schemaError is what the validator of Kubernetes says. It passes over fields that the schema does not have (it prunes them), so those are looked for here.
func schemaError(t testing.TB, b []byte) string {
	t.Helper()
	props := schemaProps(t)
	validator, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(b, &value); err != nil {
		return err.Error()
	}
	result := validator.Validate(value)
	if !result.IsValid() {
		return result.Errors[0].Error()
	}
	return unknown(props, value)
}

func unknown(props apiextensions.JSONSchemaProps, value any) string {
	switch v := value.(type) {
	case map[string]any:
		for name, field := range v {
			p, ok := props.Properties[name]
			if !ok && (props.AdditionalProperties == nil || props.AdditionalProperties.Schema == nil) {
				return "unknown field " + name
			}
			if text := unknown(p, field); ok && text != "" {
				return text
			}
		}
	case []any:
		for _, item := range v {
			if text := unknown(*props.Items.Schema, item); text != "" {
				return text
			}
		}
	}
	return ""
}

func TestTheSchemaHasTheFieldsOfTheType(t *testing.T) {
	var compare func(where string, goType reflect.Type, props apiextensions.JSONSchemaProps)
	fields := func(goType reflect.Type) (names, required []string, types map[string]reflect.Type) {
		types = map[string]reflect.Type{}
		var walk func(reflect.Type)
		walk = func(goType reflect.Type) {
			for f := range goType.Fields() {
				name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
				if f.Anonymous {
					walk(f.Type)
					continue
				}
				names = append(names, name)
				types[name] = f.Type
				if options != "omitempty" {
					required = append(required, name)
				}
			}
		}
		walk(goType)
		return names, required, types
	}
	compare = func(where string, goType reflect.Type, props apiextensions.JSONSchemaProps) {
		switch {
		case goType == reflect.TypeFor[time.Time]():
			if props.Format != "date-time" {
				t.Errorf("%s is a time", where)
			}
		case goType.Kind() == reflect.Pointer:
			compare(where, goType.Elem(), props)
		case goType.Kind() == reflect.Slice:
			compare(where+"[]", goType.Elem(), *props.Items.Schema)
		case goType.Kind() == reflect.Struct:
			names, required, types := fields(goType)
			inSchema := []string{}
			for name := range props.Properties {
				inSchema = append(inSchema, name)
			}
			for _, list := range []*[]string{&names, &required, &inSchema, &props.Required} {
				slices.Sort(*list)
			}
			if !slices.Equal(names, inSchema) || !slices.Equal(required, props.Required) {
				t.Errorf("%s has fields %v, required %v; the schema %v, %v", where, names, required, inSchema, props.Required)
			}
			for _, name := range names {
				compare(where+"."+name, types[name], props.Properties[name])
			}
		}
	}
	compare("manifest", reflect.TypeFor[archive.Manifest](), schemaProps(t))
}
