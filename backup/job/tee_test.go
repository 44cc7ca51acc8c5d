package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

// legs for offsets of a file of a size, and what their members read, each in a way of its own.
func testLegs(t *testing.T, size int, offsets []int64, read func(i int, l *leg) ([]byte, error)) (legs []*leg, wait func() ([][]byte, []error), court *atomic.Int64) {
	t.Helper()
	court = &atomic.Int64{}
	got, errs := make([][]byte, len(offsets)), make([]error, len(offsets))
	var group sync.WaitGroup
	for i, offset := range offsets {
		_, watch := watchCall(t.Context(), time.Minute, time.Minute, court)
		l := newLeg(offset, int64(size), watch)
		legs = append(legs, l)
		group.Go(func() {
			got[i], errs[i] = read(i, l)
			l.end()
			l.watch.end()
		})
	}
	return legs, func() ([][]byte, []error) { group.Wait(); return got, errs }, court
}

func wantAllBlocksHome(t *testing.T, free chan *block) {
	t.Helper()
	if len(free) != blocksAStream {
		t.Errorf("%d of %d blocks came home", len(free), blocksAStream)
	}
}

func TestEveryLegGetsExactlyWhatItLacks(t *testing.T) {
	for _, size := range []int{0, 1, blockSize - 1, blockSize, blockSize + 1, 5*blockSize + 77, (blocksAStream + 3) * blockSize} {
		content := make([]byte, size)
		r := rand.NewChaCha8([32]byte{byte(size)})
		r.Read(content) //nolint:errcheck // never fails
		offsets := []int64{0, int64(size / 2), int64(size), int64(max(0, size-1))}
		lowest := int64(0)
		if size == blockSize { // the beginning is nobody's need
			offsets, lowest = []int64{100, 5000, int64(size)}, 100
		}
		free := newBlocks()
		legs, wait, court := testLegs(t, size, offsets, func(i int, l *leg) ([]byte, error) {
			if l.Len() != size-int(offsets[i]) {
				t.Errorf("%d bytes from %d: %d are announced", size, offsets[i], l.Len())
			}
			switch i {
			case 0:
				var b bytes.Buffer
				_, err := io.Copy(&b, l) // as net/http does
				return b.Bytes(), err
			case 1:
				return io.ReadAll(iotest.HalfReader(io.LimitReader(l, 1<<40)))
			}
			return io.ReadAll(l)
		})
		if err := handOut(t.Context(), free, bytes.NewReader(content[lowest:]), lowest, legs, func() { t.Error("broken") }); err != nil {
			t.Fatal(err)
		}
		got, errs := wait()
		for i, offset := range offsets {
			if errs[i] != nil || !bytes.Equal(got[i], content[offset:]) {
				t.Errorf("%d bytes from %d: %d came, %v", size, offset, len(got[i]), errs[i])
			}
			if n := legs[i].Len(); n != 0 {
				t.Errorf("%d bytes from %d: %d are still to come", size, offset, n)
			}
		}
		wantAllBlocksHome(t, free)
		if n := court.Load(); n != 0 {
			t.Errorf("%d members are still waited for", n)
		}
	}
}

func TestALegThatEndsEarlyHoldsNobodyUp(t *testing.T) {
	content := make([]byte, 4*blocksAStream*blockSize)
	free := newBlocks()
	legs, wait, _ := testLegs(t, len(content), []int64{0, 0, 0}, func(i int, l *leg) ([]byte, error) {
		if i < 2 {
			_, err := io.CopyN(io.Discard, l, int64(i)*3*blockSize+11)
			return nil, err
		}
		return io.ReadAll(l)
	})
	if err := handOut(t.Context(), free, bytes.NewReader(content), 0, legs, func() { t.Error("broken") }); err != nil {
		t.Fatal(err)
	}
	got, errs := wait()
	if err := errors.Join(errs...); err != nil || len(got[2]) != len(content) {
		t.Errorf("%d bytes, %v", len(got[2]), err)
	}
	if _, err := legs[0].Read(make([]byte, 1)); !errors.Is(err, errLegEnded) {
		t.Errorf("read behind its end: %v", err)
	}
	wantAllBlocksHome(t, free)
}

