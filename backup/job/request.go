package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	kjson "sigs.k8s.io/json"

	"github.com/robustmq/robustmq-operator/backup/archive"
)

// Kind is what a Job does: the word after "agent backup".
type Kind string

// The kinds of Jobs.
const (
	Take    Kind = "take"    // make a backup
	Probe   Kind = "probe"   // can backups be written to the destination, and may this cluster write there?
	Collect Kind = "collect" // delete what the schedules' policies do not keep, and what no backup needs
	Delete  Kind = "delete"  // delete one backup
	Verify  Kind = "verify"  // read one backup and compare it with its manifest
	Inspect Kind = "inspect" // choose the backup that a restore shall read, and prove that it can be read
	Restore Kind = "restore" // send one backup to the members of a placement centre that is stopped
)

// Kinds are all of them.
var Kinds = []Kind{Take, Probe, Collect, Delete, Verify, Inspect, Restore}

// MaxRequest is how many bytes of JSON a Request may have. Linux takes 128 KiB as one argument of a program.
const MaxRequest = 64 << 10

// Request says what to do. It holds no secret: those are in mounted files (see Files).
type Request struct {
	// Destination is the place in S3.
	Destination Destination `json:"destination"`
	// Owner is the cluster whose backups these are; of an inspection and a restore, the one that is restored.
	Owner Owner `json:"owner"`
	// ProgressDeadlineSeconds is how long nothing may move, 10 to 86400; then the Job ends with Deadline. 0 means 300.
	ProgressDeadlineSeconds int32 `json:"progressDeadlineSeconds,omitempty"`

	// Exactly the part of the Job's kind is there; a probe has none.
	Take    *TakeRequest    `json:"take,omitempty"`
	Collect *CollectRequest `json:"collect,omitempty"`
	Delete  *DeleteRequest  `json:"delete,omitempty"`
	Verify  *VerifyRequest  `json:"verify,omitempty"`
	Inspect *InspectRequest `json:"inspect,omitempty"`
	Restore *RestoreRequest `json:"restore,omitempty"`
}

