package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// recorded gives the pod's volume a recorded database of a real server and the marker of an earlier life.
func (p *pod) recorded(name string) *pod {
	p.w.t.Helper()
	if err := imagetest.Unpack(name, filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb")); err != nil {
		p.w.t.Fatal(err)
	}
	marker := protocol.Marker{ClusterUID: "uid", NodeID: p.ID, Role: p.Role, Generation: 1, Origin: protocol.OriginJoined, Member: true, HasData: true}
	if err := volume.At(p.Paths.VolumeDir).WriteMarker(marker); err != nil {
		p.w.t.Fatal(err)
	}
	return p
}

// runningMember starts a member that has a recorded database. It has two voters: one of three that is alone is fenced.
func runningMember(t *testing.T) (*world, *pod) {
	t.Helper()
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	w.script(1).set(func(b *behaviour) { b.voters = []uint64{1, 2} })
	p.start()
	p.eventually("the server runs", runs)
	return w, p
}

func imageRequest(id string) protocol.ImageRequest {
	return protocol.ImageRequest{ID: id, Families: protocol.FamiliesMetadata}
}

// readyImage begins an image and waits for it.
func readyImage(t *testing.T, c client.Client, id string) (i protocol.Image) {
	t.Helper()
	if _, err := c.BeginImage(t.Context(), imageRequest(id)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the image is ready", func() bool {
		var err error
		if i, err = c.Image(t.Context(), id); err != nil || i.Phase == protocol.ImageFailed {
			t.Fatalf("%+v, %v", i, err)
		}
		return i.Phase == protocol.ImageReady
	}, func() any { return i })
	return i
}

