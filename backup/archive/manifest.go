package archive

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	kjson "sigs.k8s.io/json"
)

// Version of the format that is written. Another major version cannot be read; a newer minor one has fields that we do not know and can do without.
const (
	formatName   = "robustmq.io/backup"
	formatMajor  = 1
	formatMinor  = 0
	Format       = "robustmq.io/backup/1.0"
	MaxManifest  = 64 << 20 // bytes; a hundred thousand tables have about 30 MB
	maxTables    = 200_000
	maxFiles     = 10_000
	maxFileBytes = 1 << 40
)

// Schema is the JSON schema of a manifest (draft 4, as OpenAPI 3.0 uses it).
//
//go:embed manifest.schema.json
var Schema []byte

// Manifest says everything about a backup.
type Manifest struct {
	// Format is Format, or that of the version that wrote it.
	Format string `json:"format"`
	// Name of the RobustMQBackup, or what its maker chose.
	Name string `json:"name"`
	// Schedule that it was made by; empty for one that was made by hand.
	Schedule string `json:"schedule,omitempty"`
	// Tool that wrote it, with its version.
	Tool string `json:"tool"`
	// Cluster that was saved.
	Cluster Cluster `json:"cluster"`
	// RobustMQ that wrote the data.
	RobustMQ Server `json:"robustmq"`
	// Member that it was taken from.
	Member Member `json:"member"`
	// Groups are the raft groups' states in the image.
	Groups []Group `json:"groups"`
	// RecoveryPoint is when the image was asked for: every write that was acknowledged before is in it.
	RecoveryPoint time.Time `json:"recoveryPoint"`
	// Started and Finished are when its making began, and when everything but the manifest was in the bucket and read back.
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// Nodes are how many there were of each role: topics name them.
	Nodes Nodes `json:"nodes"`
	// Counts through the admin API: users, topics, tenants…
	Counts map[string]int64 `json:"counts,omitempty"`
	// Encryption by us; nil if there is none.
	Encryption *Encryption `json:"encryption,omitempty"`
	// Files are what is not a table, together in one archive.
	Files Files `json:"files"`
	// Tables by their file names.
	Tables []Table `json:"tables"`
}

// Cluster is whose data it is.
type Cluster struct {
	UID       string `json:"uid"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// Server is the RobustMQ that wrote the data.
type Server struct {
	Version     string `json:"version"`
	ImageDigest string `json:"imageDigest,omitempty"`
}

// Member that an image was taken from.
type Member struct {
	Pod    string `json:"pod"`
	NodeID int64  `json:"nodeID"`
	Leader bool   `json:"leader"`
}

// Group is the state of a raft group in the image. LastApplied is what it holds at least: of a server under load it may hold an entry more (5 of 150 positions on RobustMQ 0.4.11).
type Group struct {
	Name        string     `json:"name"`
	Term        uint64     `json:"term"`
	LastApplied uint64     `json:"lastApplied"`
	Vote        Vote       `json:"vote"`
	Membership  Membership `json:"membership"`
}

// Vote of the member in a group.
type Vote struct {
	Term      uint64 `json:"term"`
	NodeID    uint64 `json:"nodeID"`
	Committed bool   `json:"committed"`
}

// Membership of a group, and the log entry that made it.
type Membership struct {
	Term   uint64   `json:"term"`
	NodeID uint64   `json:"nodeID"`
	Index  uint64   `json:"index"`
	Voters []uint64 `json:"voters"`
}

// Nodes are numbers of nodes.
type Nodes struct {
	PlacementCenter int32 `json:"placementCenter"`
	MQTTBroker      int32 `json:"mqttBroker"`
	JournalServer   int32 `json:"journalServer"`
}

// Encryption by us.
type Encryption struct {
	// Method is age.
	Method string `json:"method"`
	// Recipients that can read it; they are public.
	Recipients []string `json:"recipients"`
}

// Object in the bucket.
type Object struct {
	// Key below <prefix>/<cluster UID>/.
	Key string `json:"key"`
	// Size and SHA256 of what lies in the bucket.
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Checksum that the store keeps of it, as S3 writes it; empty if it keeps none.
	Checksum string `json:"checksum,omitempty"`
}

// Entry is plain content.
type Entry struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Files are what is in files.tar.zst.
type Files struct {
	Object  Object  `json:"object"`
	Entries []Entry `json:"entries"`
}

// Table of RocksDB.
type Table struct {
	Entry  `json:",inline"`
	Object Object `json:"object"`
}

// Marshal writes a manifest that Parse reads.
func (m Manifest) Marshal() ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("writing the manifest: %w", err)
	}
	if m.Groups == nil {
		m.Groups = []Group{}
	}
	if m.Tables == nil {
		m.Tables = []Table{}
	}
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, fmt.Errorf("writing the manifest: %w", err)
	}
	return append(b, '\n'), nil
}

// VersionError is a manifest of a format that this version cannot read.
type VersionError struct{ Format string }

// Error names the format.
func (e *VersionError) Error() string {
	return fmt.Sprintf("the manifest has format %q, this version reads %s/%d.x: use the version of the operator that wrote it, or a newer one", e.Format, formatName, formatMajor)
}

// Parse reads a manifest, strictly: unknown and repeated fields, other cases of letters and anything behind it are errors; a newer minor version may have unknown fields.
// What it returns has been validated: every name, key, size and hash has its form, and nothing occurs twice.
func Parse(b []byte) (Manifest, error) {
	fail := func(err error) (Manifest, error) { return Manifest{}, fmt.Errorf("reading the manifest: %w", err) }
	if len(b) > MaxManifest {
		return fail(fmt.Errorf("%d bytes are more than a manifest has", len(b)))
	}
	var head struct {
		Format string `json:"format"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(b, &head); err != nil {
		return fail(fmt.Errorf("it is no JSON: %w", err))
	}
	minor, err := version(head.Format)
	if err != nil {
		return fail(err)
	}
	var m Manifest
	strict, err := kjson.UnmarshalStrict(b, &m)
	if err != nil {
		return fail(err)
	}
	for _, err := range strict {
		if minor > formatMinor && strings.HasPrefix(err.Error(), "unknown field") {
			continue
		}
		return fail(err)
	}
	if err := m.validate(); err != nil {
		return fail(err)
	}
	return m, nil
}