// Destination is a place in S3, as the API's S3Destination has it.
type Destination struct {
	Bucket   string `json:"bucket"`
	Prefix   string `json:"prefix,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	Region   string `json:"region,omitempty"`
	// PathStyle puts the bucket into the path instead of the host name.
	PathStyle bool `json:"pathStyle,omitempty"`
	// StaticCredentials are mounted in CredentialsDir. Without them the workload's identity is used, never both: a Secret that lost its keys must not become somebody else's rights.
	StaticCredentials bool `json:"staticCredentials,omitempty"`
	// PrivateCA is mounted as CAFile, and trusted in addition to the public ones.
	PrivateCA bool `json:"privateCA,omitempty"`
	// ServerSideEncryption by the store; nil leaves it to the bucket's own setting. A key of ours (SSE-C) is in CredentialsDir and not here.
	ServerSideEncryption *ServerSideEncryption `json:"serverSideEncryption,omitempty"`
}

// ServerSideEncryption by the store.
type ServerSideEncryption struct {
	// Mode is S3 (keys of the store) or KMS (a key of its key management).
	Mode string `json:"mode"`
	// KMSKeyID names the key of KMS; empty is the store's default one.
	KMSKeyID string `json:"kmsKeyID,omitempty"`
}

// Owner is the cluster whose backups these are: archive.Owner.
type Owner struct {
	// ClusterUID is the identity of the data, status.clusterUID of the cluster: the folder below the prefix has this name.
	ClusterUID string `json:"clusterUID"`
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	// Installation is the UID of the namespace kube-system: it tells Kubernetes clusters apart that are copies of one another.
	Installation string `json:"installation,omitempty"`
}

// TakeRequest is one backup to make.
type TakeRequest struct {
	// Name of the RobustMQBackup, and the schedule that made it, if one did.
	Name     string `json:"name"`
	Schedule string `json:"schedule,omitempty"`
	// Started is the backup's time in its ID, chosen once by the operator: a second Job for the same backup finds what the first one wrote.
	Started time.Time `json:"started"`
	// RecoveryPoint is when the positions below were read: every write that was acknowledged before is in the backup.
	RecoveryPoint time.Time `json:"recoveryPoint"`
	// Positions are what the image must have applied, by raft group: the last index of each leader's log at the recovery point.
	Positions map[string]uint64 `json:"positions"`
	// Agent of the member that the image is taken from, as host:port, and the name in its certificate (protocol.ServerName).
	Agent      string `json:"agent"`
	ServerName string `json:"serverName"`
	// Counter is the agent that Counts are asked of, as host:port: a broker's, as a member without the broker's role may have no users in its cache. Empty: that of the member.
	Counter string `json:"counter,omitempty"`
	// ImageID is the image's name at the agent, a DNS label.
	ImageID string `json:"imageID"`
	// Member that it is taken from, the RobustMQ that it runs, and how many nodes of each role there are.
	Member   archive.Member `json:"member"`
	RobustMQ archive.Server `json:"robustmq"`
	Nodes    archive.Nodes  `json:"nodes"`
	// Counts are what is counted for the manifest: names of Countable.
	Counts []string `json:"counts,omitempty"`
	// Verification before the backup counts.
	Verification archive.Mode `json:"verification"`
	// Recipients of the encryption with age (public keys); none: no encryption.
	Recipients []string `json:"recipients,omitempty"`
}

// CollectRequest is what to keep.
type CollectRequest struct {
	// Policies of the schedules, each once. Backups of schedules that are not here are kept.
	Policies []Policy `json:"policies"`
	// Damaged are IDs of backups that a verification found wrong: they do not count as good.
	Damaged []string `json:"damaged,omitempty"`
}

// Policy keeps a backup of a schedule while either holds.
type Policy struct {
	Schedule string `json:"schedule"`
	// KeepLast good ones, 1 to 1000.
	KeepLast int32 `json:"keepLast"`
	// MaxAgeSeconds keeps those that are younger; 0: age keeps none.
	MaxAgeSeconds int64 `json:"maxAgeSeconds,omitempty"`
}

// DeleteRequest is a backup to delete.
type DeleteRequest struct {
	// ID of the backup: the folder's name, archive.ID.
	ID string `json:"id"`
}

// VerifyRequest is a backup to verify.
type VerifyRequest struct {
	ID   string       `json:"id"`
	Mode archive.Mode `json:"mode"`
}

// BackupID is the ID that the backup has, or will have.
func (t TakeRequest) BackupID() string { return archive.ID(t.Started, t.Name) }

// Encode writes a request that Parse reads.
func (r Request) Encode(kind Kind) (string, error) {
	if err := r.validate(kind); err != nil {
		return "", fmt.Errorf("writing the request of a backup Job: %w", err)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return "", fmt.Errorf("writing the request of a backup Job: %w", err)
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if len(text) > MaxRequest {
		return "", fmt.Errorf("writing the request of a backup Job: it has %d bytes, at most %d are read", len(text), MaxRequest)
	}
	return text, nil
}

// Parse reads a request of a kind, strictly: unknown and repeated fields, other cases of letters, anything behind it and parts of other kinds are errors. What it returns is valid.
func Parse(kind Kind, text string) (Request, error) {
	fail := func(err error) (Request, error) {
		return Request{}, fmt.Errorf("reading the request of a backup Job: %w", err)
	}
	if len(text) > MaxRequest {
		return fail(fmt.Errorf("it has %d bytes, at most %d are read", len(text), MaxRequest))
	}
	var r Request
	strict, err := kjson.UnmarshalStrict([]byte(text), &r)
	if err = errors.Join(append(strict, err)...); err != nil {
		return fail(err)
	}
	if err := r.validate(kind); err != nil {
		return fail(err)
	}
	return r, nil
}

var (
	uidForm      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	nameForm     = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	labelForm    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	idForm       = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?$`)
	kmsKeyIDForm = regexp.MustCompile(`^[A-Za-z0-9:/_.-]{1,512}$`)
	plainForm    = regexp.MustCompile(`^[ -~]+$`)
)

