package job_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

func requests() map[job.Kind]job.Request {
	common := job.Request{
		Destination: job.Destination{Bucket: "backups", Prefix: "p", StaticCredentials: true, ServerSideEncryption: &job.ServerSideEncryption{Mode: "KMS", KMSKeyID: "alias/backups"}},
		Owner:       job.Owner{ClusterUID: uid, Name: "my-cluster", Namespace: "prod"}, ProgressDeadlineSeconds: 60,
	}
	all := map[job.Kind]job.Request{}
	for _, kind := range job.Kinds {
		all[kind] = common
	}
	take := common
	take.Take = &job.TakeRequest{
		Name: "before-upgrade", Started: noon, RecoveryPoint: noon, Positions: map[string]uint64{"metadata_0": 1}, Agent: "10.0.0.1:7443", ServerName: "agent", ImageID: "i",
		Member: archive.Member{Pod: "p", NodeID: 1}, RobustMQ: archive.Server{Version: "0.4.11"}, Nodes: archive.Nodes{PlacementCenter: 3}, Counts: job.Countable(), Verification: archive.Full,
	}
	all[job.Take] = take
	collect := common
	collect.Collect = &job.CollectRequest{Policies: []job.Policy{{Schedule: "hourly", KeepLast: 7, MaxAgeSeconds: 3600}}, Damaged: []string{"20261125T120000Z-one"}}
	all[job.Collect] = collect
	remove := common
	remove.Delete = &job.DeleteRequest{ID: "20261125T120000Z-one"}
	all[job.Delete] = remove
	verify := common
	verify.Verify = &job.VerifyRequest{ID: "20261125T120000Z-one", Mode: archive.Checksum}
	all[job.Verify] = verify
	inspect := common
	inspect.Inspect = &job.InspectRequest{Source: job.SourceRequest{ClusterUID: "another-uid"}, Before: noon, Damaged: []string{"20261125T120000Z-one"}}
	all[job.Inspect] = inspect
	restore := common
	restore.Restore = &job.RestoreRequest{
		Source: job.SourceRequest{ClusterUID: "another-uid", ID: "20261125T120000Z-one", ManifestSHA256: strings.Repeat("0a", 32)}, PlacementID: "restore-1", Origin: protocol.OriginRestored, Generation: 2,
		ServerName: "agent", Members: []job.RestoreMember{{Pod: "my-cluster-placement-center-0", NodeID: 1, Agent: "10.0.0.1:7443"}, {Pod: "my-cluster-placement-center-1", NodeID: 2, Agent: "10.0.0.2:7443"}},
		Edits: edits(1, 2),
	}
	all[job.Restore] = restore
	return all
}

// edits of a restore to members with these node IDs.
func edits(ids ...uint64) protocol.PlacementEdits {
	e := protocol.PlacementEdits{Votes: map[string]protocol.RaftVote{}, Memberships: map[string]protocol.RaftMembership{}}
	for _, group := range robustmq.Groups {
		addresses := map[uint64]string{}
		for _, id := range ids {
			addresses[id] = fmt.Sprintf("my-cluster-placement-center-%d.my-cluster-placement-center.prod.svc:1228", id-1)
		}
		e.Votes[group] = protocol.RaftVote{Term: 4, NodeID: ids[0], Committed: true}
		e.Memberships[group] = protocol.RaftMembership{LogID: &robustmq.LogID{Term: 2, NodeID: 1, Index: 5}, Voters: ids, Addresses: addresses}
	}
	return e
}

func TestARequestIsReadAsItWasWritten(t *testing.T) {
	for kind, want := range requests() {
		text, err := want.Encode(kind)
		if err != nil {
			t.Fatal(kind, err)
		}
		got, err := job.Parse(kind, text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n%+v\n%+v", kind, err, got, want)
		}
	}
}

