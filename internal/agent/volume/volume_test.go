package volume

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

func write(t *testing.T, v Volume, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(v.Path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(v.Path(name), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
}

var someMarker = protocol.Marker{ClusterUID: "uid", NodeID: 1, Role: "PlacementCenter", Origin: protocol.OriginFounded, Written: time.Unix(1, 0).UTC()}

func TestAVolumeIsEmptyUntilRocksDBIsInIt(t *testing.T) {
	for name, c := range map[string]struct {
		files  []string
		marker bool
		want   string
	}{
		"new":                        {nil, false, protocol.VolumeEmpty},
		"new file system":            {[]string{"lost+found/x"}, false, protocol.VolumeEmpty},
		"left by a crash of ours":    {[]string{".robustmq-operator-marker-1", ".robustmq-operator-trash-1/data/_rocksdb/CURRENT"}, false, protocol.VolumeEmpty},
		"RobustMQ 0.4.1 and later":   {[]string{"data/_rocksdb/CURRENT"}, true, protocol.VolumeInitialised},
		"RobustMQ to 0.4.0":          {[]string{"data/_data/CURRENT"}, true, protocol.VolumeInitialised},
		"somebody's file":            {[]string{"photo.jpg"}, false, protocol.VolumeInitialised},
		"data without our marker":    {[]string{"data/_rocksdb/CURRENT"}, false, protocol.VolumeInitialised},
		"database half made":         {[]string{"data/_rocksdb/000001.dbtmp", "data/_rocksdb/LOG"}, true, protocol.VolumeEmpty},
		"half made, but whose is it": {[]string{"data/_rocksdb/LOG"}, false, protocol.VolumeInitialised},
	} {
		v := At(t.TempDir())
		for _, f := range c.files {
			write(t, v, f)
		}
		if c.marker {
			if err := v.WriteMarker(someMarker); err != nil {
				t.Fatal(err)
			}
		}
		got := v.Inspect()
		if got.Phase != c.want || (got.Marker != nil) != c.marker || got.FreeBytes == 0 {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
	if got := At(filepath.Join(t.TempDir(), "missing")).Inspect(); got.Phase != protocol.VolumeUnusable || got.Message == "" {
		t.Errorf("no volume: %+v", got)
	}
}

func TestAMarkerThatCannotBeReadMakesTheVolumeUnusable(t *testing.T) {
	for _, content := range []string{"", "{", "null", `{"clusterUID":"x"}`, `{"clusterUID":"u","nodeID":1,"role":"r"}`, `{"clusterUID":"u","nodeID":-1,"role":"r","origin":"Joined"}`} {
		v := At(t.TempDir())
		if err := os.WriteFile(v.Path(protocol.MarkerFile), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := v.Inspect(); got.Phase != protocol.VolumeUnusable || got.Message == "" || got.Marker != nil {
			t.Errorf("%q: %+v", content, got)
		}
		if err := v.Wipe(); err == nil {
			t.Errorf("%q: wiped", content)
		}
	}
}

func TestAVolumeThatCannotBeWrittenIsFound(t *testing.T) {
	v := At(filepath.Join(t.TempDir(), "missing"))
	if err := v.CheckWritable(); err == nil {
		t.Error("a missing folder is writable")
	}
	v = At(t.TempDir())
	if err := v.CheckWritable(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(v.Dir); err != nil || len(entries) > 0 {
		t.Errorf("the check left %v, %v", entries, err)
	}
}

func TestAWipeLeavesAnEmptyVolume(t *testing.T) {
	v := At(t.TempDir())
	write(t, v, "data/_rocksdb/CURRENT")
	write(t, v, "engine/shard/0.msg")
	if err := v.WriteMarker(someMarker); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := v.Wipe(); err != nil {
			t.Fatal(err)
		}
		if got := v.Inspect(); got.Phase != protocol.VolumeEmpty || got.Marker != nil {
			t.Fatalf("%+v", got)
		}
	}
	if entries, err := os.ReadDir(v.Dir); err != nil || len(entries) > 0 {
		t.Errorf("the wipe left %v, %v", entries, err)
	}
}

// TestMain plays processes that work on a volume for ever, for the tests below to kill.
func TestMain(m *testing.M) {
	v := At(os.Getenv("VOLUME_WORKER_DIR"))
	var work func(n int64) error
	switch os.Getenv("VOLUME_WORKER") {
	case "marker":
		work = func(n int64) error {
			marker := someMarker
			marker.Generation = n
			return v.WriteMarker(marker)
		}
	default:
		os.Exit(m.Run())
	}
	for n := int64(1); ; n++ {
		if err := work(n); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

// killAfter starts a worker, lets it do n rounds, kills it somewhere in the next one and returns the last round that it finished.
func killAfter(t *testing.T, v Volume, work string, n int64) (last int64) {
	t.Helper()
	worker := exec.Command(os.Args[0])
	worker.Env = append(os.Environ(), "VOLUME_WORKER="+work, "VOLUME_WORKER_DIR="+v.Dir)
	out, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
			t.Fatal(lines.Text())
		}
		if last >= n {
			break
		}
	}
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = worker.Wait() // killed
	return last
}

func TestAMarkerIsWholeWheneverItsWriterIsKilled(t *testing.T) {
	v := At(t.TempDir())
	for kill := range int64(25) {
		last := killAfter(t, v, "marker", 2+kill)
		got := v.Inspect()
		if got.Phase != protocol.VolumeEmpty || got.Marker == nil || got.Marker.Generation < last {
			t.Fatalf("after generation %d was written: %+v", last, got)
		}
		if err := v.Sweep(); err != nil {
			t.Fatal(err)
		}
	}
	if entries, err := os.ReadDir(v.Dir); err != nil || len(entries) != 1 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

func TestAWipeCutShortNeverLooksLikeAnOrderToStart(t *testing.T) {
	for _, step := range []string{"marked", "moved", "forgotten"} {
		v := At(t.TempDir())
		write(t, v, "data/_rocksdb/CURRENT")
		write(t, v, "engine/shard/0.msg")
		if err := v.WriteMarker(someMarker); err != nil {
			t.Fatal(err)
		}
		reached := false
		v.crash = func(at string) error {
			if at != step {
				return nil
			}
			reached = true
			return errors.New("crash")
		}
		if err := v.Wipe(); err == nil || !reached {
			t.Fatalf("%s: %v", step, err)
		}
		if got := v.Inspect(); got.Phase == protocol.VolumeEmpty && got.Marker != nil && !got.Marker.HasData {
			t.Errorf("crash after %q: an empty volume with a marker that saw no data: its gate would open by itself", step)
		}
		v.crash = nil
		if err := v.Wipe(); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(v.Dir); err != nil || len(entries) > 0 {
			t.Errorf("crash after %q: the second wipe left %v, %v", step, entries, err)
		}
	}
}

func FuzzParseMarker(f *testing.F) {
	f.Add([]byte(`{"clusterUID":"u","nodeID":1,"role":"PlacementCenter","generation":2,"origin":"Joined","member":true,"written":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseMarker(raw)
		if err == nil && (m.ClusterUID == "" || m.NodeID == 0) {
			t.Errorf("accepted %q as %+v", raw, m)
		}
	})
}

func TestASweepSparesWhatWasReceivedAndAWipeDoesNot(t *testing.T) {
	v := At(t.TempDir())
	write(t, v, StagingDir+"/image-1/database/CURRENT")
	write(t, v, PlacementDir+"/files/CURRENT")
	if got := v.Inspect(); got.Phase != protocol.VolumeEmpty {
		t.Errorf("images make a volume %s", got.Phase)
	}
	if err := v.Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(v.Path(PlacementDir + "/files/CURRENT")); err != nil {
		t.Errorf("what was received is gone: %v", err)
	}
	if _, err := os.Stat(v.Path(StagingDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was staged is still there: %v", err)
	}
	if err := v.WriteMarker(someMarker); err != nil {
		t.Fatal(err)
	}
	if err := v.Wipe(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(v.Dir); err != nil || len(entries) > 0 {
		t.Errorf("the wipe left %v, %v", entries, err)
	}
}

func TestAMarkerThatIsRemovedIsGone(t *testing.T) {
	v := At(t.TempDir())
	if err := v.WriteMarker(someMarker); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := v.RemoveMarker(); err != nil || v.Inspect().Marker != nil {
			t.Errorf("%v, %+v", err, v.Inspect())
		}
	}
}