// Limits of a request.
const (
	maxPolicies   = 64
	maxDamaged    = 200
	maxRecipients = 16
	maxPositions  = 16
)

func (r Request) validate(kind Kind) error {
	if !slices.Contains(Kinds, kind) {
		return fmt.Errorf("%q is nothing that a backup Job does: it is one of %v", string(kind), Kinds)
	}
	if r.Destination.Bucket == "" {
		return errors.New("destination.bucket is empty")
	}
	d := r.Destination
	if err := plain(512, "destination", d.Bucket, d.Prefix, d.Endpoint, d.Region); err != nil {
		return err
	}
	if err := r.Destination.ServerSideEncryption.validate(); err != nil {
		return err
	}
	if !uidForm.MatchString(r.Owner.ClusterUID) || !nameForm.MatchString(r.Owner.Name) || !nameForm.MatchString(r.Owner.Namespace) || (r.Owner.Installation != "" && !uidForm.MatchString(r.Owner.Installation)) {
		return fmt.Errorf("owner %+v is no cluster: clusterUID, name and namespace have their forms, installation may be empty", r.Owner)
	}
	if s := r.ProgressDeadlineSeconds; s != 0 && (s < 10 || s > 86400) {
		return fmt.Errorf("progressDeadlineSeconds is %d: it is 10 to 86400, or 0 for 300", s)
	}
	for part, there := range map[Kind]bool{
		Take: r.Take != nil, Collect: r.Collect != nil, Delete: r.Delete != nil, Verify: r.Verify != nil, Inspect: r.Inspect != nil, Restore: r.Restore != nil,
	} {
		if there != (part == kind) {
			return fmt.Errorf("a Job that does %q has the part of that kind and no other; it is %t that %q is there", string(kind), there, string(part))
		}
	}
	switch kind {
	case Take:
		return r.Take.validate()
	case Collect:
		return r.Collect.validate()
	case Delete:
		return checkID("delete.id", r.Delete.ID)
	case Verify:
		return errors.Join(checkID("verify.id", r.Verify.ID), checkMode("verify.mode", r.Verify.Mode))
	case Inspect:
		return r.Inspect.validate()
	case Restore:
		return r.Restore.validate()
	case Probe:
	}
	return nil
}

// plain are texts of printable ASCII, each of at most a number of bytes; what they mean is judged where they are used. Empty ones are fine.
func plain(limit int, field string, texts ...string) error {
	for _, text := range texts {
		if text != "" && (len(text) > limit || !plainForm.MatchString(text)) {
			return fmt.Errorf("%s has a text of %d bytes, or with characters, that none of its fields has", field, len(text))
		}
	}
	return nil
}

func (s *ServerSideEncryption) validate() error {
	switch {
	case s == nil:
		return nil
	case s.Mode != "S3" && s.Mode != "KMS":
		return fmt.Errorf("destination.serverSideEncryption.mode is %q: it is S3 or KMS", s.Mode)
	case s.KMSKeyID != "" && (s.Mode != "KMS" || !kmsKeyIDForm.MatchString(s.KMSKeyID)):
		return fmt.Errorf("destination.serverSideEncryption.kmsKeyID is %q: it names a key of KMS, with the mode KMS alone", s.KMSKeyID)
	}
	return nil
}