func TestAJobCopiesAnImageOfARunningMember(t *testing.T) {
	_, p := runningMember(t)
	job := p.as(protocol.ClientJob)
	i := readyImage(t, job, "backup-1")
	dir := t.TempDir()
	for _, f := range i.Files {
		content, err := download(t.Context(), job, i.ID, f.Name, 0)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(content)) != f.Size {
			t.Errorf("%s is not what the image lists", f.Name)
		}
		put(t, filepath.Join(dir, f.Name), content)
	}
	got, err1 := imagetest.Contents(t.Context(), dir)
	want, err2 := imagetest.Contents(t.Context(), filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for _, family := range image.MetadataFamilies {
		if !slices.Equal(got[family], want[family]) {
			t.Errorf("%s: %d entries, want %d", family, len(got[family]), len(want[family]))
		}
	}
	if g := i.Groups["metadata_0"]; g.Membership.LogID == nil || g.Membership.LogID.Index != 5 || g.Vote.Term != 1 || !g.Vote.Committed || len(i.Groups) != 3 {
		t.Errorf("%+v", i.Groups)
	}
	if _, err := job.ReportImage(t.Context(), i.ID, protocol.ImageProgress{Stage: protocol.StageUploading, Bytes: 1, Total: 3}); err != nil {
		t.Fatal(err)
	}
	p.agent.source.Tick()
	state, err := p.operator().State(t.Context())
	if s := state.Images; err != nil || s.Image == nil || s.Image.ID != "backup-1" || s.Image.Phase != protocol.ImageReady || s.Image.Progress.Bytes != 1 || s.WALBytes == 0 || s.StagingBytes == 0 || s.Image.Files != nil {
		t.Errorf("%+v, %v", s.Image, err)
	}
	if !runs(state) || state.Server.Restarts != 0 {
		t.Errorf("the server was disturbed: %+v", state.Server)
	}
	_, metrics := p.get("/metrics")
	for _, line := range []string{"robustmq_agent_images_total 1", "robustmq_agent_image 1", "robustmq_agent_image_duration_seconds_count 1", "robustmq_metadata_wal_bytes ", "robustmq_agent_staging_bytes "} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no %q in the metrics", line)
		}
	}
	for range 2 {
		if err := job.ReleaseImage(t.Context(), i.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := job.Image(t.Context(), i.ID); client.Reason(err) != protocol.ReasonNotFound {
		t.Errorf("a released image: %v", err)
	}
}

// download a file with the comparison of the trailer, and without: where the first succeeds, so does the second, with the same bytes.
func download(ctx context.Context, c client.Client, id, name string, offset int64) ([]byte, error) {
	content, err := readStream(c.ImageFile(ctx, id, name, offset))
	bare, bareErr := readStream(c.ImageBytes(ctx, id, name, offset))
	if (err == nil) != (bareErr == nil) || err == nil && !bytes.Equal(content, bare) {
		return nil, fmt.Errorf("%w: with trailer %d bytes, %w; without %d, %w", errDiffer, len(content), err, len(bare), bareErr)
	}
	return content, err
}

var errDiffer = errors.New("the two ways of reading a file differ")

func readStream(stream io.ReadCloser, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(stream)
	return content, errors.Join(err, stream.Close())
}

func TestAnAgentMayTakeAnImageOfAnotherAndPutNothingInPlace(t *testing.T) {
	_, p := runningMember(t)
	peer := p.as(protocol.ClientAgent)
	if _, err := peer.BeginImage(t.Context(), imageRequest("a")); err != nil {
		t.Error(err)
	}
	if err := peer.ReleaseImage(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	_, err1 := peer.BeginPlacement(t.Context(), protocol.PlacementRequest{ID: "a"})
	_, err2 := peer.OpenPlacement(t.Context(), "a")
	_, err3 := peer.Placement(t.Context(), "a")
	_, err4 := peer.Seed(t.Context(), protocol.SeedOrder{ID: "a"})
	for _, err := range []error{err1, err2, err3, err4, peer.AbandonSeed(t.Context(), "a")} {
		if client.Reason(err) != protocol.ReasonForbidden {
			t.Error(err)
		}
	}
	job := p.as(protocol.ClientJob)
	_, err1 = job.Place(t.Context(), "a")
	_, err2 = job.OpenPlacement(t.Context(), "a")
	_, err3 = job.RevertPlacement(t.Context(), "a")
	for _, err := range []error{err1, err2, err3, job.DiscardPlacement(t.Context(), "a")} {
		if client.Reason(err) != protocol.ReasonForbidden {
			t.Errorf("a Job may bring bytes, that they come into force is not its word: %v", err)
		}
	}
	if _, err := job.Placement(t.Context(), "a"); client.Reason(err) != protocol.ReasonNotFound {
		t.Error(err)
	}
}

// cutting is a network whose connections break when so many bytes have come in.
func cutting(after int64) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &cut{Conn: conn, left: after}, nil
	}
}

type cut struct {
	net.Conn
	mu   sync.Mutex
	left int64
}