func TestARequestThatIsNotWhatItShouldBeIsRefused(t *testing.T) {
	good := map[job.Kind]string{}
	for kind, r := range requests() {
		text, err := r.Encode(kind)
		if err != nil {
			t.Fatal(err)
		}
		good[kind] = text
	}
	for name, c := range map[string]struct {
		kind     job.Kind
		text     string
		old, new string
		want     string
	}{
		"no JSON":              {job.Probe, "x", "", "", ""},
		"nothing":              {job.Probe, "", "", "", ""},
		"something behind it":  {job.Probe, good[job.Probe] + "{}", "", "", ""},
		"unknown field":        {job.Probe, "", `"owner"`, `"password":"x","owner"`, "unknown field"},
		"repeated field":       {job.Probe, "", `"owner"`, `"progressDeadlineSeconds":60,"owner"`, "duplicate field"},
		"another case":         {job.Probe, "", `"bucket"`, `"Bucket"`, "unknown field"},
		"no bucket":            {job.Probe, "", `"backups"`, `""`, "bucket"},
		"an encryption":        {job.Probe, "", `"KMS"`, `"C"`, "serverSideEncryption"},
		"a key without KMS":    {job.Probe, "", `"KMS"`, `"S3"`, "kmsKeyID"},
		"owner that climbs":    {job.Probe, "", `"` + uid + `"`, `"../other"`, "owner"},
		"a short deadline":     {job.Probe, "", `Seconds":60`, `Seconds":9`, "progressDeadlineSeconds"},
		"a part too many":      {job.Probe, good[job.Delete], "", "", "no other"},
		"a part too few":       {job.Delete, good[job.Probe], "", "", "delete"},
		"another part":         {job.Delete, good[job.Take], "", "", "no other"},
		"another kind":         {"undo", good[job.Probe], "", "", "undo"},
		"a name":               {job.Take, "", `"before-upgrade"`, `"Before"`, "take.name"},
		"no start":             {job.Take, "", `"started":"2026-11-25T12:00:00Z"`, `"started":"0001-01-01T00:00:00Z"`, "started"},
		"no positions":         {job.Take, "", `{"metadata_0":1}`, `{}`, "positions"},
		"an agent":             {job.Take, "", `10.0.0.1:7443`, `10.0.0.1`, "take.agent"},
		"an agent's port":      {job.Take, "", `10.0.0.1:7443`, `10.0.0.1:0`, "take.agent"},
		"an agent's name":      {job.Take, "", `"serverName":"agent"`, `"serverName":""`, "serverName"},
		"an image":             {job.Take, "", `"imageID":"i"`, `"imageID":"../i"`, "imageID"},
		"no version":           {job.Take, "", `0.4.11`, ``, "version"},
		"a count":              {job.Take, "", `"users"`, `"passwords"`, "counts"},
		"a count twice":        {job.Take, "", `"users"`, `"topics"`, "counts"},
		"a verification":       {job.Take, "", `"Full"`, `"full"`, "verification"},
		"a policy":             {job.Collect, "", `"keepLast":7`, `"keepLast":0`, "keepLast"},
		"an age":               {job.Collect, "", `:3600`, `:-1`, "maxAge"},
		"a damaged one":        {job.Collect, "", `["2026`, `["/../2026`, "damaged"},
		"an ID":                {job.Delete, "", `20261125T120000Z-one`, `../../other`, "no ID"},
		"an ID that is dots":   {job.Verify, "", `20261125T120000Z-one`, `..`, "no ID"},
		"a mode":               {job.Verify, "", `"Checksum"`, `""`, "mode"},
		"two ways to choose":   {job.Inspect, "", `"before":`, `"key":"p/u/backups/x/manifest.json","before":`, "at most one"},
		"two ways, by ID":      {job.Inspect, "", `"clusterUID":"another-uid"`, `"clusterUID":"another-uid","id":"20261125T120000Z-one"`, "at most one"},
		"a sum of nothing":     {job.Inspect, "", `"clusterUID":"another-uid"`, `"manifestSHA256":"` + strings.Repeat("0a", 32) + `"`, "inspect.source.id"},
		"a source that climbs": {job.Inspect, "", `"another-uid"`, `"../another"`, "inspect.source.clusterUID"},
		"a key in two lines":   {job.Inspect, "", `"before":"2026-11-25T12:00:00Z"`, `"key":"a\nb"`, "inspect.key"},
		"a damaged backup":     {job.Inspect, "", `["2026`, `["/../2026`, "inspect.damaged"},
		"no source":            {job.Restore, "", `"clusterUID":"another-uid",`, ``, "restore.source"},
		"a source's sum":       {job.Restore, "", `"0a0a`, `"0A0A`, "manifestSHA256"},
		"a source's ID":        {job.Restore, "", `20261125T120000Z-one`, `../one`, "no ID"},
		"a placement":          {job.Restore, "", `"restore-1"`, `"../restore"`, "placementID"},
		"an origin":            {job.Restore, "", `"Restored"`, `"Seeded"`, "origin"},
		"a generation":         {job.Restore, "", `"generation":2`, `"generation":0`, "generation"},
		"the agents' name":     {job.Restore, "", `"serverName":"agent"`, `"serverName":""`, "serverName"},
		"no members":           {job.Restore, "", `"members":[`, `"members":[],"x":[`, "unknown field"},
		"a member twice":       {job.Restore, "", `"nodeID":2`, `"nodeID":1`, "node ID of its own"},
		"a pod twice":          {job.Restore, "", `center-1","nodeID":2`, `center-0","nodeID":2`, "node ID of its own"},
		"a member's agent":     {job.Restore, "", `10.0.0.2:7443`, `10.0.0.2`, "host:port"},
		"an uncommitted vote":  {job.Restore, "", `"committed":true`, `"committed":false`, "committed vote"},
		"votes that differ":    {job.Restore, "", `{"term":4`, `{"term":5`, "the same committed vote"},
		"a vote for nobody":    {job.Restore, "", `"nodeID":1,"committed"`, `"nodeID":3,"committed"`, "one of the members"},
		"a group":              {job.Restore, "", `"votes":{"data_0"`, `"votes":{"data_1"`, "data_1"},
		"a voter too few":      {job.Restore, "", `"voters":[1,2]`, `"voters":[2]`, "voters"},
		"other voters":         {job.Restore, "", `"voters":[1,2],"addresses":{"1":`, `"voters":[3,2],"addresses":{"3":`, "they are the members"},
		"too much":             {job.Probe, good[job.Probe] + strings.Repeat(" ", job.MaxRequest), "", "", "bytes"},
	} {
		text := c.text
		if text == "" && c.old != "" {
			text = strings.Replace(good[c.kind], c.old, c.new, 1)
			if text == good[c.kind] {
				t.Fatalf("%s: nothing was changed in %s", name, text)
			}
		}
		r, err := job.Parse(c.kind, text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(r, job.Request{}) {
			t.Errorf("%s: something came with the error", name)
		}
	}
}

func TestARequestHasNoPlaceForASecret(t *testing.T) {
	var names func(reflect.Type) []string
	names = func(rt reflect.Type) (all []string) {
		switch rt.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			return names(rt.Elem())
		case reflect.Struct:
			if rt == reflect.TypeFor[time.Time]() {
				return nil
			}
			for i := range rt.NumField() {
				all = append(append(all, rt.Field(i).Name), names(rt.Field(i).Type)...)
			}
		default:
			if rt == reflect.TypeFor[store.Secret]() {
				all = append(all, "Secret")
			}
		}
		return all
	}
	for _, name := range names(reflect.TypeFor[job.Request]()) {
		lower := strings.ToLower(name)
		for _, word := range []string{"secret", "password", "token", "identit", "accesskey", "customerkey"} {
			if strings.Contains(lower, word) {
				t.Errorf("%s", name)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for kind, r := range requests() {
		text, err := r.Encode(kind)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(kind), text)
	}
	f.Add("probe", `{"destination":{"bucket":"b"},"owner":{"clusterUID":"u","name":"n","namespace":"n"}}`)
	f.Add("take", `{"take":{}}`)
	f.Fuzz(func(t *testing.T, kind, text string) {
		r, err := job.Parse(job.Kind(kind), text)
		if err != nil {
			return
		}
		if !slices.Contains(job.Kinds, job.Kind(kind)) {
			t.Fatalf("%q is a kind", kind)
		}
		again, err := r.Encode(job.Kind(kind))
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		twice, err := job.Parse(job.Kind(kind), again)
		if err != nil {
			t.Fatal(err)
		}
		if third, err := twice.Encode(job.Kind(kind)); err != nil || third != again { // an empty list and none are the same
			t.Fatalf("%v\n%s\n%s", err, third, again)
		}
	})
}

func result() job.Result {
	return job.Result{
		Kind: job.Take, Reason: job.BackupComplete, Message: "done", ID: "20261125T120000Z-one", Key: "p/u/backups/20261125T120000Z-one/manifest.json", ManifestSHA256: strings.Repeat("0a", 32),
		SizeBytes: 10, UploadedBytes: 5, RecoveryPoint: noon, Groups: []job.Position{{Group: "metadata_0", Term: 1, LastApplied: 2}}, Counts: map[string]int64{"users": 3},
	}
}

func TestAResultAlwaysFitsIntoATerminationMessage(t *testing.T) {
	long := strings.Repeat("what <happened> & \"why\" \x01 ä ", 2000)
	for name, change := range map[string]func(*job.Result){
		"short":    func(*job.Result) {},
		"message":  func(r *job.Result) { r.Message = long },
		"controls": func(r *job.Result) { r.Message = strings.Repeat("\x01", 5000) },
		"warnings": func(r *job.Result) { r.Warnings = []string{long, long, long, long, long, long, long} },
		"key":      func(r *job.Result) { r.Key = strings.Repeat("k", 1024) },
		"everything": func(r *job.Result) {
			r.Message, r.Key, r.Warnings = long, strings.Repeat("k", 1024), slices.Repeat([]string{long}, 50)
		},
		"a collection": func(r *job.Result) {
			r.Collected = &job.Collected{Expired: 900, ExpiredIDs: slices.Repeat([]string{strings.Repeat("i", 250)}, 900)}
		},
	} {
		r := result()
		change(&r)
		expired := 0
		if r.Collected != nil {
			expired = len(r.Collected.ExpiredIDs)
		}
		b := r.Encode()
		if len(b) > job.MaxResult {
			t.Errorf("%s: %d bytes", name, len(b))
		}
		got, err := job.ParseResult(job.Take, string(b))
		if err != nil || !got.OK() || got.Key != r.Key || got.ManifestSHA256 != r.ManifestSHA256 || got.SizeBytes != r.SizeBytes {
			t.Errorf("%s: %v: %+v", name, err, got)
		}
		if name == "short" && !reflect.DeepEqual(got, r) {
			t.Errorf("%+v\n%+v", got, r)
		}
		if r.Collected != nil && len(r.Collected.ExpiredIDs) != expired {
			t.Error("the result itself was cut, not only its text")
		}
	}
}

// inspected is the largest result that an inspection can have.
func inspected() job.Result {
	r := result()
	r.Kind, r.Reason, r.Groups, r.Key = job.Inspect, job.BackupFound, nil, strings.Repeat("k", 1024)
	r.Inspected = &job.Inspected{
		ClusterUID: strings.Repeat("u", 64), ClusterName: strings.Repeat("n", 253), Namespace: strings.Repeat("s", 253), Version: strings.Repeat("1", 64), ImageDigest: "sha256:" + strings.Repeat("d", 121),
		Nodes: archive.Nodes{PlacementCenter: 7, MQTTBroker: 1000, JournalServer: 1000}, Bytes: 1 << 60, Files: 10_000, Tables: 9_997,
	}
	big := uint64(math.MaxUint64)
	for _, name := range robustmq.Groups {
		g := archive.Group{Name: name, Term: big, LastApplied: big, Vote: archive.Vote{Term: big, NodeID: big, Committed: true}, Membership: archive.Membership{Term: big, NodeID: big, Index: big}}
		for i := range uint64(job.MaxMembers) {
			g.Membership.Voters = append(g.Membership.Voters, big-i)
		}
		r.Inspected.Groups = append(r.Inspected.Groups, g)
	}
	return r
}

func TestWhatAnInspectionFoundIsNeverCut(t *testing.T) {
	r := inspected()
	want := fmt.Sprintf("%+v", *r.Inspected)
	long := strings.Repeat("what <happened> & \"why\" \x01 ä ", 2000)
	r.Message, r.Warnings, r.Encrypted = long, slices.Repeat([]string{long}, 50), true
	r.Counts = map[string]int64{strings.Repeat("c", 3000): 1}
	b := r.Encode()
	got, err := job.ParseResult(job.Inspect, string(b))
	if err != nil || len(b) > job.MaxResult || !got.OK() || got.Key != r.Key || !got.Encrypted {
		t.Fatalf("%d bytes, %v: %+v", len(b), err, got)
	}
	wantEqual(t, fmt.Sprintf("%+v", *got.Inspected), want)
}

func TestAnInspectionThatCannotBeTrueIsNotRead(t *testing.T) {
	for name, change := range map[string]func(*job.Result){
		"nothing found":       func(r *job.Result) { r.Inspected = nil },
		"no key":              func(r *job.Result) { r.Key = "" },
		"no sum":              func(r *job.Result) { r.ManifestSHA256 = "" },
		"no cluster":          func(r *job.Result) { r.Inspected.ClusterUID = "" },
		"a cluster's name":    func(r *job.Result) { r.Inspected.ClusterName = "../x" },
		"no version":          func(r *job.Result) { r.Inspected.Version = "" },
		"a version":           func(r *job.Result) { r.Inspected.Version = "0.4.11\n" },
		"no bytes":            func(r *job.Result) { r.Inspected.Bytes = 0 },
		"more tables":         func(r *job.Result) { r.Inspected.Tables = r.Inspected.Files + 1 },
		"a group too few":     func(r *job.Result) { r.Inspected.Groups = r.Inspected.Groups[1:] },
		"a group twice":       func(r *job.Result) { r.Inspected.Groups[1] = r.Inspected.Groups[0] },
		"no voters":           func(r *job.Result) { r.Inspected.Groups[1].Membership.Voters = nil },
		"a voter twice":       func(r *job.Result) { r.Inspected.Groups[1].Membership.Voters = []uint64{1, 1} },
		"nobody's vote":       func(r *job.Result) { r.Inspected.Groups[2].Membership.Voters = []uint64{0, 1} },
		"more voters than 7":  func(r *job.Result) { r.Inspected.Groups[2].Membership.Voters = []uint64{1, 2, 3, 4, 5, 6, 7, 8} },
		"of another kind":     func(r *job.Result) { r.Reason = job.BackupPlaced },
		"no recovery point":   func(r *job.Result) { r.RecoveryPoint = time.Time{} },
		"a number of no size": func(r *job.Result) { r.SizeBytes = 0 },
	} {
		r := inspected()
		change(&r)
		if got, err := job.ParseResult(job.Inspect, string(r.Encode())); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	placed := result()
	placed.Kind, placed.Reason = job.Restore, job.BackupPlaced
	if got, err := job.ParseResult(job.Restore, string(placed.Encode())); err != nil || !got.OK() {
		t.Errorf("%v %+v", err, got)
	}
	placed.ManifestSHA256 = ""
	if got, err := job.ParseResult(job.Restore, string(placed.Encode())); err == nil {
		t.Errorf("placed, and not what: %+v", got)
	}
}

func TestAResultThatCannotBeTrueIsNotRead(t *testing.T) {
	for name, change := range map[string]func(*job.Result){
		"no key":           func(r *job.Result) { r.Key = "" },
		"no ID":            func(r *job.Result) { r.ID = "" },
		"no hash":          func(r *job.Result) { r.ManifestSHA256 = "" },
		"a hash":           func(r *job.Result) { r.ManifestSHA256 = "x" },
		"no point":         func(r *job.Result) { r.RecoveryPoint = time.Time{} },
		"nothing in it":    func(r *job.Result) { r.SizeBytes = 0 },
		"a negative":       func(r *job.Result) { r.UploadedBytes = -1 },
		"another kind":     func(r *job.Result) { r.Kind = job.Verify },
		"another's reason": func(r *job.Result) { r.Reason = job.BackupVerified },
		"no reason":        func(r *job.Result) { r.Reason = "" },
		"a reason":         func(r *job.Result) { r.Reason = "Fine" },
	} {
		r := result()
		change(&r)
		if got, err := job.ParseResult(job.Take, string(r.Encode())); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, text := range []string{"", "null", "[]", "panic: runtime error", `{"kind":"take","reason":"BackupComplete"}`, strings.Repeat(" ", 10000)} {
		if got, err := job.ParseResult(job.Take, text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
	if _, err := job.ParseResult(job.Probe, `{"kind":"probe","reason":"DestinationWritable","message":"m","newer":1}`); err != nil {
		t.Errorf("a newer version's result: %v", err)
	}
}

func FuzzParseResult(f *testing.F) {
	f.Add("take", string(result().Encode()))
	f.Add("probe", `{"kind":"probe","reason":"AccessDenied","message":"m"}`)
	f.Add("inspect", string(inspected().Encode()))
	f.Add("inspect", `{"kind":"inspect","reason":"BackupFound","message":"m","inspected":{"groups":[{}]}}`)
	f.Add("restore", `{"kind":"restore","reason":"PlacementRefused","message":"m"}`)
	f.Fuzz(func(t *testing.T, kind, text string) {
		r, err := job.ParseResult(job.Kind(kind), text)
		if err != nil {
			return
		}
		if r.OK() && r.Kind == job.Inspect && r.Inspected == nil {
			t.Fatalf("%+v", r)
		}
		if r.OK() && r.Kind == job.Take && (r.Key == "" || r.SizeBytes <= 0) {
			t.Fatalf("%+v", r)
		}
		b := r.Encode()
		if len(b) > job.MaxResult || !json.Valid(b) {
			t.Fatalf("%d bytes: %s", len(b), b)
		}
	})
}