func (t *TakeRequest) validate() error {
	if !nameForm.MatchString(t.Name) || (t.Schedule != "" && !nameForm.MatchString(t.Schedule)) {
		return fmt.Errorf("take.name %q and take.schedule %q are names of Kubernetes objects; only the second may be empty", t.Name, t.Schedule)
	}
	if t.Started.IsZero() || t.RecoveryPoint.IsZero() {
		return errors.New("take.started and take.recoveryPoint are times, and one is missing")
	}
	if err := checkID("take.started and take.name", t.BackupID()); err != nil {
		return err
	}
	if len(t.Positions) == 0 || len(t.Positions) > maxPositions {
		return fmt.Errorf("take.positions are of 1 to %d raft groups, not %d", maxPositions, len(t.Positions))
	}
	for field, address := range map[string]string{"agent": t.Agent, "counter": t.Counter} {
		if address == "" && field == "counter" {
			continue
		}
		if err := checkAddress("take."+field, address); err != nil {
			return err
		}
	}
	if t.ServerName == "" {
		return errors.New("take.serverName is empty: it is the name in the agent's certificate")
	}
	if !labelForm.MatchString(t.ImageID) {
		return fmt.Errorf("take.imageID is %q: it is a DNS label", t.ImageID)
	}
	if t.Member.Pod == "" || t.Member.NodeID < 1 || t.RobustMQ.Version == "" || t.Nodes.PlacementCenter < 1 || t.Nodes.MQTTBroker < 0 || t.Nodes.JournalServer < 0 {
		return errors.New("take.member, take.robustmq.version and take.nodes say what is saved; pod, nodeID, version and placementCenter are needed")
	}
	for i, name := range t.Counts {
		if !slices.Contains(Countable(), name) || slices.Contains(t.Counts[:i], name) {
			return fmt.Errorf("take.counts has %q, which is there twice or none of %v", name, Countable())
		}
	}
	if len(t.Recipients) > maxRecipients || slices.Contains(t.Recipients, "") {
		return fmt.Errorf("take.recipients are %d, at most %d, and none is empty", len(t.Recipients), maxRecipients)
	}
	return errors.Join(
		plain(2048, "take.recipients", t.Recipients...), plain(64, "take.positions", slices.Collect(maps.Keys(t.Positions))...),
		plain(300, "take", t.Agent, t.Counter, t.ServerName, t.Member.Pod, t.RobustMQ.Version, t.RobustMQ.ImageDigest), checkMode("take.verification", t.Verification),
	)
}

func (c *CollectRequest) validate() error {
	if len(c.Policies) > maxPolicies || len(c.Damaged) > maxDamaged {
		return fmt.Errorf("collect has %d policies and %d damaged backups: at most %d and %d", len(c.Policies), len(c.Damaged), maxPolicies, maxDamaged)
	}
	seen := map[string]bool{}
	for _, p := range c.Policies {
		if !nameForm.MatchString(p.Schedule) || seen[p.Schedule] || p.KeepLast < 1 || p.KeepLast > 1000 || p.MaxAgeSeconds < 0 || p.MaxAgeSeconds > int64(maxAge/time.Second) {
			return fmt.Errorf("collect.policies has %+v: schedules are names, each once; keepLast is 1 to 1000, maxAgeSeconds 0 to %d", p, int64(maxAge/time.Second))
		}
		seen[p.Schedule] = true
	}
	for _, id := range c.Damaged {
		if err := checkID("collect.damaged", id); err != nil {
			return err
		}
	}
	return nil
}

// maxAge of a policy: what spec.backup.schedules[].retention.maxAge can say at most, 99999h99999m.
const maxAge = 99999*time.Hour + 99999*time.Minute

func checkID(field, id string) error {
	if !idForm.MatchString(id) {
		return fmt.Errorf("%s: %q is no ID of a backup, such as 20261125T020000Z-hourly", field, id)
	}
	return nil
}

func checkAddress(field, address string) error {
	host, port, err := net.SplitHostPort(address)
	if n, portErr := strconv.ParseUint(port, 10, 16); err != nil || host == "" || portErr != nil || n == 0 || plain(300, field, address) != nil {
		return fmt.Errorf("%s is %q: it is host:port", field, address)
	}
	return nil
}

func checkMode(field string, m archive.Mode) error {
	if m != archive.Checksum && m != archive.Full {
		return fmt.Errorf("%s is %q: it is %s or %s", field, string(m), archive.Checksum, archive.Full)
	}
	return nil
}