func (c *cut) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left <= 0 {
		_ = c.Conn.Close()
		return 0, errors.New("the line is dead")
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

func TestAStreamThatWasCutGoesOnByRange(t *testing.T) {
	w, p := runningMember(t)
	// Megabytes, so that the line breaks in the middle.
	if _, err := imagetest.Messages(t.Context(), filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb"), 8<<20, 512, 4<<20); err != nil {
		t.Fatal(err)
	}
	i := readyImage(t, p.as(protocol.ClientJob), "a")
	wal := slices.MaxFunc(i.Files, func(a, b protocol.ImageFile) int { return int(a.Size - b.Size) })
	if wal.Table || wal.Size < 1<<20 {
		t.Fatalf("%+v", wal)
	}
	whole, err := download(t.Context(), p.operator(), "a", wal.Name, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	parts := 0
	for ; int64(len(got)) < wal.Size; parts++ {
		if parts > 50 {
			t.Fatal("no end")
		}
		c, err := client.NewPool(client.Limits{}, cutting(300_000)).Client("uid", w.ca.client(protocol.ClientJob), p.IP)
		if err != nil {
			t.Fatal(err)
		}
		part, err := download(t.Context(), c, "a", wal.Name, int64(len(got)))
		if err == nil && int64(len(got)+len(part)) != wal.Size {
			t.Fatalf("%d bytes are taken for the rest", len(part))
		}
		got = append(got, part...)
	}
	if parts < 3 || !bytes.Equal(got, whole) {
		t.Errorf("%d parts, equal %t", parts, bytes.Equal(got, whole))
	}
	if _, err := download(t.Context(), p.operator(), "a", wal.Name, wal.Size); client.Reason(err) != protocol.ReasonBadRequest {
		t.Errorf("behind the end: %v", err)
	}
}

func TestAFileThatChangedUnderTheStreamIsNotTakenForWhole(t *testing.T) {
	_, p := runningMember(t)
	job := p.as(protocol.ClientJob)
	i := readyImage(t, job, "a")
	table := i.Files[slices.IndexFunc(i.Files, func(f protocol.ImageFile) bool { return f.Table && f.Size > 2000 })]
	paths, err := filepath.Glob(filepath.Join(p.Paths.VolumeDir, volume.StagingDir, "*", "database", table.Name))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	if err := os.Truncate(paths[0], table.Size-1000); err != nil {
		t.Fatal(err)
	}
	// The answer breaks off: also a client that looks at no trailer must see that.
	if content, err := download(t.Context(), job, "a", table.Name, 0); err == nil || errors.Is(err, client.ErrDamaged) || errors.Is(err, errDiffer) {
		t.Errorf("%d of %d bytes were taken for the file: %v", len(content), table.Size, err)
	}
	// The connection pool is not harmed.
	if _, err := job.Image(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}

func TestAReleasedImageEndsTheStreamOfOneWhoReadsNoMore(t *testing.T) {
	_, p := runningMember(t)
	if _, err := imagetest.Messages(t.Context(), filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb"), 40<<20, 512, 32<<20); err != nil {
		t.Fatal(err)
	}
	job := p.as(protocol.ClientJob)
	i := readyImage(t, job, "a")
	wal := slices.MaxFunc(i.Files, func(a, b protocol.ImageFile) int { return int(a.Size - b.Size) })
	stream, err := job.ImageFile(t.Context(), "a", wal.Name, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := io.ReadFull(stream, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	// The agent's writes wait now: nobody reads on.
	if err := p.operator().ReleaseImage(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, stream); err == nil {
		t.Errorf("%d bytes of %d look like the whole", n, wal.Size)
	}
}

func TestAnImageNeedsARunningMemberOfThePlacementCentre(t *testing.T) {
	w := newWorld(t)
	stopped := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	broker := w.add(config.RoleMQTTBroker, 0).initialised(nil)
	stopped.start()
	broker.start()
	stopped.eventually("the server runs", runs)
	if _, err := stopped.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	if _, err := stopped.operator().BeginImage(t.Context(), imageRequest("a")); client.Reason(err) != protocol.ReasonServerDown {
		t.Error(err)
	}
	broker.eventually("the server runs", runs)
	if _, err := broker.operator().BeginImage(t.Context(), imageRequest("a")); client.Reason(err) != protocol.ReasonConflict {
		t.Error(err)
	}
}

func TestAnAgentThatWasStartedAgainHasNoImages(t *testing.T) {
	_, p := runningMember(t)
	readyImage(t, p.as(protocol.ClientJob), "a")
	staging := filepath.Join(p.Paths.VolumeDir, volume.StagingDir)
	if names, err := os.ReadDir(staging); err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	p.kill()
	<-p.exit
	p.start()
	p.eventually("the server runs", runs)
	if names, err := os.ReadDir(staging); err == nil && len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
	if _, err := p.as(protocol.ClientJob).Image(t.Context(), "a"); client.Reason(err) != protocol.ReasonNotFound {
		t.Error(err)
	}
	readyImage(t, p.as(protocol.ClientJob), "b")
}