func TestAStreamThatNobodyReadsEnds(t *testing.T) {
	free := newBlocks()
	legs, wait, _ := testLegs(t, 1<<40, []int64{0, 0}, func(_ int, l *leg) ([]byte, error) {
		_, err := io.CopyN(io.Discard, l, 100)
		return nil, err
	})
	r := &endless{}
	if err := handOut(t.Context(), free, r, 0, legs, func() { t.Error("broken") }); !errors.Is(err, errLegEnded) {
		t.Error(err)
	}
	wait()
	wantAllBlocksHome(t, free)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestTheLastBlockIsKeptUntilTheReaderSaysThatAllIsRight(t *testing.T) {
	wrong := errors.New("another hash")
	for _, size := range []int{1, blockSize, blockSize + 1, 3 * blockSize} {
		free := newBlocks()
		legs, wait, _ := testLegs(t, size, []int64{0, int64(size - 1)}, func(_ int, l *leg) ([]byte, error) { return io.ReadAll(l) })
		var told atomic.Bool
		err := handOut(t.Context(), free, io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(wrong)), 0, legs, func() { told.Store(true) })
		got, errs := wait()
		if !errors.Is(err, wrong) || !told.Load() {
			t.Errorf("%d: %v", size, err)
		}
		for i, b := range got {
			if len(b) >= size || i == 1 && len(b) > 0 || !errors.Is(errs[i], wrong) {
				t.Errorf("%d bytes of a file of %d that is wrong, %v", len(b), size, errs[i])
			}
		}
		wantAllBlocksHome(t, free)
	}
}

func TestAStreamEndsWithItsContextAlsoWhenAMemberHoldsEveryBlock(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	free := newBlocks()
	release := make(chan struct{})
	legs, wait, _ := testLegs(t, 1<<40, []int64{0}, func(_ int, _ *leg) ([]byte, error) { <-release; return nil, nil })
	ended := make(chan error, 1)
	go func() { ended <- handOut(ctx, free, endless{}, 0, legs, func() {}) }()
	for deadline := time.Now().Add(20 * time.Second); len(free) > 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not read ahead")
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(release)
	wait()
	wantAllBlocksHome(t, free)
}

func TestAMemberIsToBlameOnlyWhileItHasSomethingToDo(t *testing.T) {
	var court atomic.Int64
	ctx, w := watchCall(t.Context(), 50*time.Millisecond, time.Hour, &court)
	w.rest() // it waits for the source
	if court.Load() != 0 {
		t.Error("it is waited for while it waits")
	}
	select {
	case <-ctx.Done():
		t.Error("ended for waiting")
	case <-time.After(150 * time.Millisecond):
	}
	w.taking()
	if court.Load() != 1 {
		t.Error("nobody waits for it")
	}
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("it takes nothing, and nobody sees it")
	}
	if idle := w.end(); idle < 50*time.Millisecond || court.Load() != 0 {
		t.Errorf("idle for %s, %d are waited for", idle, court.Load())
	}
}

func FuzzKeysOfManifests(f *testing.F) {
	for _, seed := range []string{
		"prefix/eu/0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55/backups/20261125T120000Z-one/manifest.json", "u/backups/20261125T120000Z-one", "u/backups/20261125T120000Z-one/", "", "/", "prefix/eu/../x", "u/tables/20261125T120000Z-one",
	} {
		f.Add("prefix/eu", seed)
		f.Add("", seed)
	}
	f.Fuzz(func(t *testing.T, prefix, key string) {
		uid, id, err := parseKey(prefix, key)
		if err != nil {
			return
		}
		if !uidForm.MatchString(uid) || !idForm.MatchString(id) {
			t.Fatalf("%q %q", uid, id)
		}
		if again, same, err := parseKey("", fmt.Sprintf("%s/backups/%s/manifest.json", uid, id)); err != nil || again != uid || same != id {
			t.Fatalf("%q %q %v", again, same, err)
		}
	})
}