func version(format string) (minor int, err error) {
	rest, ok := strings.CutPrefix(format, formatName+"/")
	major, small, dot := strings.Cut(rest, ".")
	minor, minorErr := strconv.Atoi(small)
	if !ok || !dot || major != strconv.Itoa(formatMajor) || minorErr != nil || small != strconv.Itoa(minor) || minor < 0 {
		return 0, &VersionError{format}
	}
	return minor, nil
}

var (
	hexSHA256  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	fileName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	objectKey  = regexp.MustCompile(`^(tables|backups)/[A-Za-z0-9._-]{1,200}(/[A-Za-z0-9._-]{1,100})?$`)
	recordName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$`)
	checksum   = regexp.MustCompile(`^([A-Za-z0-9+/]{43}=(-[1-9][0-9]{0,4})?)?$`)
)

func (m Manifest) validate() error {
	if _, err := version(m.Format); err != nil {
		return err
	}
	for _, f := range []struct{ field, value string }{{"name", m.Name}, {"cluster.uid", m.Cluster.UID}, {"cluster.name", m.Cluster.Name}, {"cluster.namespace", m.Cluster.Namespace}} {
		if !recordName.MatchString(f.value) {
			return fmt.Errorf("%s is %q, which is no name", f.field, f.value)
		}
	}
	if m.Schedule != "" && !recordName.MatchString(m.Schedule) {
		return fmt.Errorf("schedule is %q, which is no name", m.Schedule)
	}
	if m.RobustMQ.Version == "" || m.Tool == "" {
		return errors.New("robustmq.version and tool say who wrote it, and one of them is empty")
	}
	if m.RecoveryPoint.IsZero() || m.Started.IsZero() || m.Finished.IsZero() {
		return errors.New("recoveryPoint, started and finished are times, and one is missing")
	}
	if m.Nodes.PlacementCenter < 0 || m.Nodes.MQTTBroker < 0 || m.Nodes.JournalServer < 0 {
		return errors.New("nodes are not negative")
	}
	groups := map[string]bool{}
	for _, g := range m.Groups {
		if g.Name == "" || groups[g.Name] {
			return fmt.Errorf("group %q is there twice or has no name", g.Name)
		}
		groups[g.Name] = true
	}
	if e := m.Encryption; e != nil && (e.Method != "age" || len(e.Recipients) == 0) {
		return fmt.Errorf("encryption is %q for %d recipients; it is age, for at least one", e.Method, len(e.Recipients))
	}
	return m.validateContent()
}

func (m Manifest) validateContent() error {
	if len(m.Tables) > maxTables || len(m.Files.Entries) > maxFiles || len(m.Files.Entries) == 0 {
		return fmt.Errorf("%d tables and %d files: there are at most %d and 1 to %d", len(m.Tables), len(m.Files.Entries), maxTables, maxFiles)
	}
	names := map[string]bool{}
	entry := func(e Entry) error {
		if !fileName.MatchString(e.Name) || e.Size < 0 || e.Size > maxFileBytes || !hexSHA256.MatchString(e.SHA256) {
			return fmt.Errorf("the file %q of %d bytes with SHA-256 %q has a name, size or hash that none can have", e.Name, e.Size, e.SHA256)
		}
		if names[e.Name] {
			return fmt.Errorf("the file %q is there twice", e.Name)
		}
		names[e.Name] = true
		return nil
	}
	for _, e := range m.Files.Entries {
		if err := entry(e); err != nil {
			return err
		}
	}
	if err := m.Files.Object.validate("backups/"); err != nil {
		return err
	}
	for _, t := range m.Tables {
		if err := entry(t.Entry); err != nil {
			return err
		}
		if err := t.Object.validate("tables/"); err != nil {
			return err
		}
		if m.Encryption == nil && (t.Object.Size != t.Size || t.Object.SHA256 != t.SHA256) {
			return fmt.Errorf("the table %q is not encrypted, and its object %q is another content", t.Name, t.Object.Key)
		}
	}
	return nil
}

func (o Object) validate(folder string) error {
	if !objectKey.MatchString(o.Key) || !strings.HasPrefix(o.Key, folder) || slices.ContainsFunc(strings.Split(o.Key, "/"), dots) ||
		o.Size < 0 || !hexSHA256.MatchString(o.SHA256) || !checksum.MatchString(o.Checksum) {
		return fmt.Errorf("the object %q of %d bytes with SHA-256 %q and checksum %q has a key, size or hash that none in %s can have", o.Key, o.Size, o.SHA256, o.Checksum, folder)
	}
	return nil
}

func dots(segment string) bool { return segment == "." || segment == ".." }

// Objects are all objects that it names, each once.
func (m Manifest) Objects() []Object {
	objects := []Object{m.Files.Object}
	seen := map[string]bool{}
	for _, t := range m.Tables {
		if !seen[t.Object.Key] {
			seen[t.Object.Key] = true
			objects = append(objects, t.Object)
		}
	}
	return objects
}

// Size of what a restore reads, in bytes.
func (m Manifest) Size() int64 {
	var n int64
	for _, o := range m.Objects() {
		n += o.Size
	}
	return n
}
