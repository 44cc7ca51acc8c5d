package images

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// TestMain plays an agent that takes images, in a process of its own whose memory can be measured.
func TestMain(m *testing.M) {
	database := os.Getenv("IMAGES_MEMORY_DATABASE")
	if database == "" {
		os.Exit(m.Run())
	}
	if err := takeTwo(database); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// figures are what the process measured of itself.
type figures struct {
	First, Second  time.Duration // until ready
	Tables, Others int64         // bytes of the image
	WALBytes       int64
	Peak           int64 // bytes of memory
}

// takeTwo takes two images, reads all of their files, and prints figures.
func takeTwo(database string) error {
	debug.SetMemoryLimit(24 << 20) // as cmd/agent does
	source := NewSource(SourceOptions{
		FS: OS{}, Root: filepath.Join(filepath.Dir(database), ".staging"), Database: func() string { return database }, Ask: (&server{answers: []func() (Server, error){says(1, calm())}}).ask,
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer source.Wait()
	defer cancel()
	if err := source.Start(ctx); err != nil {
		return err
	}
	var f figures
	for _, took := range []*time.Duration{&f.First, &f.Second} {
		began := time.Now()
		if _, err := source.Begin(ctx, request("a")); err != nil {
			return err
		}
		i, err := source.Get("a")
		for ; err == nil && i.Phase == protocol.ImageStaging; i, err = source.Get("a") {
			<-time.After(10 * time.Millisecond)
		}
		if err != nil || i.Phase != protocol.ImageReady {
			return fmt.Errorf("%+v, %w", i, err)
		}
		*took = time.Since(began)
		f.WALBytes, f.Tables, f.Others = i.WALBytes, 0, 0
		for _, file := range i.Files {
			stream, err := source.Open("a", file.Name)
			if err != nil {
				return err
			}
			n, err := io.Copy(io.Discard, stream)
			if err != nil {
				return err
			}
			if err := stream.Close(); err != nil {
				return err
			}
			if file.Table {
				f.Tables += n
			} else {
				f.Others += n
			}
		}
		if err := source.Release("a"); err != nil {
			return err
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		return err
	}
	f.Peak = kilobytes << 10
	return json.NewEncoder(os.Stdout).Encode(f)
}

// TestAGreatWALCostsLittleMemory has WALs of messages with 1 MiB of metadata between them. IMAGES_WAL_MIB=2048 is the size that was asked for; without it, less.
func TestAGreatWALCostsLittleMemory(t *testing.T) {
	mib := int64(192)
	if text := os.Getenv("IMAGES_WAL_MIB"); text != "" {
		var err error
		if mib, err = strconv.ParseInt(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	_, database := volumeOf(t, imagetest.Follower)
	metadata := int64(0)
	for range 4 { // three closed ones and the newest
		// 80 kB a message, so that there are enough of them to carry 1 MiB of metadata.
		n, err := imagetest.Messages(t.Context(), database, mib<<20/4, 80<<10, 1<<20/4)
		if err != nil {
			t.Fatal(err)
		}
		metadata += n
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "IMAGES_MEMORY_DATABASE="+database)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Error(err)
	}
	if err := child.Wait(); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	var f figures
	if err := json.Unmarshal([]byte(line), &f); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	t.Logf("%d MiB of WAL with %d KiB of metadata: first image %v, second %v; peak memory %.1f MiB; %d KiB of tables and %d KiB of other files",
		f.WALBytes>>20, metadata>>10, f.First.Round(time.Millisecond), f.Second.Round(time.Millisecond), float64(f.Peak)/(1<<20), f.Tables>>10, f.Others>>10)
	if f.WALBytes < mib<<20 || metadata < 1<<20*9/10 {
		t.Errorf("the WALs hold %d bytes and %d of metadata", f.WALBytes, metadata)
	}
	if f.Peak >= 64<<20 {
		t.Errorf("peak memory is %d MiB, must stay below 64", f.Peak>>20)
	}
	if f.Tables+f.Others >= 5<<20 {
		t.Errorf("%d bytes would be uploaded, must stay below 5 MiB", f.Tables+f.Others)
	}
}
